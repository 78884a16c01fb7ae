//! The pipeline equals torchvision's transforms over Pillow, byte for byte and bit for bit.

mod common;

use common::{fixtures, fnv1a, noise};
use hardnet_data::{Channels, Image, ImageError, Interpolation, Pipeline, PipelineError, Resizer};
use hardnet_simd::Isa;

fn pipeline(resize: u32, crop: u32, interpolation: Interpolation) -> Pipeline {
    let mut pipeline = Pipeline::pil_bilinear().with_interpolation(interpolation);
    (pipeline.resize, pipeline.crop) = (resize, crop);
    pipeline
}

#[test]
fn crops_and_tensors_equal_torchvision() {
    let cases = fixtures().pipeline;
    assert!(cases.len() >= 70);
    let mut resizers: Vec<_> = Isa::of_f32().into_iter().map(Resizer::with_isa).collect();
    for case in cases {
        let image = noise(case.from[0], case.from[1], case.channels);
        let pipeline = pipeline(case.resize, case.crop, case.filter.parse().unwrap());
        let name = format!("{:?} x{} {} {} {}", case.from, case.channels, case.resize, case.crop, case.filter);

        let pixels = pipeline.crop_pixels(&image).unwrap();
        match pipeline.resized_pixels(&image) {
            Ok(resized) => check_crop(&resized.into_rgb(), &pixels, &name),
            // An image of 85,248 columns; the crop needs 224 of them.
            Err(error) => {
                let is_side = matches!(error, PipelineError::Image(ImageError::Side { value: 85_248, .. }));
                assert!(is_side, "{name}: {error}");
            }
        }
        assert_eq!((pixels.width(), pixels.height()), (case.crop as usize, case.crop as usize), "{name}");
        assert_eq!(pixels.channels(), Channels::Rgb);
        assert_eq!(fnv1a(pixels.samples().iter().copied()), case.pixels_fnv, "{name}");

        for resizer in &mut resizers {
            let mut tensor = vec![0.0; 3 * pixels.width() * pixels.height()];
            pipeline.tensor_with(resizer, &image, &mut tensor).unwrap();
            let found = fnv1a(tensor.iter().flat_map(|value| value.to_le_bytes()));
            assert_eq!(found, case.tensor_fnv, "{resizer:?} {name}");
        }
    }
}

/// `pixels` is what torchvision's `CenterCrop` keeps of `resized`: margins are `int(round((side - crop) / 2.0))`,
/// halves to even.
fn check_crop(resized: &Image, pixels: &Image, name: &str) {
    let crop = pixels.width();
    let margin = |side: usize| ((side - crop) as f64 / 2.0).round_ties_even() as usize;
    let (left, top) = (margin(resized.width()), margin(resized.height()));
    let rows = resized.samples().chunks_exact(3 * resized.width()).skip(top).take(crop);
    let kept: Vec<u8> = rows.flat_map(|row| &row[3 * left..][..3 * crop]).copied().collect();
    assert!(kept == pixels.samples(), "{name}");
}

#[test]
fn extreme_ratios_take_the_memory_of_the_crop() {
    // Rows of `wide` are all alike, and so are columns: the picture a transposition gives must be the transposed one.
    let ramp = |length: usize| (0..length).map(|x| (x / 7 % 256) as u8).collect::<Vec<_>>();
    for length in [30_000, 20_000_000] {
        let tall = Image::new(1, length, Channels::Gray, ramp(length)).unwrap();
        let wide = Image::new(length, 1, Channels::Gray, ramp(length)).unwrap();
        for filter in [Interpolation::Bilinear, Interpolation::Bicubic] {
            let pipeline = pipeline(256, 224, filter);
            let (tall, wide) = (pipeline.crop_pixels(&tall).unwrap(), pipeline.crop_pixels(&wide).unwrap());
            for y in 0..224 {
                for x in 0..224 {
                    let (a, b) = (3 * (224 * y + x), 3 * (224 * x + y));
                    assert_eq!(tall.samples()[a], wide.samples()[b], "{length} {filter} {x} {y}");
                }
            }
        }
    }
}

#[test]
fn tensor_into_checks_the_length_and_leaves_the_rest() {
    let image = noise(9, 9, 3);
    let pipeline = pipeline(8, 4, Interpolation::Bilinear);
    for len in [0, 47, 49] {
        let mut out = vec![7.0; len];
        let error = pipeline.tensor_into(&image, &mut out).unwrap_err();
        assert!(matches!(error, PipelineError::OutputLength { expected: 48, found } if found == len), "{error}");
        assert!(out.iter().all(|&value| value == 7.0));
    }
    let mut out = vec![7.0; 48];
    pipeline.tensor_into(&image, &mut out).unwrap();
    assert_eq!(out, pipeline.tensor(&image).unwrap());
}

#[test]
fn senseless_pipelines_are_refused() {
    let image = noise(9, 9, 3);
    let refused = |change: fn(&mut Pipeline)| {
        let mut pipeline = Pipeline::pil_bilinear();
        change(&mut pipeline);
        let error = pipeline.validate().unwrap_err().to_string();
        assert_eq!(pipeline.tensor(&image).unwrap_err().to_string(), error);
        assert_eq!(pipeline.crop_pixels(&image).unwrap_err().to_string(), error);
        error
    };
    assert_eq!(refused(|pipeline| pipeline.crop = 0), "`crop` is 0, expected 1..=4096 pixels");
    assert_eq!(refused(|pipeline| pipeline.resize = 0), "`resize` is 0, expected 1..=4096 pixels");
    assert_eq!(refused(|pipeline| pipeline.resize = u32::MAX), "`resize` is 4294967295, expected 1..=4096 pixels");
    assert_eq!(
        refused(|pipeline| pipeline.crop = 257),
        "`crop` of 257 pixels is larger than `resize` of 256, expected crop <= resize"
    );
    assert_eq!(refused(|pipeline| pipeline.mean[0] = f32::NAN), "`mean[0]` is NaN, expected a finite number");
    assert_eq!(refused(|pipeline| pipeline.std[1] = 0.0), "`std[1]` is 0, expected a finite number above 0");
    assert_eq!(
        refused(|pipeline| pipeline.std[2] = f32::INFINITY),
        "`std[2]` is inf, expected a finite number above 0"
    );
}

#[test]
fn names_and_json_round_trip() {
    for name in Pipeline::NAMES {
        let pipeline = name.parse::<Pipeline>().unwrap();
        pipeline.validate().unwrap();
        assert_eq!(pipeline.name(), Some(*name));
        let json = serde_json::to_string(&pipeline).unwrap();
        assert_eq!(serde_json::from_str::<Pipeline>(&json).unwrap(), pipeline);
    }
    assert_eq!(
        "pil-nearest".parse::<Pipeline>().unwrap_err().to_string(),
        "unknown pipeline `pil-nearest`, expected one of pil-bilinear, pil-bicubic, paddleclas, paddle-cv2"
    );
    assert_eq!(Pipeline::pil_bilinear().with_image_size(192).name(), None);

    let json = serde_json::to_string(&Pipeline::pil_bicubic()).unwrap();
    assert!(json.contains(r#""interpolation":"bicubic""#), "{json}");
    for changed in
        [json.replace("resize", "size"), json.replace("bicubic", "Bicubic"), json.replacen('{', "{\"x\":1,", 1)]
    {
        assert!(serde_json::from_str::<Pipeline>(&changed).is_err(), "{changed}");
    }
}

#[test]
fn an_unknown_interpolation_lists_the_known_ones() {
    for filter in Interpolation::ALL {
        assert_eq!(filter.to_string().parse(), Ok(filter));
    }
    let error = "cubic".parse::<Interpolation>().unwrap_err().to_string();
    assert_eq!(error, "unknown interpolation `cubic`, expected one of box, bilinear, hamming, bicubic, lanczos");
}
