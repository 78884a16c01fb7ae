//! Losses, gradients, colors and crops of training, against PyTorch and Pillow: `training/make_losses.py`.

use hardnet_data::{Image, Purpose, RandomStream, Resizer};
use hardnet_segmentation::training::{Augmentation, Loss, LossError, with_colors};
use hardnet_segmentation::{IGNORED, Mask, scenes};
use serde_json::Value;

fn logits(count: usize, seed: u64) -> Vec<f32> {
    let value = |i: u64| ((i * i * 7_919 + i * 40_503 + seed * 9_973) % 65_521) as f64 / 8192.0 - 4.0;
    (0..count as u64).map(|i| value(i) as f32).collect()
}

fn truth(pixels: usize, classes: usize) -> Vec<u8> {
    let class = |pixel: usize| if pixel % 7 == 3 { IGNORED } else { ((pixel * 5 + pixel / 11) % classes) as u8 };
    (0..pixels).map(class).collect()
}

#[test]
fn losses_and_gradients_are_pytorchs() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("training/losses.json")).unwrap();
    assert_eq!(cases.len(), 10);
    for (number, case) in cases.iter().enumerate() {
        let size = |name: &str| case[name].as_u64().unwrap() as usize;
        let (classes, pixels) = (size("classes"), size("pixels"));
        let loss = match case["bootstrap"].as_array() {
            None => Loss::CrossEntropy,
            Some(pair) => {
                Loss::Bootstrapped { least: pair[0].as_u64().unwrap() as usize, threshold: pair[1].as_f64().unwrap() }
            }
        };
        let (logits, truth) = (logits(classes * pixels, size("seed") as u64), truth(pixels, classes));
        let mut gradient = vec![f32::NAN; classes * pixels];
        let found = loss.compute(classes, &logits, &truth, &mut gradient).unwrap();
        let expected = case["loss"].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-12 * expected.abs().max(1.0), "case {number}: {found} {expected}");
        for (place, (found, expected)) in gradient.iter().zip(case["gradient"].as_array().unwrap()).enumerate() {
            let expected = expected.as_f64().unwrap();
            // One rounding to f32.
            let error = (f64::from(*found) - expected).abs();
            assert!(error <= 6e-8 * expected.abs() + 1e-15, "case {number}, {place}: {found} {expected}");
        }
    }
}

#[test]
fn an_image_without_classes_has_no_loss_and_no_gradient() {
    let mut gradient = [1.0; 6];
    assert_eq!(Loss::CrossEntropy.compute(2, &[1.0; 6], &[IGNORED; 3], &mut gradient), Ok(0.0));
    assert_eq!(gradient, [0.0; 6]);
    let error = Loss::CrossEntropy.compute(2, &[1.0; 6], &[0, 2, 1], &mut gradient).unwrap_err();
    assert_eq!(error, LossError::Class { pixel: 1, class: 2, classes: 2 });
    assert!(matches!(Loss::fchardnet().compute(2, &[1.0; 5], &[0; 3], &mut gradient), Err(LossError::Shape { .. })));
}

/// The loss of two images, by PyTorch's of both as one.
#[test]
fn the_loss_of_a_batch_is_a_mean_over_pixels_or_images() {
    let (classes, pixels) = (2, 10);
    let (both, labels) = (logits(classes * 2 * pixels, 1), truth(2 * pixels, classes));
    // `[classes, images, pixels]` to `[images, classes, pixels]`.
    let row = |image: usize, class: usize| both[(class * 2 + image) * pixels..][..pixels].to_vec();
    let batch = [row(0, 0), row(0, 1), row(1, 0), row(1, 1)].concat();
    let mut expected = vec![0.0; batch.len()];
    let loss = Loss::CrossEntropy.compute(classes, &both, &labels, &mut expected).unwrap();
    let mut gradient = vec![0.0; batch.len()];
    let found = Loss::CrossEntropy.compute_batch(classes, pixels, &batch, &labels, &mut gradient).unwrap();
    assert!((found - loss).abs() < 1e-12, "{found} {loss}");
    for (place, value) in gradient.iter().enumerate() {
        let (image, class, pixel) = (place / (2 * pixels), place / pixels % 2, place % pixels);
        assert!((value - expected[(class * 2 + image) * pixels + pixel]).abs() < 1e-8, "{place}");
    }
    let hard = Loss::Bootstrapped { least: 3, threshold: 100.0 };
    let each = [0, 1].map(|image| {
        let (logits, labels) = (&batch[image * 20..][..20], &labels[image * pixels..][..pixels]);
        hard.compute(classes, logits, labels, &mut [0.0; 20]).unwrap()
    });
    let found = hard.compute_batch(classes, pixels, &batch, &labels, &mut gradient).unwrap();
    assert!((found - (each[0] + each[1]) / 2.0).abs() < 1e-12, "{found} {each:?}");
    assert!(hard.compute_batch(classes, 0, &batch, &labels, &mut gradient).is_err());
    assert!(hard.compute_batch(classes, pixels, &batch, &labels[1..], &mut gradient).is_err());
}

#[test]
fn colors_are_pillows() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("training/colors.json")).unwrap();
    let picture = || Image::from_rgb8(9, 5, (0..135).map(|i| ((i * 37 + i / 5) % 256) as u8).collect()).unwrap();
    for case in cases {
        let factors = [0, 1, 2].map(|i| case["factors"][i].as_f64().unwrap() as f32);
        let expected: Vec<_> = case["samples"].as_array().unwrap().iter().map(|s| s.as_u64().unwrap() as u8).collect();
        assert_eq!(with_colors(picture(), factors).samples(), expected, "{factors:?}");
    }
}

/// An image whose pixels say where they are, and a mask that says the same.
fn coordinates(width: usize, height: usize) -> (Image, Mask) {
    let place = |i: usize| ((i % width) as u8, (i / width) as u8);
    let samples = (0..width * height).flat_map(|i| [1 + place(i).0, 1 + place(i).1, 77]).collect();
    let labels = (0..width * height).map(|i| (place(i).0 + 16 * place(i).1) % 251).collect();
    (Image::from_rgb8(width, height, samples).unwrap(), Mask::new(width, height, labels).unwrap())
}

#[test]
fn image_and_mask_are_changed_alike_and_padding_is_ignored() {
    let (image, mask) = coordinates(30, 14);
    // Without a change of size each pixel still says where it was, whatever the crop and the mirroring.
    let augmentation = Augmentation::fchardnet(24, 20).with_scale(1.0, 1.0);
    let (mut padded, mut flipped, mut firsts) = (0, 0, std::collections::BTreeSet::new());
    for index in 0..200 {
        let mut random = RandomStream::new(1, Purpose::Augmentation, [0, index]);
        let (image, mask) = augmentation.apply(&mut Resizer::new(), &image, &mask, &mut random).unwrap();
        assert_eq!((image.width(), image.height(), mask.width(), mask.height()), (24, 20, 24, 20));
        for (pixel, &label) in image.samples().as_chunks::<3>().0.iter().zip(mask.labels()) {
            match *pixel {
                [0, 0, 0] => assert_eq!(label, IGNORED),
                [x, y, 77] => assert_eq!(label, (x - 1 + 16 * (y - 1)) % 251),
                other => panic!("{other:?}"),
            }
        }
        padded += mask.labels().iter().filter(|label| **label == IGNORED).count();
        let row: Vec<_> = image.samples().as_chunks::<3>().0[10 * 24..11 * 24].iter().map(|pixel| pixel[0]).collect();
        flipped += usize::from(row[3] > row[4]);
        firsts.insert(row[0].min(row[23]));
    }
    assert!(padded > 0 && (60..140).contains(&flipped) && firsts.len() == 7, "{padded} {flipped} {firsts:?}");
}

#[test]
fn a_scaled_mask_keeps_its_classes_and_draws_depend_on_the_stream_alone() {
    let scene = scenes::draw(3, 0, 64, 48);
    let augmentation = Augmentation::fchardnet(32, 32).with_color(0.4);
    let draw = |place: u32| {
        let mut random = RandomStream::new(2, Purpose::Augmentation, [0, place]);
        augmentation.apply(&mut Resizer::new(), &scene.image, &scene.mask, &mut random).unwrap()
    };
    assert_eq!(draw(4), draw(4));
    assert_ne!(draw(4).0, draw(5).0);
    assert!((0..20).all(|place| draw(place).1.labels().iter().all(|label| *label < 5 || *label == IGNORED)));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let fine = Augmentation::fchardnet(8, 8);
    for wrong in [
        Augmentation::fchardnet(0, 8),
        fine.with_scale(2.0, 1.0),
        fine.with_scale(0.0, 1.0),
        fine.with_flip(1.5),
        fine.with_color(f64::NAN),
    ] {
        assert!(wrong.validate().is_err(), "{wrong:?}");
    }
    let (image, _) = coordinates(5, 4);
    let (_, mask) = coordinates(4, 5);
    let mut random = RandomStream::new(1, Purpose::Augmentation, [0, 0]);
    assert!(fine.apply(&mut Resizer::new(), &image, &mask, &mut random).is_err());
}
