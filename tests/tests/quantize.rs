//! Two trained networks in 8-bit integers: accuracy, and what the scales of channels change.
//!
//! `tests/src/bin/quantized-accuracy.rs` does the same with all 10,000 test images, and calibrates with 1,000 training
//! images: `tests/quantize/accuracy.json`.

use hardnet_data::{Classes, Dataset, Sample};
use hardnet_params::Parameters;
use hardnet_quantize::{QuantizeOptions, RangeMethod};
use hardnet_tests::quantize::{Contender, Spread, Trained, folder, sample};

/// Training images.
fn for_calibration() -> Vec<Sample> {
    Dataset::from_idx(&folder().join("train-images-idx3-ubyte.gz"), Classes::of_labels()).unwrap().samples
}

/// Correct images of each contender.
fn counts(contenders: &[Contender]) -> Vec<(&str, usize)> {
    contenders.iter().map(|contender| (&*contender.name, contender.correct)).collect()
}

#[test]
fn accuracy_is_that_of_f32() {
    let (_folder, images) = sample().unwrap();
    for trained in Trained::both().unwrap() {
        let parameters = trained.file.parameters();
        let mut all = vec![
            trained.original(&parameters).unwrap(),
            trained.quantized("without images", &parameters, &QuantizeOptions::default()).unwrap(),
        ];
        let calibration = trained.calibration(&for_calibration()).unwrap();
        for method in [RangeMethod::MeanSquaredError, RangeMethod::MinMax] {
            all.push(trained.calibrated(&calibration, method).unwrap());
        }
        trained.compare(&images, &mut all).unwrap();
        // Of 1,000: 0.2 points without images, 0.1 points with measured ranges.
        let lost = |at: usize| all[0].correct.saturating_sub(all[at].correct);
        assert!(lost(1) <= 2 && lost(2) <= 1 && lost(3) <= 1, "{}: {:?}", trained.name, counts(&all));
        let least = if trained.name == "narrow" { 920 } else { 940 };
        assert!(all[0].correct >= least, "{}: {:?}", trained.name, counts(&all));
        for contender in &all[1..] {
            let same = contender.agreement.same_class;
            assert!(same >= 990, "{}, {}: {same} of 1000 have f32's class", trained.name, contender.name);
        }
    }
}

#[test]
fn scales_of_channels_do_not_matter() {
    let (_folder, images) = sample().unwrap();
    for trained in Trained::both().unwrap() {
        let parameters = trained.file.parameters();
        let spread = Spread::new(&trained, &parameters, &images).unwrap();
        let (all, changed) = spread.channels();
        assert!(3 * changed > all, "{}: {changed} of {all} channels have another scale", trained.name);
        let network: &dyn Parameters = &spread;
        let options = QuantizeOptions::default();
        let mut all = vec![
            trained.original(&parameters).unwrap(),
            trained.original(network).unwrap(),
            trained.quantized("equalized", network, &options).unwrap(),
            trained.quantized("not equalized", network, &options.equalize(false)).unwrap(),
        ];
        trained.compare(&images, &mut all).unwrap();
        // Powers of two change nothing in f32, to the last bit.
        assert_eq!(all[1].agreement.noise, 0.0, "{}", trained.name);
        let lost = |at: usize| all[0].correct.saturating_sub(all[at].correct);
        // Of 1,000: one point.
        assert!(lost(2) <= 10, "{}: {:?}", trained.name, counts(&all));
        // Both networks are such that this takes equalization. ReLU6 bounds the factors of the narrow one, which keeps
        // its classes all the same.
        let decibels = |at: usize| all[at].agreement.decibels().unwrap();
        let (with, without) = (decibels(2), decibels(3));
        assert!(with > without + 10.0, "{}: {with} dB, {without} dB without equalization", trained.name);
        assert!(trained.name == "narrow" || lost(3) > 10, "{}: {:?}", trained.name, counts(&all));
    }
}
