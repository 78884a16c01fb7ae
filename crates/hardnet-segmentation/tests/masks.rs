//! Mask files as Pillow writes them: `masks/make_masks.py`.

use std::path::Path;

use hardnet_segmentation::{IGNORED, LabelTable, Mask, MaskError, MaskReader, Palette, cityscapes};
use serde_json::Value;

const SIZE: (usize, usize) = (13, 7);

fn file(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/masks").join(name)).unwrap()
}

/// The classes of the script.
fn expected(classes: usize) -> Vec<u8> {
    let pixel = |i: usize| ((3 * (i % SIZE.0) + 5 * (i / SIZE.0)) % classes) as u8;
    (0..SIZE.0 * SIZE.1).map(pixel).collect()
}

fn read(name: &str, reader: &MaskReader) -> Mask {
    let mask = reader.decode(&file(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!((mask.width(), mask.height()), SIZE, "{name}");
    mask
}

fn indices(classes: usize) -> MaskReader {
    MaskReader::new(LabelTable::indices(classes))
}

#[test]
fn numbers_are_read_whatever_the_depth_and_the_palette() {
    for (name, classes) in [
        ("gray.png", 5),
        ("gray_alpha.png", 5),
        ("palette8.png", 5),
        ("bits1.png", 2),
        ("palette1.png", 2),
        ("palette2.png", 4),
        ("palette4.png", 16),
    ] {
        assert_eq!(read(name, &indices(classes)).labels(), expected(classes), "{name}");
    }
}

#[test]
fn colors_are_read_by_a_palette_and_refused_without_one() {
    for name in ["rgb.png", "rgba.png"] {
        assert_eq!(indices(5).decode(&file(name)), Err(MaskError::NoPalette), "{name}");
        let reader = indices(5).palette(Palette::cityscapes());
        assert_eq!(read(name, &reader).labels(), expected(5), "{name}");
    }
    // The second color of row 0 is class 3, which this palette does not have.
    let colors = cityscapes::classes().map(|label| label.color).take(3).collect();
    let error = indices(5).palette(Palette::new(colors).unwrap()).decode(&file("rgb.png")).unwrap_err();
    assert_eq!(error.to_string(), "the color 102,102,156 in column 1, row 0 is not in the table of colors");
}

#[test]
fn what_would_change_numbers_is_refused() {
    let error = |name: &str| indices(5).decode(&file(name)).unwrap_err().to_string();
    assert_eq!(error("gray16.png"), "the mask has 16 bits a sample, expected 8: the number of a class, or colors");
    assert!(error("transparent.png").starts_with("the pixel in column 4, row 2 of the mask is transparent"));
    assert_eq!(
        error("out_of_range.png"),
        "the label 9 in column 3, row 0 is not a class, expected 0 to 4, or 255 to ignore it"
    );
    let reader = MaskReader::new(LabelTable::indices(5).ignoring([9]));
    let mask = read("out_of_range.png", &reader);
    assert!(mask.labels().iter().zip(expected(5)).all(|(&found, class)| found == if class == 4 { 255 } else { class }));
    assert!(matches!(indices(5).decode(b"\xff\xd8\xff\xe0"), Err(MaskError::NotPng)));
    assert!(matches!(indices(5).decode(b""), Err(MaskError::NotPng)));
}

#[test]
fn a_damaged_file_is_an_error_wherever_it_ends() {
    for name in ["gray.png", "palette4.png", "rgba.png"] {
        let bytes = file(name);
        let reader = indices(16).palette(Palette::cityscapes());
        for length in 0..bytes.len() {
            // The last chunk is empty, and its check sum is not looked at.
            let complete = length + 4 >= bytes.len();
            let found = reader.decode(&bytes[..length]);
            assert!(complete || found.is_err(), "{name} of {length} bytes: {found:?}");
        }
        // A flipped bit gives an error or another mask, never a panic.
        for place in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[place] ^= 1 << (place % 8);
            let _ = reader.decode(&bytes);
        }
    }
}

#[test]
fn a_header_of_too_many_pixels_is_refused_before_anything_is_allocated() {
    let mut bytes = file("gray.png");
    bytes[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    let crc = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.to_be_bytes());
    assert_eq!(indices(5).decode(&bytes), Err(MaskError::TooManyPixels { width: 65_536, height: 65_536 }));
}

/// The check sum of a chunk.
fn crc32(bytes: &[u8]) -> u32 {
    let byte = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    };
    !bytes.iter().fold(!0, byte)
}

#[test]
fn written_masks_are_read_as_they_were() {
    let mut labels = expected(19);
    labels[5] = IGNORED;
    let mask = Mask::new(SIZE.0, SIZE.1, labels).unwrap();
    let palette = Palette::cityscapes();
    assert_eq!(indices(19).decode(&mask.encode_png()).unwrap(), mask);
    assert_eq!(indices(19).decode(&mask.encode_colored_png(&palette)).unwrap(), mask);
    // As the files of Cityscapes: label ids, of which 0 is ignored.
    let ids = mask.renumbered(&cityscapes::LABEL_IDS);
    assert_eq!(ids.labels()[..2], [7, 12]);
    assert_eq!(MaskReader::new(cityscapes::label_ids()).decode(&ids.encode_png()).unwrap(), mask);
}

#[test]
fn sizes_of_mask_and_image_must_agree() {
    let mask = read("gray.png", &indices(5));
    assert!(MaskReader::check_size(&mask, SIZE).is_ok());
    let error = MaskReader::check_size(&mask, (7, 13)).unwrap_err();
    assert_eq!(error.to_string(), "the mask has 13x7 pixels, its image 7x13");
}

#[test]
fn nearest_pixels_are_pillows() {
    let cases: Value = serde_json::from_str(include_str!("masks/nearest.json")).unwrap();
    // A mask has 8 bits a pixel, so columns are found by the bits of their numbers.
    let taken = |size: usize, resized: usize| {
        let plane = |bit: usize| Mask::new(size, 1, (0..size).map(|x| (x >> bit & 1) as u8).collect()).unwrap();
        let planes: Vec<_> = (0..13).map(|bit| plane(bit).resize(resized, 1).unwrap()).collect();
        let column = |x: usize| planes.iter().enumerate().map(|(bit, plane)| u64::from(plane.labels()[x]) << bit).sum();
        (0..resized).map(column).collect::<Vec<u64>>()
    };
    for case in cases["small"].as_array().unwrap() {
        let [size, resized] = [0, 1].map(|i| case[i].as_u64().unwrap() as usize);
        let expected: Vec<_> = case[2].as_array().unwrap().iter().map(|pixel| pixel.as_u64().unwrap()).collect();
        assert_eq!(taken(size, resized), expected, "{size} to {resized}");
    }
    for case in cases["large"].as_array().unwrap() {
        let [size, resized] = [0, 1].map(|i| case[i].as_u64().unwrap() as usize);
        let digest: u64 = (1..).zip(taken(size, resized)).map(|(place, pixel)| place * pixel).sum();
        assert_eq!(digest, case[2].as_u64().unwrap(), "{size} to {resized}");
    }
}
