//! Decoding by the option of OpenCV equals `cv2.imdecode(bytes, cv2.IMREAD_COLOR)`, and orientations are those that
//! OpenCV and Pillow find. `opencv/make_decoding.py` makes the results.

mod common;

use common::{file, fnv1a, from_hex};
use hardnet_data::{DecodeOptions, DecodeWarning, Decoded, Decoding, Exif, Orientation};
use serde::Deserialize;

/// `decoding.json`.
#[derive(Deserialize)]
struct Results {
    /// A file to which EXIF data are added.
    jpeg: String,
    exif: Vec<OrientationCase>,
    containers: Vec<OrientationCase>,
    stored: Vec<PixelCase>,
    files: Vec<PixelCase>,
}

#[derive(Deserialize)]
struct OrientationCase {
    name: String,
    hex: String,
    opencv: u8,
    pillow: u8,
}

#[derive(Deserialize)]
struct PixelCase {
    name: String,
    #[serde(default)]
    hex: String,
    size: Option<[usize; 2]>,
    fnv: Option<String>,
}

fn results() -> Results {
    serde_json::from_str(include_str!("opencv/decoding.json")).expect("decoding.json fits `Results`")
}

fn opencv() -> DecodeOptions {
    DecodeOptions::default().decoding(Decoding::OpenCv).exif(Exif::Apply)
}

fn decoded(name: &str, options: &DecodeOptions, bytes: &[u8]) -> Decoded {
    options.decode(bytes).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn with_exif(jpeg: &[u8], exif: &[u8]) -> Vec<u8> {
    let length = (exif.len() + 8) as u16;
    [&jpeg[..2], b"\xff\xe1", &length.to_be_bytes(), b"Exif\0\0", exif, &jpeg[2..]].concat()
}

/// Orientations that Pillow finds and that are not read here: fractions, headers that only Pillow takes, and those of
/// XMP packets and of ImageMagick's text chunks.
const UNREAD: [&str; 6] =
    ["little, rational", "big, rational", "big, version 43", "xmp alone.jpg", "profile.png", "xmp.png"];

#[test]
fn orientations_are_found_as_by_opencv_and_by_pillow() {
    let results = results();
    let jpeg = from_hex(&results.jpeg);
    let wrapped = results.exif.iter().map(|case| (case, with_exif(&jpeg, &from_hex(&case.hex))));
    let others = results.containers.iter().map(|case| (case, from_hex(&case.hex)));
    let mut wrong = Vec::new();
    for (case, bytes) in wrapped.chain(others) {
        let pillow = if UNREAD.contains(&case.name.as_str()) { 1 } else { case.pillow };
        for (decoding, expected) in [(Decoding::OpenCv, case.opencv), (Decoding::Pillow, pillow)] {
            let options = DecodeOptions::default().decoding(decoding);
            let found = decoded(&case.name, &options, &bytes);
            if found.orientation.number() != expected {
                wrong.push(format!("{}: {decoding:?} finds {expected}, we {:?}", case.name, found.orientation));
            }
            let is_told = found.warnings.contains(&DecodeWarning::OrientationIgnored);
            assert_eq!(is_told, !found.orientation.is_upright(), "{}", case.name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn orientations_turn_the_image_if_they_are_applied() {
    let results = results();
    for case in &results.containers {
        let bytes = from_hex(&case.hex);
        for decoding in [Decoding::OpenCv, Decoding::Pillow] {
            let options = DecodeOptions::default().decoding(decoding);
            let stored = decoded(&case.name, &options, &bytes);
            let turned = decoded(&case.name, &options.exif(Exif::Apply), &bytes);
            assert_eq!(turned.orientation, stored.orientation, "{}", case.name);
            assert_eq!(turned.image, stored.orientation.apply(stored.image), "{}", case.name);
            assert!(!turned.warnings.contains(&DecodeWarning::OrientationIgnored), "{}", case.name);
        }
    }
}

#[test]
fn exif_data_cut_anywhere_is_no_error() {
    let results = results();
    let jpeg = from_hex(&results.jpeg);
    for case in results.exif {
        let exif = from_hex(&case.hex);
        for length in 0..exif.len() {
            for options in [DecodeOptions::default(), opencv()] {
                decoded(&case.name, &options, &with_exif(&jpeg, &exif[..length]));
            }
        }
    }
}

/// All but JPEG, whose pixels depend on the decoder.
#[test]
fn pixels_equal_opencv() {
    let results = results();
    let stored = results.stored.iter().map(|case| (case, file(&case.name)));
    let small = results.files.iter().map(|case| (case, from_hex(&case.hex)));
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for (case, bytes) in stored.chain(small) {
        let is_jpeg = case.name.ends_with(".jpg");
        let (Some(size), Some(fnv)) = (case.size, &case.fnv) else {
            // OpenCV refuses it. We may read it, as Pillow does. A plain file lacks white space after its last number.
            let (ours, pillows) = (opencv().decode(&bytes), DecodeOptions::default().decode(&bytes));
            let [ours, pillows] = [ours, pillows].map(|read| read.ok().map(|decoded| decoded.image));
            if ours != pillows && case.name != "grey_plain_wide.pgm" {
                wrong.push(&case.name);
            }
            continue;
        };
        let image = decoded(&case.name, &opencv(), &bytes).image;
        assert_eq!([image.width(), image.height()], size, "{}", case.name);
        if is_jpeg && cfg!(not(feature = "exact-jpeg")) {
            continue;
        }
        compared += 1;
        if fnv1a(image.into_rgb().into_samples()) != *fnv {
            wrong.push(&case.name);
        }
    }
    // libjpeg alone smooths an incomplete progressive image.
    wrong.retain(|name| *name != "damaged_progressive.jpg");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(compared > 120, "{compared}");
}

/// The same decoder under both options: the difference is the arithmetic of CMYK.
#[test]
fn jpegs_differ_from_pillow_only_in_cmyk() {
    for case in results().stored.iter().filter(|case| case.name.ends_with(".jpg")) {
        let bytes = file(&case.name);
        let pillows = decoded(&case.name, &DecodeOptions::default(), &bytes).image.into_rgb();
        let ours = decoded(&case.name, &opencv().exif(Exif::Ignore), &bytes).image.into_rgb();
        let distances = ours.samples().iter().zip(pillows.samples()).map(|(a, b)| a.abs_diff(*b));
        let most = distances.max().expect("an image has pixels");
        let is_cmyk = case.name.starts_with("cmyk") || case.name.starts_with("ycck");
        assert!(if is_cmyk { (1..=2).contains(&most) } else { most == 0 }, "{}: {most}", case.name);
    }
}

#[test]
fn tiffs_are_turned_by_their_tag_in_any_case() {
    for number in 2..=8 {
        let bytes = file(&format!("orientation{number}.tif"));
        let decoded = |exif| decoded("tiff", &DecodeOptions::default().exif(exif), &bytes);
        assert_eq!(decoded(Exif::Ignore).image, decoded(Exif::Apply).image);
        assert_eq!(decoded(Exif::Apply).orientation, Orientation::Upright);
    }
}

#[test]
fn sixteen_bits_are_reduced_and_not_clipped() {
    for name in ["grey16.png", "grey16_little.tif", "grey_max65535.pgm"] {
        let warnings = decoded(name, &opencv(), &file(name)).warnings;
        assert_eq!(warnings, [DecodeWarning::SixteenBitReduced], "{name}");
    }
}
