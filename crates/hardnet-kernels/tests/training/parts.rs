//! Parts of a batch, each computed by a program of its own. The oracle is the whole batch by its definitions in f64.

use std::sync::Arc;

use super::part::Part;
use super::*;
use hardnet_kernels::training::{BatchPart, Stopped};

/// What programs for parts of so many images give.
fn run_parts(network: &Network, sizes: &[usize], isa: Isa, pixels: &[f32], weights: &[f32]) -> Vec<Results> {
    let (image, output) = (network.size.count(), weights.len() / network.images);
    let parameters = network.parameters();
    let parts = Part::of_batch(sizes.len(), network.images);
    std::thread::scope(|scope| {
        let mut first = 0;
        let threads: Vec<_> = sizes
            .iter()
            .enumerate()
            .map(|(number, &images)| {
                let own = first..first + images;
                first += images;
                let (pixels, weights) =
                    (&pixels[own.start * image..own.end * image], &weights[own.start * output..own.end * output]);
                let (part, parameters) = (Arc::clone(&parts[number]), &parameters);
                scope.spawn(move || {
                    let mut program = program(network, isa, 1 + number % 2);
                    // What a pass over a batch of its own left behind must not matter.
                    run(&mut program, &random(17, pixels.len()), parameters, weights);
                    program.set_part(Some(part));
                    run(&mut program, pixels, parameters, weights)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn check_parts(what: &str, network: &Network, sizes: &[usize]) {
    assert_eq!(network.images, sizes.iter().sum::<usize>());
    let parameters = network.parameters();
    let pixels = random(11, network.images * network.size.count());
    let (outputs, statistics) = network.forward(&pixels, &parameters, SEED);
    let weights = random(13, outputs.len());
    let sample = network.sample();
    let expected = network.gradients(&pixels, &parameters, SEED, &weights, &sample);
    for isa in Isa::of_f32() {
        let name = |part: &str| format!("{what}, parts of {sizes:?}, {isa:?}: {part}");
        let found = run_parts(network, sizes, isa, &pixels, &weights);
        let all: Vec<f32> = found.iter().flat_map(|part| part.outputs.clone()).collect();
        close(&all, &outputs, 1e-5, &name("output"));
        for part in &found {
            close(&part.statistics, &statistics, 1e-5, &name("statistic"));
            assert_eq!(part.statistics, found[0].statistics, "{}", name("statistic"));
        }
        // The loss is the sum of the losses of the parts, and so are its gradients.
        let gradient = |at: &usize| found.iter().map(|part| part.gradients[*at]).sum();
        let gradients: Vec<f32> = sample.iter().map(gradient).collect();
        close(&gradients, &expected, 1e-4, &name("gradient"));
    }
}

#[test]
fn parts_of_a_batch_are_the_whole() {
    let three = |channels| conv(channels, 3, 1, Padding::all(1), Clamp::RELU6);
    let layers = vec![
        first(9),
        Layer::Conv(vec![1], three(6)),
        Layer::Depthwise(2, Depthwise { stride: 2, padding: Padding::all(1), clamp: Clamp::NONE }),
        Layer::Conv(vec![3], conv(17, 1, 1, Padding::default(), Clamp::RELU)),
        Layer::Mean(4),
        Layer::Linear(5, 3),
    ];
    for sizes in [&[2, 2][..], &[1, 3], &[1, 1, 1, 1], &[2, 1, 2], &[4]] {
        check_parts("layers", &network(sizes.iter().sum(), (2, 5, 7), layers.clone()), sizes);
    }
}

/// Whose statistics need the other parts: a part is one value of each channel.
#[test]
fn maps_of_one_pixel_have_parts() {
    let layers = vec![first(8), Layer::Conv(vec![1], conv(9, 1, 1, Padding::default(), Clamp::RELU6))];
    check_parts("pixels", &network(5, (3, 1, 1), layers), &[1, 1, 1, 1, 1]);
}

/// Sums of squares are exchanged, and differ from those about the mean by the mean's: values far from 0 and close to
/// each other.
#[test]
fn a_mean_far_from_zero_leaves_the_variance_exact() {
    let network = network(4, (1, 6, 7), vec![first(1)]);
    // The one weight of the convolution, then scale and bias.
    let parameters = [1.0, 1.0, 0.0];
    let pixels: Vec<f32> = random(11, 4 * 42).into_iter().map(|value| 1000.0 + value).collect();
    let values: Vec<f64> = pixels.iter().map(|&value| f64::from(value)).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64;
    std::thread::scope(|scope| {
        for (part, pixels) in Part::of_batch(2, 4).into_iter().zip(pixels.chunks(84)) {
            let network = &network;
            scope.spawn(move || {
                let mut program = program(network, Isa::best(), 1);
                program.set_part(Some(part));
                let found = run(&mut program, pixels, &parameters, &vec![1.0; 84]);
                close(&found.statistics, &[mean, variance], 1e-7, "statistic");
                assert!((f64::from(found.statistics[1]) - variance).abs() < 1e-4 * variance, "{:?}", found.statistics);
            });
        }
    });
}

/// Without another part there are no statistics of the whole.
#[test]
fn a_part_ends_with_another() {
    #[derive(Debug)]
    struct Alone;
    impl BatchPart for Alone {
        fn images(&self) -> usize {
            4
        }
        fn all_reduce(&self, _: &mut [f64]) -> Result<(), Stopped> {
            Err(Stopped)
        }
        fn updates_running_statistics(&self) -> bool {
            true
        }
    }
    let network = network(2, (2, 4, 4), vec![first(3)]);
    let (mut program, parameters) = (program(&network, Isa::best(), 2), network.parameters());
    program.set_part(Some(Arc::new(Alone)));
    let (mut outputs, mut statistics) = (vec![0.0; 96], vec![0.0; program.statistics()]);
    let forward = program.forward(&random(1, 64), &parameters, SEED, &mut outputs, &mut statistics);
    assert!(matches!(forward, Err(hardnet_kernels::Error::Stopped(Stopped))), "{forward:?}");
    // It is ready for another batch.
    program.set_part(None);
    run(&mut program, &random(1, 64), &parameters, &vec![1.0; 96]);
}
