//! From logits to classes, against PyTorch: `scores/make_scores.py`.

use hardnet_graph::Alignment;
use hardnet_segmentation::{Averaging, Merge, Scores, View};
use serde_json::Value;

/// The logits of the script.
fn scores(classes: usize, width: usize, height: usize, seed: u64) -> Scores {
    let value = |i: u64| ((i * 2_654_435_761 + seed * 40_503) % 65_521) as f32 / 8192.0;
    Scores::new(classes, width, height, (0..(classes * width * height) as u64).map(value).collect()).unwrap()
}

fn pair(value: &Value) -> (usize, usize) {
    let side = |index: usize| value[index].as_u64().unwrap() as usize;
    (side(0), side(1))
}

fn alignment(case: &Value) -> Alignment {
    if case["corners"] == true { Alignment::Corners } else { Alignment::HalfPixel }
}

#[test]
fn classes_are_pytorchs() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("scores/scores.json")).unwrap();
    assert_eq!(cases.len(), 7);
    for (number, case) in cases.iter().enumerate() {
        let classes = case["classes"].as_u64().unwrap() as usize;
        let views = case["views"].as_array().unwrap().iter().zip(0..).map(|(view, seed)| {
            let ((width, height), input) = (pair(&view[0]), pair(&view[1]));
            View::new(scores(classes, width, height, seed), input)
        });
        let views: Vec<_> = views.collect();
        let (width, height) = pair(&case["output"]);
        let averaging = if case["probabilities"] == true { Averaging::Probabilities } else { Averaging::Logits };
        let merge = Merge::new(alignment(case), pair(&case["base"])).averaging(averaging).output(width, height);
        let mask = merge.classes(&views);
        let text = case["labels"].as_str().unwrap();
        let expected: Vec<_> =
            (0..mask.labels().len()).map(|i| u8::from_str_radix(&text[2 * i..][..2], 16).unwrap()).collect();
        let clear = expected.iter().filter(|label| **label != 255).count();
        assert!(clear * 100 > 99 * expected.len(), "case {number}");
        let differ =
            expected.iter().zip(mask.labels()).filter(|(expected, found)| **expected != 255 && expected != found);
        assert_eq!(differ.count(), 0, "case {number}");
        for threads in [2, 3, 7, 100] {
            assert_eq!(merge.threads(threads).classes(&views), mask, "case {number}, {threads} threads");
        }
    }
}

#[test]
fn resized_logits_are_those_between_pixels() {
    let scores = Scores::new(1, 2, 1, vec![0.0, 4.0]).unwrap();
    assert_eq!(scores.resized(4, 1, Alignment::HalfPixel).values(), [0.0, 1.0, 3.0, 4.0]);
    assert_eq!(scores.resized(5, 1, Alignment::Corners).values(), [0.0, 1.0, 2.0, 3.0, 4.0]);
    assert_eq!(scores.clone().mirrored().values(), [4.0, 0.0]);
}

#[test]
fn the_first_of_equal_classes_wins() {
    let scores = Scores::new(3, 2, 1, vec![1.0, 0.0, 1.0, 2.0, 0.5, 2.0]).unwrap();
    assert_eq!(Merge::new(Alignment::Corners, (2, 1)).classes(&[View::new(scores, (2, 1))]).labels(), [0, 1]);
}

#[test]
fn shapes_are_checked() {
    assert!(Scores::new(3, 2, 1, vec![0.0; 5]).is_err());
    assert!(Scores::new(0, 2, 1, Vec::new()).is_err());
    assert!(Scores::new(256, 1, 1, vec![0.0; 256]).is_err());
    let error = Scores::new(usize::MAX, 2, 1, vec![0.0; 5]).unwrap_err();
    assert!(error.to_string().starts_with("5 logits, expected"), "{error}");
}
