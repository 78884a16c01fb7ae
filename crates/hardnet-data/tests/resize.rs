//! Resizing equals Pillow's, byte for byte, on every instruction set.

mod common;

use common::{fixtures, fnv1a, noise};
use hardnet_data::{Image, ImageError, Interpolation, Resizer, resize};
use hardnet_simd::Isa;

#[test]
fn every_filter_equals_pillow() {
    let cases = fixtures().resize;
    assert!(cases.len() >= 150);
    let mut resizers: Vec<_> = Isa::of_f32().into_iter().map(Resizer::with_isa).collect();
    for case in cases {
        let image = noise(case.from[0], case.from[1], case.channels);
        let filter: Interpolation = case.filter.parse().unwrap();
        for resizer in &mut resizers {
            let result = resizer.resize(&image, case.to[0], case.to[1], filter).unwrap();
            assert_eq!((result.width(), result.height()), (case.to[0], case.to[1]));
            assert_eq!(result.channels(), image.channels());
            let found = fnv1a(result.samples().iter().copied());
            assert_eq!(found, case.fnv, "{resizer:?} {:?} x{} to {:?} {filter}", case.from, case.channels, case.to);
        }
    }
}

#[test]
fn a_flat_picture_stays_flat() {
    for level in [0, 1, 127, 255] {
        let image = Image::from_rgb8(31, 17, vec![level; 31 * 17 * 3]).unwrap();
        for filter in Interpolation::ALL {
            let result = resize(&image, 50, 9, filter).unwrap();
            assert!(result.samples().iter().all(|&sample| sample == level), "{filter} {level}");
        }
    }
}

#[test]
fn absurd_sizes_are_refused() {
    let image = noise(1, 3000, 1);
    for (width, height) in [(0, 5), (5, 0), (65_537, 1), (1, usize::MAX)] {
        let error = resize(&image, width, height, Interpolation::Bilinear).unwrap_err();
        assert!(matches!(error, ImageError::Side { max: 65_536, .. }), "{error}");
    }
    let error = resize(&image, 65_536, 65_536, Interpolation::Bilinear).unwrap_err();
    assert!(matches!(error, ImageError::TooManyPixels { max_pixels: 178_956_970, .. }), "{error}");
}
