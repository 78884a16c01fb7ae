//! Tensors equal those of PaddleClas and of Paddle's transforms, bit for bit. `paddle/make_fixtures.py` makes them.

mod common;

use common::{fnv1a, noise};
use hardnet_data::{Convention, Isa, Pipeline, Resampling, Resizer, opencv};
use serde_json::Value;

fn number(value: &Value) -> usize {
    value.as_u64().expect("a number") as usize
}

#[test]
fn tensors_equal_paddles() {
    let fixtures: Value = serde_json::from_str(include_str!("paddle/fixtures.json")).expect("the fixtures are JSON");
    let mut resizers: Vec<_> = Isa::of_f32().into_iter().map(Resizer::with_isa).collect();
    let cases = fixtures["pipeline"].as_array().expect("a list");
    assert!(cases.len() >= 40);
    for case in cases {
        let image = noise(number(&case["from"][0]), number(&case["from"][1]), 3);
        // Without IPP, OpenCV's cubic interpolation does not depend on the processor.
        let notebook = Pipeline::paddle_cv2().with_interpolation(opencv::Interpolation::Cubic);
        for (name, mut pipeline) in [("paddleclas", Pipeline::paddleclas()), ("paddle-cv2", notebook)] {
            (pipeline.resize, pipeline.crop) = (number(&case["resize"]) as u32, number(&case["crop"]) as u32);
            for resizer in &mut resizers {
                let mut tensor = vec![0.0; 3 * number(&case["crop"]).pow(2)];
                pipeline.tensor_with(resizer, &image, &mut tensor).expect("the pipeline is valid");
                let found = fnv1a(tensor.iter().flat_map(|value| value.to_le_bytes()));
                assert_eq!(Some(&found[..]), case[name].as_str(), "{resizer:?} {name} {case}");
            }
        }
    }
}

#[test]
fn pipelines_have_names_and_are_stored_as_text() {
    for name in Pipeline::NAMES {
        let pipeline: Pipeline = name.parse().expect("the name is known");
        assert_eq!(pipeline.name(), Some(*name));
        let json = serde_json::to_string(&pipeline).expect("pipelines can be stored");
        assert_eq!(serde_json::from_str::<Pipeline>(&json).expect("stored pipelines are read"), pipeline);
        assert_eq!(json.contains("convention"), name.starts_with("paddle"), "{json}");
    }
    let json = serde_json::to_string(&Pipeline::paddle_cv2()).expect("pipelines can be stored");
    assert!(json.contains(r#""interpolation":"cv2-cubic-ipp""#), "{json}");
    assert!(json.contains(r#""convention":"paddle-cv2""#), "{json}");
    for convention in Convention::ALL {
        assert_eq!(convention.name().parse(), Ok(convention));
    }
    assert!(Convention::PaddleCv2.is_bgr() && !Convention::PaddleClas.is_bgr());
    assert_eq!("cv2-area".parse(), Ok(Resampling::Opencv(opencv::Interpolation::Area)));
    let error = "cv2-lanczos".parse::<Resampling>().expect_err("the method is not known").to_string();
    assert!(
        error.ends_with("lanczos, cv2-nearest, cv2-linear, cv2-linear-exact, cv2-cubic, cv2-cubic-ipp, cv2-area"),
        "{error}"
    );
}
