//! Pixels and tensors equal those of timm's transforms for evaluation over Pillow, in all crop modes.
//! `timm/make_fixtures.py` makes them.

mod common;

use common::{fnv1a, noise};
use hardnet_data::{Convention, CropMode, Isa, Pipeline, PipelineError, Resampling, Resizer};
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixtures {
    settings: Vec<Setting>,
    cases: Vec<Case>,
}

#[derive(Clone, Copy, Deserialize)]
struct Setting {
    side: u32,
    crop_pct: f64,
    mean: [f32; 3],
    std: [f32; 3],
}

#[derive(Deserialize)]
struct Case {
    mode: CropMode,
    interpolation: Resampling,
    setting: usize,
    from: [usize; 2],
    channels: usize,
    pixels_fnv: String,
    tensor_fnv: String,
}

#[test]
fn crop_modes_equal_timms() {
    let Fixtures { settings, cases } =
        serde_json::from_str(include_str!("timm/fixtures.json")).expect("the fixtures are JSON");
    assert!(CropMode::ALL.iter().all(|mode| cases.iter().filter(|case| case.mode == *mode).count() >= 100));
    let mut resizers: Vec<_> = Isa::of_f32().into_iter().map(Resizer::with_isa).collect();
    for case in cases {
        let Setting { side, crop_pct, mean, std } = settings[case.setting];
        let name = format!("{} {:?} x{} {side} {}", case.mode, case.from, case.channels, case.interpolation);
        let image = noise(case.from[0], case.from[1], case.channels);
        let mut pipeline = Pipeline::pil_bilinear()
            .with_image_size(side)
            .with_crop_pct(crop_pct)
            .expect("a fraction")
            .with_interpolation(case.interpolation)
            .with_crop_mode(case.mode);
        (pipeline.mean, pipeline.std) = (mean, std);
        let pixels = pipeline.crop_pixels(&image).expect("the pipeline is valid");
        assert_eq!((pixels.width(), pixels.height()), (side as usize, side as usize), "{name}");
        assert_eq!(fnv1a(pixels.samples().iter().copied()), case.pixels_fnv, "{name}");
        for resizer in &mut resizers {
            let mut tensor = vec![0.0; 3 * pixels.width() * pixels.height()];
            pipeline.tensor_with(resizer, &image, &mut tensor).expect("the pipeline is valid");
            let found = fnv1a(tensor.iter().flat_map(|value| value.to_le_bytes()));
            assert_eq!(found, case.tensor_fnv, "{resizer:?} {name}");
        }
    }
}

#[test]
fn crop_modes_are_stored_and_only_timms() {
    let pipeline = Pipeline::pil_bilinear().with_crop_mode(CropMode::Border);
    let json = serde_json::to_string(&pipeline).expect("pipelines can be stored");
    assert!(json.contains(r#""crop_mode":"border""#), "{json}");
    assert_eq!(serde_json::from_str::<Pipeline>(&json).expect("stored pipelines are read"), pipeline);
    assert_eq!(pipeline.name(), None);
    let json = serde_json::to_string(&Pipeline::pil_bilinear()).expect("pipelines can be stored");
    assert!(!json.contains("crop_mode"), "{json}");
    let error = Pipeline::paddleclas().with_crop_mode(CropMode::Squash).validate().expect_err("not of PaddleClas");
    let expected = "`crop_mode` is squash, expected center, the only one of the convention `paddleclas`";
    assert_eq!(error.to_string(), expected);
    let is_of_paddleclas = matches!(error, PipelineError::CropMode { convention: Convention::PaddleClas, .. });
    assert!(is_of_paddleclas, "{error:?}");
}

/// Of 1,000 columns and one row, 28 columns and no row are left; timm cannot resize it either.
#[test]
fn an_image_that_has_no_row_left_is_an_error() {
    let pipeline = Pipeline::pil_bilinear().with_image_size(28).with_crop_mode(CropMode::Border);
    let error = pipeline.tensor(&noise(1000, 1, 3)).expect_err("no rows are left");
    assert!(matches!(error, PipelineError::Image(_)), "{error}");
}
