//! The classifier on the demonstration: its weights and its images.

use std::path::PathBuf;

use hardnet_classifier::{Classifier, ClassifierBuilder, Engine, Error};
use hardnet_data::{Dataset, DecodeLimits, Pipeline, decode};
use hardnet_demo::fashion_mnist::{CLASSES, SAMPLE_TAR, VAL_LIST, WEIGHTS};
use hardnet_eval::{EvalOptions, Tally};
use hardnet_graph::{Config, TapKind, Taps, Variant};
use hardnet_params::{Metadata, WeightsFile, WeightsOptions, synthetic};
use hardnet_testing::weights_file::{Encoding, safetensors};

/// Images of the demonstration whose class is the most probable, and among the five most probable.
const CORRECT: (usize, usize) = (941, 998);

fn weights() -> WeightsFile {
    WeightsFile::from_bytes("demo", WEIGHTS.to_vec()).unwrap()
}

fn build(builder: ClassifierBuilder) -> Classifier {
    builder.from_weights(weights()).unwrap()
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

/// The content of the first image files.
fn files(count: usize) -> Vec<Vec<u8>> {
    let (_folder, dataset) = images();
    dataset.samples.iter().take(count).map(|sample| sample.archived().unwrap().read().unwrap()).collect()
}

#[test]
fn the_demonstration_has_its_exact_count() {
    let (_folder, dataset) = images();
    let classifier = build(Classifier::builder());
    assert_eq!((classifier.engine(), classifier.image_size()), (Engine::Native, 64));
    assert!(CLASSES.iter().enumerate().all(|(index, name)| classifier.labels().name(index) == *name));
    let mut tally = Tally::default();
    let summary = classifier.evaluate(dataset.samples, &EvalOptions::default(), &mut tally).unwrap();
    assert_eq!((tally.top1().correct, tally.top5().correct), CORRECT);
    assert_eq!((summary.images, summary.failures, summary.stopped), (1000, 0, false));
}

/// The options choose one of the two networks of a file, whether it is opened by path or by name.
#[test]
fn weights_options_hold_for_every_source_of_weights() {
    let network = |prefix: &str, classes: usize| {
        let config = Config::from(Variant::HarDNet39Ds).with_classes(classes);
        let parameters = synthetic::parameters(&config).unwrap().into_iter();
        parameters.map(move |(name, shape, values)| (format!("{prefix}{name}"), shape, values)).collect::<Vec<_>>()
    };
    let both = [network("student.", 3), network("teacher.", 5)].concat();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("both.safetensors");
    std::fs::write(&path, safetensors(both, Encoding::F16, None)).unwrap();
    for (prefix, classes) in [("student", 3), ("teacher", 5)] {
        let builder = || {
            let options = WeightsOptions::default().prefix(prefix);
            Classifier::builder().image_size(64).threads(1).weights_options(options)
        };
        assert_eq!(builder().load(&path).unwrap().labels().len(), classes);
        assert_eq!(builder().from_pretrained(path.to_str().unwrap()).unwrap().labels().len(), classes);
    }
}

#[test]
fn paths_bytes_and_pixels_are_the_same_image() {
    let file = files(1).remove(0);
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("a.png");
    std::fs::write(&path, &file).unwrap();
    let image = decode(&file, &DecodeLimits::default()).unwrap().image;
    let classifier = build(Classifier::builder());
    let expected = classifier.classify(&file).unwrap();
    let found = [
        classifier.classify(&path).unwrap(),
        classifier.classify(path.to_str().unwrap()).unwrap(),
        classifier.classify(&image).unwrap(),
        classifier.classify_batch([image.clone(), image]).unwrap().remove(1),
    ];
    assert!(found.iter().all(|found| found.logits() == expected.logits()));
    let top = expected.top(3);
    assert_eq!((top.len(), top[0].name.as_str()), (3, CLASSES[top[0].index]));
    assert!(top[0].probability >= top[1].probability);
}

#[test]
fn callers_at_the_same_time_get_what_one_alone_gets() {
    let files = files(24);
    let classifier = build(Classifier::builder().threads(2).batch_size(4));
    let expected: Vec<_> = files.iter().map(|file| classifier.classify(file).unwrap().logits().to_vec()).collect();
    let batch = classifier.classify_batch(&files).unwrap();
    assert!(batch.iter().zip(&expected).all(|(found, expected)| found.logits() == expected));
    std::thread::scope(|scope| {
        for first in 0..6 {
            let (classifier, files, expected) = (classifier.clone(), &files, &expected);
            scope.spawn(move || {
                for at in (first..files.len()).step_by(6) {
                    assert_eq!(classifier.classify(&files[at]).unwrap().logits(), expected[at]);
                }
            });
        }
    });
}

#[test]
fn threads_change_nothing() {
    let files = files(5);
    let logits = |threads: usize| {
        let classifier = build(Classifier::builder().threads(threads));
        files.iter().map(|file| classifier.classify(file).unwrap().logits().to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(logits(1), logits(3));
}

#[test]
fn options_replace_what_the_weights_say() {
    let classifier = build(Classifier::builder().image_size(96).labels(CLASSES.map(|name| name.to_uppercase())));
    assert_eq!((classifier.image_size(), classifier.pipeline().resize), (96, 96));
    assert_eq!(classifier.labels().name(8), "BAG");
    let classifier = build(Classifier::builder().pipeline(Pipeline::pil_bicubic().with_image_size(32)));
    assert_eq!((classifier.image_size(), classifier.pipeline().resize), (32, 36));
    let tensor = vec![0.5; 3 * 32 * 32];
    assert_eq!(classifier.logits(&[tensor]).unwrap().row(0).len(), 10);
}

#[test]
fn errors_say_what_was_expected() {
    let classifier = build(Classifier::builder());
    let message = |error: Error| error.to_string();
    let images = [vec![0.0; 3 * 64 * 64], vec![0.0; 5]];
    assert_eq!(message(classifier.logits(&images).unwrap_err()), "image 1 has 5 values, expected 12288");
    let not_finite = classifier.logits(&[vec![f32::NAN; 3 * 64 * 64]]).unwrap_err();
    assert!(matches!(not_finite, Error::NotFinite { .. }), "{not_finite}");
    assert!(matches!(classifier.classify("no-such-file.jpg"), Err(Error::ReadImage { .. })));
    assert!(matches!(classifier.classify(&b"no picture"[..]), Err(Error::Decode(_))));
    let labels = Classifier::builder().labels(["a"]).from_weights(weights()).unwrap_err();
    assert_eq!(message(labels), "`demo` names 1 classes, its network has 10");
    let side = Classifier::builder().image_size(0).from_weights(weights());
    assert!(matches!(side, Err(Error::Pipeline(_))));
    assert!(matches!(Classifier::load("no-such-file"), Err(Error::Params(_))));
    let backbone = Metadata::new(weights().config().clone().without_head());
    let backbone = Classifier::builder().from_parameters(&backbone, &weights().into_parameters());
    assert!(matches!(backbone, Err(Error::NoHead { .. })));
}

#[test]
fn a_classifier_can_be_shared() {
    fn shared<T: Send + Sync + Clone + 'static>() {}
    shared::<Classifier>();
}

/// Every kind of map: of the stem, before and after a transition, in the middle of a fused group, and one twice.
fn taps() -> [Taps; 3] {
    let strides = |kind| Taps::Strides(vec![2, 4, 8, 16, 32], kind);
    [strides(TapKind::Transition), strides(TapKind::Block), Taps::Indices(vec![0, 2, 13, 2])]
}

#[test]
fn features_are_outputs_of_the_same_network() {
    let files = files(3);
    let plain = build(Classifier::builder().batch_size(2));
    assert!(matches!(plain.features(&[vec![0.0; 3 * 64 * 64]]), Err(Error::NoTaps)));
    let prepared = |file: &Vec<u8>| plain.prepare(&decode(file, &DecodeLimits::default()).unwrap().image).unwrap();
    let tensors: Vec<_> = files.iter().map(prepared).collect();
    for taps in taps() {
        let classifier = build(Classifier::builder().batch_size(2).features(taps));
        assert_eq!(classifier.logits(&tensors).unwrap(), plain.logits(&tensors).unwrap());
        for map in classifier.features(&tensors).unwrap() {
            assert_eq!(map.shape[..2], [3, map.info.channels]);
            assert_eq!((map.shape[2], map.shape[3]), (64 / map.info.stride, 64 / map.info.stride));
            assert_eq!(map.values.len(), map.shape.iter().product::<usize>());
        }
    }
    let missing = Classifier::builder().features(Taps::Indices(vec![99])).from_weights(weights()).unwrap_err();
    assert!(missing.to_string().starts_with("no feature map at index 99"), "{missing}");
}

#[cfg(feature = "candle")]
#[test]
fn features_of_both_engines_agree() {
    let files = files(2);
    for taps in taps() {
        let [native, candle] = [Engine::Native, Engine::Candle].map(|engine| {
            let classifier = build(Classifier::builder().engine(engine).features(taps.clone()));
            let image = |file| classifier.prepare(&decode(file, &DecodeLimits::default()).unwrap().image).unwrap();
            classifier.features(&files.iter().map(|file| image(file)).collect::<Vec<_>>()).unwrap()
        });
        for (native, candle) in native.iter().zip(&candle) {
            assert_eq!((&native.info, native.shape), (&candle.info, candle.shape));
            for (a, b) in native.values.iter().zip(&candle.values) {
                assert!((a - b).abs() < 1e-3, "{:?}: {a} {b}", native.info);
            }
        }
    }
}

#[cfg(not(feature = "candle"))]
#[test]
fn candle_is_refused_where_it_is_not_built_in() {
    let error = Classifier::builder().engine(Engine::Candle).from_weights(weights()).unwrap_err();
    assert_eq!(error.to_string(), "the candle engine is not part of this build");
}

#[cfg(feature = "candle")]
#[test]
fn both_engines_agree() {
    let files = files(3);
    let native = build(Classifier::builder()).classify_batch(&files).unwrap();
    let candle = build(Classifier::builder().engine(Engine::Candle).batch_size(2)).classify_batch(&files).unwrap();
    for (native, candle) in native.iter().zip(&candle) {
        for (a, b) in native.logits().iter().zip(candle.logits()) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_named_pipe_is_refused_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.jpg");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let classifier = build(Classifier::builder());
    for path in [pipe.as_path(), folder.path()] {
        let error = classifier.classify(path).unwrap_err();
        assert!(matches!(error, Error::NotAnImageFile { .. }), "{error}");
    }
}
