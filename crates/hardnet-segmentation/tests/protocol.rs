//! Inputs of the published protocols, against Pillow, OpenCV and NumPy: `protocol/make_tensors.py`.

use hardnet_data::Image;
use hardnet_segmentation::{InputSize, Protocol};
use serde_json::Value;

/// The picture of the script.
fn picture(width: usize, height: usize) -> Image {
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let level = |x: usize, y: usize, c: usize| ((x * 7 + y * 13 + c * 57 + (x * y) / 5) % 256) as u8;
    let samples = pixels.flat_map(|(x, y)| [0, 1, 2].map(|c| level(x, y, c))).collect();
    Image::from_rgb8(width, height, samples).unwrap()
}

#[test]
fn inputs_equal_those_of_the_protocols_to_the_bit() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("protocol/tensors.json")).unwrap();
    assert_eq!(cases.len(), 10);
    for case in &cases {
        let pair = |name: &str| [0, 1].map(|i| case[name][i].as_u64().unwrap());
        let ([width, height], name) = (pair("size"), case["protocol"].as_str().unwrap());
        let [columns, rows] = pair("source").map(|side| side as usize);
        let size = InputSize::Fixed { width: width as u32, height: height as u32 };
        let tensor = name.parse::<Protocol>().unwrap().with_size(size).input(&picture(columns, rows)).unwrap();
        assert_eq!((tensor.width as u64, tensor.height as u64), (width, height));
        let bits: Vec<_> = tensor.values.iter().map(|value| u64::from(value.to_bits())).collect();
        let some: Vec<_> = case["some"].as_array().unwrap().iter().map(|bits| bits.as_u64().unwrap()).collect();
        let found: Vec<_> = bits.iter().step_by((bits.len() / 16).max(1)).take(16).copied().collect();
        assert_eq!(found, some, "{name} {width}x{height}");
        let digest = bits.iter().fold(0u64, |digest, bits| digest.wrapping_mul(1_099_511_628_211).wrapping_add(*bits));
        assert_eq!(digest, case["digest"].as_u64().unwrap(), "{name} {width}x{height}");
    }
}

#[test]
fn a_protocol_that_does_not_resize_takes_any_size() {
    let input = Protocol::paddleseg().input(&picture(13, 5)).unwrap();
    assert_eq!((input.width, input.height, input.values.len()), (13, 5, 3 * 13 * 5));
    let input = Protocol::fchardnet().input(&picture(13, 5)).unwrap();
    assert_eq!((input.width, input.height), (2048, 1024));
}

#[test]
fn gray_images_have_three_equal_channels_before_they_are_normalized() {
    let gray = Image::new(2, 1, hardnet_data::Channels::Gray, vec![7, 200]).unwrap();
    for protocol in [Protocol::paddleseg(), Protocol::fchardnet().with_size(InputSize::Image)] {
        assert_eq!(protocol.input(&gray).unwrap(), protocol.input(&gray.clone().into_rgb()).unwrap());
    }
}
