//! Embeddings of the demonstration's images, against the feature maps and the classifier.

use hardnet_classifier::{Classifier, ClassifierBuilder, EmbedOptions, Embedder, Error, Stage};
use hardnet_data::{Dataset, DecodeLimits, decode};
use hardnet_demo::fashion_mnist::{CLASSES, SAMPLE_TAR, VAL_LIST, WEIGHTS};
use hardnet_eval::{BatchDone, EvalOptions, Observer};
use hardnet_graph::{Graph, ParamInfo, TapKind, Taps};
use hardnet_params::{Metadata, Parameters, WeightsFile};
use hardnet_testing::weights_file::{Encoding, safetensors};

/// Modules of the demonstration's network before its head.
const LAST: usize = 13;

fn weights() -> WeightsFile {
    WeightsFile::from_bytes("demo", WEIGHTS.to_vec()).unwrap()
}

fn embedder(builder: ClassifierBuilder, options: EmbedOptions) -> Embedder {
    builder.embedder(weights(), &options).unwrap()
}

/// The images in a folder that lives as long as the first value.
fn images() -> (tempfile::TempDir, Dataset) {
    let folder = tempfile::tempdir().unwrap();
    let (archive, list) = (folder.path().join("sample.tar"), folder.path().join("val_list.txt"));
    std::fs::write(&archive, SAMPLE_TAR).unwrap();
    std::fs::write(&list, VAL_LIST).unwrap();
    let dataset = Dataset::from_list(&list, archive, CLASSES.len()).unwrap();
    (folder, dataset)
}

/// The first images as tensors, and the content of their files.
fn tensors(count: usize) -> (Vec<Vec<f32>>, Vec<Vec<u8>>) {
    let (_folder, dataset) = images();
    let files: Vec<_> = dataset.samples.iter().take(count).map(|s| s.archived().unwrap().read().unwrap()).collect();
    let classifier = Classifier::builder().from_weights(weights()).unwrap();
    let tensor = |file: &Vec<u8>| classifier.prepare(&decode(file, &DecodeLimits::default()).unwrap().image).unwrap();
    (files.iter().map(tensor).collect(), files)
}

fn stages() -> [(Stage, Taps); 6] {
    let stride = |stride, kind| (Stage::Stride(stride, kind), Taps::Strides(vec![stride], kind));
    [
        (Stage::Last, Taps::Indices(vec![LAST])),
        stride(32, TapKind::Transition),
        stride(16, TapKind::Block),
        stride(8, TapKind::Transition),
        stride(2, TapKind::Transition),
        (Stage::Index(2), Taps::Indices(vec![2])),
    ]
}

/// An embedder computes a part of the network, a classifier with taps all of it.
#[test]
fn values_are_those_of_the_feature_maps_to_the_last_bit() {
    let (tensors, files) = tensors(5);
    for (stage, taps) in stages() {
        let builder = || Classifier::builder().batch_size(2);
        let map = builder().features(taps).from_weights(weights()).unwrap().features(&tensors).unwrap().remove(0);
        let maps = embedder(builder(), EmbedOptions::default().stage(stage).maps(true));
        assert_eq!((maps.info(), maps.shape().as_slice()), (&map.info, &map.shape[1..]), "{stage}");
        assert_eq!(maps.rows(&tensors).unwrap().as_slice(), map.values, "{stage}");
        let pooled = embedder(builder(), EmbedOptions::default().stage(stage));
        assert_eq!(pooled.shape(), [map.info.channels], "{stage}");
        assert_eq!(pooled.rows(&tensors).unwrap().as_slice(), map.pooled(), "{stage}");
        assert_eq!(pooled.embed(&files[4]).unwrap().len(), map.info.channels);
    }
}

/// `pooled` against the definition in plain loops.
#[test]
fn pooling_is_the_mean_of_each_channel() {
    let (tensors, _) = tensors(2);
    let taps = Taps::Strides(vec![8], TapKind::Transition);
    let classifier = Classifier::builder().features(taps).from_weights(weights()).unwrap();
    let map = classifier.features(&tensors).unwrap().remove(0);
    let [images, channels, rows, columns] = map.shape;
    let pooled = map.pooled();
    assert_eq!((images, pooled.len()), (2, 2 * channels));
    for image in 0..images {
        for channel in 0..channels {
            let mut sum = 0.0;
            for row in 0..rows {
                for column in 0..columns {
                    sum += f64::from(map.values[((image * channels + channel) * rows + row) * columns + column]);
                }
            }
            let mean = sum / (rows * columns) as f64;
            assert!((f64::from(pooled[image * channels + channel]) - mean).abs() <= 1e-7 * mean.abs().max(1e-7));
        }
    }
}

/// The vector that the classifier reads: its weights times this are the logits.
#[test]
fn the_last_stage_is_the_input_of_the_classifier() {
    let (tensors, _) = tensors(4);
    let logits = Classifier::builder().from_weights(weights()).unwrap().logits(&tensors).unwrap();
    let vectors = embedder(Classifier::builder(), EmbedOptions::default()).rows(&tensors).unwrap();
    let file = weights();
    let params = Graph::new(file.config()).unwrap().params();
    let [weight, bias] = [2, 1].map(|back| file.parameters().values(&params[params.len() - back]).unwrap());
    for (vector, logits) in vectors.rows().zip(logits.rows()) {
        for (class, logit) in logits.iter().enumerate() {
            let row = &weight[class * vector.len()..][..vector.len()];
            let sum: f64 = row.iter().zip(vector).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
            let expected = sum + f64::from(bias[class]);
            assert!((expected - f64::from(*logit)).abs() < 1e-5 * expected.abs().max(1.0), "{expected} {logit}");
        }
    }
}

/// Collects the rows of an evaluation.
#[derive(Default)]
struct Rows(Vec<f32>);

impl Observer for Rows {
    fn batch_done(&mut self, batch: &BatchDone<'_>) -> std::ops::ControlFlow<()> {
        batch.images().for_each(|image| self.0.extend(image.logits));
        std::ops::ControlFlow::Continue(())
    }
}

#[test]
fn a_data_set_is_embedded_by_the_evaluation_loop() {
    let (_folder, mut dataset) = images();
    dataset.samples.truncate(20);
    let embedder = embedder(Classifier::builder().batch_invariant(true), EmbedOptions::default());
    let mut rows = Rows::default();
    let options = EvalOptions::default().batch_size(8);
    let summary = embedder.embed_all(dataset.samples, &options, &mut rows).unwrap();
    assert_eq!((summary.images, summary.failures), (20, 0));
    assert_eq!(rows.0, embedder.rows(&tensors(20).0).unwrap().as_slice());
}

#[test]
fn weights_without_a_classifier_are_enough() {
    let (tensors, _) = tensors(2);
    let file = weights();
    let metadata = Metadata::new(file.config().clone().without_head());
    // The file of the backbone has the parameters of the whole but for the head's.
    let params = Graph::new(&metadata.config).unwrap().params().into_iter();
    let tensor =
        |param: ParamInfo| (param.name.clone(), param.shape.clone(), file.parameters().values(&param).unwrap());
    let metadata = serde_json::to_string(&metadata).unwrap();
    let bytes = safetensors(params.map(tensor).collect(), Encoding::F32, Some(&metadata));
    let backbone = WeightsFile::from_bytes("backbone", bytes).unwrap();
    assert_eq!(backbone.config().classes(), 0);
    let builder =
        || Classifier::builder().pipeline(embedder(Classifier::builder(), EmbedOptions::default()).pipeline().clone());
    let found = builder().embedder(backbone, &EmbedOptions::default()).unwrap().rows(&tensors).unwrap();
    assert_eq!(found, embedder(Classifier::builder(), EmbedOptions::default()).rows(&tensors).unwrap());
}

#[test]
fn errors_say_what_there_is() {
    let build = |stage| Classifier::builder().embedder(weights(), &EmbedOptions::default().stage(stage)).map(drop);
    let message = |result: Result<(), Error>| result.unwrap_err().to_string();
    let strides = message(build(Stage::Stride(64, TapKind::Transition)));
    assert!(strides.starts_with("no feature map at stride 64"), "{strides}");
    // The head is not a stage.
    let indices = message(build(Stage::Index(LAST + 1)));
    assert!(indices.contains("indices 0 to 13"), "{indices}");
    let embedder = embedder(Classifier::builder(), EmbedOptions::default());
    let images = [vec![0.0; 3 * 64 * 64], vec![0.0; 5]];
    assert_eq!(embedder.rows(&images).unwrap_err().to_string(), "image 1 has 5 values, expected 12288");
    let nan = embedder.rows(&[vec![f32::NAN; 3 * 64 * 64]]);
    assert!(matches!(nan, Err(Error::NotFinite { .. })));
}

#[cfg(feature = "candle")]
#[test]
fn both_engines_agree() {
    use hardnet_classifier::Engine;

    let (tensors, _) = tensors(3);
    for (stage, _) in stages() {
        for maps in [false, true] {
            let options = EmbedOptions::default().stage(stage).maps(maps);
            let [native, candle] = [Engine::Native, Engine::Candle].map(|engine| {
                let embedder = embedder(Classifier::builder().engine(engine), options);
                assert_eq!(embedder.engine(), engine);
                embedder.rows(&tensors).unwrap()
            });
            let scale = native.as_slice().iter().fold(1.0f32, |scale, value| scale.max(value.abs()));
            for (a, b) in native.as_slice().iter().zip(candle.as_slice()) {
                let bound = if maps { 2e-5 } else { 1e-5 };
                assert!((a - b).abs() < bound * scale, "{stage}: {a} {b}, up to {scale}");
            }
        }
    }
}
