//! Class activation maps: against PyTorch in float64 (`tests/golden/activation_maps.py`), on both engines.

use hardnet_classifier::{ActivationMap, Classifier, ClassifierBuilder, Error};
use hardnet_graph::{Config, TapKind, Taps, Variant};
use hardnet_params::{Metadata, WeightsFile, synthetic};
use hardnet_testing::golden::activation_maps;
use hardnet_testing::weights_file::{Encoding, safetensors};

const SIDE: usize = 96;

fn weights(variant: Variant) -> WeightsFile {
    let parameters = synthetic::parameters(&Config::from(variant).with_classes(10)).unwrap();
    WeightsFile::from_bytes(variant.name(), safetensors(parameters, Encoding::F32, None)).unwrap()
}

fn builder() -> ClassifierBuilder {
    Classifier::builder().image_size(SIDE as u32).threads(1).activation_maps(true)
}

fn image() -> Vec<f32> {
    synthetic::values("x", &[1, 3, SIDE, SIDE])
}

/// Compares maps and logits with PyTorch's.
fn check(classifier: &Classifier, variant: Variant) {
    let reference = activation_maps(variant.name());
    let classes: Vec<usize> = reference.maps.keys().copied().collect();
    let maps = classifier.activation_maps(image(), &classes).unwrap();
    let logits = classifier.logits(&[image()]).unwrap();
    for (map, (&class, expected)) in maps.iter().zip(&reference.maps) {
        assert_eq!((map.class, map.rows, map.columns, expected.len()), (class, 3, 3, 9));
        for (found, expected) in map.values.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-4, "{variant}, class {class}: {found} {expected}");
        }
        assert!((map.logit() - reference.logits[class]).abs() < 2e-5, "{variant}, class {class}");
        assert!((map.logit() - logits.as_slice()[class]).abs() < 2e-5, "{variant}, class {class}");
    }
}

#[test]
fn maps_are_pytorchs() {
    for variant in Variant::ALL {
        check(&builder().from_weights(weights(variant)).unwrap(), variant);
    }
}

#[cfg(feature = "candle")]
#[test]
fn maps_of_candle_are_pytorchs() {
    for variant in [Variant::HarDNet39Ds, Variant::HarDNet68] {
        let builder = builder().engine(hardnet_classifier::Engine::Candle);
        check(&builder.from_weights(weights(variant)).unwrap(), variant);
    }
}

#[test]
fn maps_come_with_feature_maps_and_change_nothing_else() {
    let variant = Variant::HarDNet39Ds;
    let taps = Taps::Strides(vec![8, 32], TapKind::Transition);
    let plain = Classifier::builder().image_size(SIDE as u32).threads(1).features(taps.clone());
    let plain = plain.from_weights(weights(variant)).unwrap();
    let with_maps = builder().features(taps).from_weights(weights(variant)).unwrap();
    assert_eq!(with_maps.features(&[image()]).unwrap(), plain.features(&[image()]).unwrap());
    assert_eq!(with_maps.logits(&[image()]).unwrap(), plain.logits(&[image()]).unwrap());
    check(&with_maps, variant);
    assert!(matches!(plain.activation_map(image(), 0), Err(Error::NoActivationMaps)));
    let only_maps = builder().from_weights(weights(variant)).unwrap();
    assert!(matches!(only_maps.features(&[image()]), Err(Error::NoTaps)));
    let error = only_maps.activation_map(image(), 10).unwrap_err();
    assert_eq!(error.to_string(), "no class 10, the network has 0 to 9");
    let map: ActivationMap = only_maps.activation_map(image(), 9).unwrap();
    assert_eq!(map, only_maps.activation_maps(image(), &[0, 9]).unwrap()[1]);
    let backbone = Metadata::new(Config::from(variant).without_head());
    assert!(matches!(builder().from_parameters(&backbone, &synthetic::Synthetic), Err(Error::NoHead { .. })));
}
