//! Answers under load, compared bit by bit with those of each image alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hardnet_classifier::{Classifier, ClassifierBuilder, EmbedOptions, Precision, open_weights};
use hardnet_data::{Image, encode_png};
use hardnet_graph::{Config, Variant};
use hardnet_params::Metadata;
use hardnet_params::synthetic::Synthetic;
use hardnet_serve::{Batcher, BatcherOptions, ImageNetwork, Input, Workers};

const DEMO: &str = "hardnet39ds.fashion_mnist";

/// Images of noise of several sizes, as files.
fn files() -> Vec<Vec<u8>> {
    let file = |seed: u32| {
        let (width, height) = (28 + seed as usize % 3, 28 + seed as usize % 5);
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let samples = (0..width * height * 3).map(|_| noise()).collect();
        encode_png(&Image::from_rgb8(width, height, samples).unwrap()).unwrap()
    };
    (0..24).map(file).collect()
}

/// Submits each file several times from four threads, with tensors of the largest numbers among them.
fn under_load(network: Arc<dyn ImageNetwork>, expected: &[Vec<f32>]) {
    let files = files();
    let workers = Arc::new(Workers::new(2).unwrap());
    let extreme = vec![f32::MAX; network.input_len()];
    let batcher = Batcher::start(network, workers, &BatcherOptions::default().batch_size(8)).unwrap();
    let largest = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (batcher, files, extreme, largest) = (&batcher, &files, &extreme, &largest);
            scope.spawn(move || {
                let deadline = || Instant::now() + Duration::from_secs(120);
                for round in 0..2 {
                    let order: Vec<usize> =
                        (0..files.len()).map(|at| (at * 7 + thread + round) % files.len()).collect();
                    let images = order.iter().map(|&at| Input::File(files[at].clone().into())).collect();
                    let huge = batcher.submit(vec![Input::Tensor(extreme.clone())], deadline()).unwrap();
                    let replies = batcher.submit(images, deadline()).unwrap();
                    for (at, reply) in order.into_iter().zip(replies) {
                        let answer = reply.wait().unwrap();
                        largest.fetch_max(answer.batch, Ordering::Relaxed);
                        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
                        assert_eq!(
                            bits(&answer.values),
                            bits(&expected[at]),
                            "image {at} in a batch of {}",
                            answer.batch
                        );
                    }
                    assert!(huge.into_iter().all(|reply| reply.wait().is_ok()));
                }
            });
        }
    });
    assert!(largest.into_inner() > 4, "the load makes batches");
}

fn serving() -> ClassifierBuilder {
    Classifier::builder().threads(2).batch_invariant(true)
}

fn alone() -> ClassifierBuilder {
    Classifier::builder().threads(1).batch_size(1)
}

/// HarDNet68 chooses algorithms by the pixels of a batch, unless it is told not to.
#[test]
fn logits_of_a_network_that_chooses_by_the_batch_are_those_of_each_image_alone() {
    let metadata = Metadata::new(Config::from(Variant::HarDNet68));
    let build = |builder: ClassifierBuilder| builder.image_size(64).from_parameters(&metadata, &Synthetic).unwrap();
    let alone = build(alone());
    let expected: Vec<_> = files().iter().map(|file| alone.classify(file).unwrap().logits().to_vec()).collect();
    under_load(Arc::new(build(serving())), &expected);
}

#[test]
fn logits_under_load_are_those_of_each_image_alone() {
    for precision in [Precision::F32, Precision::Int8] {
        let alone = alone().precision(precision).from_pretrained(DEMO).unwrap();
        let expected: Vec<_> = files().iter().map(|file| alone.classify(file).unwrap().logits().to_vec()).collect();
        under_load(Arc::new(serving().precision(precision).from_pretrained(DEMO).unwrap()), &expected);
    }
}

#[test]
fn embeddings_under_load_are_those_of_each_image_alone() {
    let embedder = |builder: ClassifierBuilder| {
        let weights = open_weights(DEMO, &Default::default()).unwrap();
        builder.embedder(weights, &EmbedOptions::default()).unwrap()
    };
    let alone = embedder(alone());
    let expected: Vec<_> = files().iter().map(|file| alone.embed(file).unwrap()).collect();
    under_load(Arc::new(embedder(serving())), &expected);
}
