use super::*;
use crate::{Channels, Purpose};

fn random(index: u32) -> RandomStream {
    RandomStream::new(5, Purpose::Augmentation, [0, index])
}

/// A pipeline that changes no pixel of a square image of `side` and gives samples as they are, in 0..=255.
fn plain(side: u32) -> Pipeline {
    let mut pipeline = Pipeline::pil_bilinear();
    (pipeline.resize, pipeline.crop) = (side, side);
    (pipeline.mean, pipeline.std) = ([0.0; 3], [1.0 / 255.0; 3]);
    pipeline
}

fn tensor(augmentation: &Augmentation, image: &Image, side: u32, index: u32) -> Vec<f32> {
    let mut out = vec![0.0; 3 * (side * side) as usize];
    augmentation.tensor_with(&plain(side), &mut Resizer::new(), image, &mut random(index), &mut out).unwrap();
    out
}

/// The red plane, rounded to levels.
fn red(tensor: &[f32]) -> Vec<u8> {
    tensor[..tensor.len() / 3].iter().map(|value| value.round() as u8).collect()
}

#[test]
fn nothing_at_random_is_the_pipeline() {
    let samples = (0..7 * 5 * 3).map(|value| (value * 7) as u8).collect();
    let image = Image::from_rgb8(7, 5, samples).unwrap();
    let pipeline = Pipeline::pil_bilinear().with_image_size(16);
    let mut out = vec![0.0; 3 * 16 * 16];
    Augmentation::none().tensor_with(&pipeline, &mut Resizer::new(), &image, &mut random(0), &mut out).unwrap();
    assert_eq!(out, pipeline.tensor(&image).unwrap());
}

#[test]
fn a_mirror_exchanges_left_and_right_of_all_channels() {
    let image = Image::from_rgb8(2, 2, (1..=12).collect()).unwrap();
    let mirrored = tensor(&Augmentation::none().with_flip(1.0), &image, 2, 0);
    let levels: Vec<u8> = mirrored.iter().map(|value| value.round() as u8).collect();
    assert_eq!(levels, [4, 1, 10, 7, 5, 2, 11, 8, 6, 3, 12, 9]);
}

#[test]
fn a_padded_crop_is_every_shift_equally_often() {
    let image = Image::new(3, 3, Channels::Gray, (1..=9).collect()).unwrap();
    let augmentation = Augmentation::none().with_crop(RandomCrop::Padded { padding: 2 });
    let mut counts = std::collections::BTreeMap::new();
    for index in 0..5000 {
        *counts.entry(red(&tensor(&augmentation, &image, 3, index))).or_insert(0u32) += 1;
    }
    // The naive rule: the image in a border of two, and of that each of 25 windows.
    let padded = |x: usize, y: usize| {
        if (2..5).contains(&x) && (2..5).contains(&y) { ((y - 2) * 3 + x - 2 + 1) as u8 } else { 0 }
    };
    let window = |x0: usize, y0: usize| -> Vec<u8> { (0..9).map(|at| padded(x0 + at % 3, y0 + at / 3)).collect() };
    let mut windows: Vec<_> = (0..25).map(|at| window(at % 5, at / 5)).collect();
    windows.sort();
    assert_eq!(counts.keys().cloned().collect::<Vec<_>>(), windows);
    assert!(counts.values().all(|&count| count.abs_diff(200) < 84), "{counts:?}");
}

#[test]
fn a_border_wider_than_the_picture_may_leave_nothing() {
    let image = Image::new(3, 3, Channels::Gray, vec![9; 9]).unwrap();
    let augmentation = Augmentation::none().with_crop(RandomCrop::Padded { padding: 40 });
    assert!((0..50).any(|index| red(&tensor(&augmentation, &image, 3, index)) == [0; 9]));
}

#[test]
fn a_resized_crop_is_pillows_resize_of_the_part() {
    let (width, height) = (40, 30);
    let samples = (0..width * height * 3).map(|at| (at * at % 251) as u8).collect();
    let image = Image::from_rgb8(width, height, samples).unwrap();
    let crop = RandomCrop::Resized { scale: [0.2, 0.9], ratio: [0.5, 2.0] };
    let found = tensor(&Augmentation::none().with_crop(crop), &image, 16, 3);
    let (columns, rows) = rectangle((width, height), [0.2, 0.9], [0.5, 2.0], &mut random(3));
    assert!(columns.len() < width && rows.len() < height, "{columns:?} {rows:?}");
    let expected = crate::resize(&image.part(columns, rows), 16, 16, crate::Interpolation::Bilinear).unwrap();
    let expected: Vec<u8> = expected.samples().iter().step_by(3).copied().collect();
    assert_eq!(red(&found), expected);
}

#[test]
fn shapes_that_no_attempt_fits_are_centered() {
    // RandomResizedCrop.get_params of torchvision with scale (1, 1), whose attempts cannot fit such images.
    let ratio = [3.0 / 4.0, 4.0 / 3.0];
    for ((width, height), expected) in
        [((10, 100), (0..10, 43..56)), ((100, 10), (43..56, 0..10)), ((1, 64), (0..1, 31..32))]
    {
        assert_eq!(rectangle((width, height), [1.0, 1.0], ratio, &mut random(0)), expected, "{width}x{height}");
    }
}

#[test]
fn numbers_without_sense_are_named() {
    let resized = |scale, ratio| Augmentation::none().with_crop(RandomCrop::Resized { scale, ratio });
    let message = |augmentation: Augmentation| augmentation.validate().unwrap_err().to_string();
    assert_eq!(message(Augmentation::none().with_flip(1.5)), "`flip` is 1.5, expected a probability from 0 to 1");
    assert_eq!(
        message(resized([0.0, 1.0], [1.0, 1.0])),
        "`scale` is 0, expected a share of the area above 0 and at most 1"
    );
    assert_eq!(message(resized([0.9, 0.2], [1.0, 1.0])), "`scale` is 0.2, expected the greater number last");
    assert_eq!(
        message(resized([0.5, 1.0], [1.0, f64::INFINITY])),
        "`ratio` is inf, expected a width divided by a height, above 0"
    );
    let padded = Augmentation::none().with_crop(RandomCrop::Padded { padding: 5000 });
    assert_eq!(message(padded), "`padding` is 5000, expected at most 4096 pixels");
    Augmentation::imagenet().validate().unwrap();
}

/// `tests/torchvision/crops.json`, which `crops.py` in the same folder wrote.
fn crops() -> serde_json::Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/torchvision/crops.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn resized_crops_have_torchvisions_distribution() {
    const DRAWS: u32 = 40_000;
    let pair = |value: &serde_json::Value| [value[0].as_f64().unwrap(), value[1].as_f64().unwrap()];
    let table = crops();
    for case in table["cases"].as_array().unwrap() {
        let size = pair(&case["size"]).map(|side| side as usize);
        let (scale, ratio) = (pair(&case["scale"]), pair(&case["ratio"]));
        let rectangles: Vec<_> =
            (0..DRAWS).map(|index| rectangle((size[0], size[1]), scale, ratio, &mut random(index))).collect();
        type Measure = fn(&(Range<usize>, Range<usize>)) -> f64;
        let measures: [(&str, Measure); 4] = [
            ("area", |(columns, rows)| (columns.len() * rows.len()) as f64),
            ("ratio", |(columns, rows)| columns.len() as f64 / rows.len() as f64),
            ("left", |(columns, _)| columns.start as f64),
            ("top", |(_, rows)| rows.start as f64),
        ];
        for (name, measure) in measures {
            let unit = if name == "area" { (size[0] * size[1]) as f64 } else { 1.0 };
            let mut found: Vec<f64> = rectangles.iter().map(|rectangle| measure(rectangle) / unit).collect();
            found.sort_by(f64::total_cmp);
            let deviation = case["deviations"][name].as_f64().unwrap();
            let mean = found.iter().sum::<f64>() / f64::from(DRAWS);
            let expected = case["means"][name].as_f64().unwrap();
            // Five deviations of the difference of the two means.
            let tolerance = 5.0 * deviation * (1.0 / f64::from(DRAWS) + 1.0 / 200_000.0).sqrt();
            assert!((mean - expected).abs() <= tolerance + 1e-6, "{size:?} {name}: mean {mean}, not {expected}");
            for (at, quantile) in case["quantiles"][name].as_array().unwrap().iter().enumerate() {
                let place = (at + 1) as f64 / 20.0;
                // The share of draws at or below the quantile, whose values are often the same.
                let rank = |value: f64| found.partition_point(|&other| other <= value) as f64 / f64::from(DRAWS);
                let (below, through) =
                    (rank(quantile.as_f64().unwrap() - 1e-5), rank(quantile.as_f64().unwrap() + 1e-5));
                assert!(
                    below - 0.01 <= place && place <= through + 0.01,
                    "{size:?} {name} {place}: {below}, {through}"
                );
            }
        }
    }
}
