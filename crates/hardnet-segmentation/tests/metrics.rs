//! The figures of a confusion matrix, against NumPy's: `metrics/make_figures.py`.

use hardnet_segmentation::{Confusion, IGNORED, Mask};
use serde_json::Value;

/// The high bytes of the script's generator.
fn values(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..count).map(|_| next()).collect()
}

/// The truth and the prediction of an image of a case.
fn masks(case: &Value, image: u64) -> (Mask, Mask) {
    let number = |name: &str| case[name].as_u64().unwrap();
    let (classes, shown, count, agree) =
        (number("classes"), number("shown"), number("pixels") as usize, number("agree"));
    let stream = |k: u64| values(100 * image + classes + k, count);
    let (mut truth, mut found, coin) = (stream(0), stream(1), stream(2));
    for ((truth, found), coin) in truth.iter_mut().zip(&mut found).zip(coin) {
        *truth = if *truth >= 240 { IGNORED } else { (u64::from(*truth) % shown) as u8 };
        let agrees = u64::from(coin) < agree && u64::from(*truth) < classes;
        *found = if agrees { *truth } else { (u64::from(*found) % classes) as u8 };
    }
    let mask = |labels: Vec<u8>| Mask::new(labels.len(), 1, labels).unwrap();
    (mask(truth), mask(found))
}

#[test]
fn figures_equal_numpys_to_the_bit() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("metrics/figures.json")).unwrap();
    assert_eq!(cases.len(), 7);
    for case in &cases {
        let mut confusion = Confusion::new(case["classes"].as_u64().unwrap() as usize);
        for image in 0..3 {
            let (truth, found) = masks(case, image);
            confusion.add(&truth, &found).unwrap();
        }
        let figures = confusion.figures();
        let of = format!("{} classes, {} shown", case["classes"], case["shown"]);
        for (name, found) in [
            ("pixel_accuracy", figures.pixel_accuracy),
            ("mean_accuracy", figures.mean_accuracy),
            ("mean_iou", figures.mean_iou),
            ("frequency_weighted_iou", figures.frequency_weighted_iou),
        ] {
            assert_eq!(found.to_bits(), case[name].as_u64().unwrap(), "{name} of {of}: {found}");
        }
        for (name, found) in [("accuracy", figures.accuracy), ("iou", figures.iou)] {
            let expected = case[name].as_array().unwrap();
            assert_eq!(found.len(), expected.len());
            for (class, (found, expected)) in found.iter().zip(expected).enumerate() {
                let expected = f64::from_bits(expected.as_u64().unwrap());
                let same = found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan();
                assert!(same, "{name} of class {class} of {of}: {found} {expected}");
            }
        }
    }
}
