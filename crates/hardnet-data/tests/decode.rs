//! Decoding equals Pillow's `convert("RGB")`: exactly for PNG and BMP, within a bound for JPEG.

mod common;

use common::{file, fixtures, fnv1a, from_hex};
use hardnet_data::{Channels, ContentGuess, DecodeError, DecodeLimits, DecodeWarning, decode};

fn warnings(name: &str) -> Vec<DecodeWarning> {
    decode(&file(name), &DecodeLimits::default()).unwrap_or_else(|error| panic!("{name}: {error}")).warnings
}

#[test]
fn png_and_bmp_equal_pillow() {
    let cases: Vec<_> = fixtures().decode.into_iter().filter(|case| !case.file.ends_with(".jpg")).collect();
    assert!(cases.len() >= 35);
    for case in cases {
        let decoded = decode(&file(&case.file), &DecodeLimits::default())
            .unwrap_or_else(|error| panic!("{}: {error}", case.file));
        assert_eq!([decoded.image.width(), decoded.image.height()], case.size, "{}", case.file);
        let found = decoded.image.into_rgb().into_samples();
        if case.file.starts_with("bits16_") {
            // Pillow truncates v * 255 / 31, the decoder rounds it.
            let expected = file(&case.file.replace(".bmp", ".rgb"));
            assert_eq!(fnv1a(expected.iter().copied()), case.fnv);
            assert!(expected.iter().zip(&found).all(|(&a, &b)| a == b || a + 1 == b), "{}", case.file);
        } else {
            assert_eq!(fnv1a(found), case.fnv, "{}", case.file);
        }
    }
}

#[test]
fn jpeg_is_within_a_few_levels_of_pillow() {
    let cases: Vec<_> = fixtures().decode.into_iter().filter(|case| case.file.ends_with(".jpg")).collect();
    assert!(cases.len() >= 20);
    for case in cases {
        let decoded = decode(&file(&case.file), &DecodeLimits::default())
            .unwrap_or_else(|error| panic!("{}: {error}", case.file));
        assert_eq!([decoded.image.width(), decoded.image.height()], case.size, "{}", case.file);
        let expected = file(&case.file.replace(".jpg", ".rgb"));
        let found = decoded.image.into_rgb().into_samples();
        assert_eq!(fnv1a(expected.iter().copied()), case.fnv, "{}", case.file);
        assert_eq!(expected.len(), found.len());
        let distances = expected.iter().zip(&found).map(|(&a, &b)| u32::from(a.abs_diff(b)));
        let (sum, max) = distances.fold((0, 0), |(sum, max), distance| (sum + distance, max.max(distance)));
        let mean = f64::from(sum) / found.len() as f64;
        // Small pictures are mostly edge, where chroma is interpolated in another way.
        let (mean_bound, max_bound) = if cfg!(feature = "exact-jpeg") {
            (0.0, 0)
        } else if case.size.iter().any(|&side| side < 16) {
            (2.6, 21)
        } else {
            (0.35, 3)
        };
        assert!(mean <= mean_bound && max <= max_bound, "{}: mean {mean}, max {max}", case.file);
    }
}

#[test]
fn gray_files_stay_gray() {
    for name in ["grey.jpg", "progressive_grey.jpg", "grey.png", "bilevel.png", "grey_alpha.png", "grey16.png"] {
        assert_eq!(decode(&file(name), &DecodeLimits::default()).unwrap().image.channels(), Channels::Gray, "{name}");
    }
}

#[test]
fn losses_are_reported() {
    use DecodeWarning::{AlphaDropped, CmykConverted, SixteenBitClipped, SixteenBitReduced};
    for (names, expected) in [
        (&["rgb.png", "palette4.png", "grey.jpg", "rgb420.jpg", "rgba.bmp", "bits32.bmp", "gamma.png"][..], &[][..]),
        (
            &["rgba.png", "grey_alpha.png", "palette_alpha.png", "grey_transparent.png", "alpha_mask.bmp"],
            &[AlphaDropped],
        ),
        (&["rgb16.png"], &[SixteenBitReduced]),
        (&["rgba16.png", "grey_alpha16.png"], &[AlphaDropped, SixteenBitReduced]),
        (&["grey16.png"], &[SixteenBitClipped]),
        (&["grey16_transparent.png"], &[AlphaDropped, SixteenBitClipped]),
        (&["cmyk.jpg", "cmyk_plain.jpg", "ycck.jpg"], &[CmykConverted]),
    ] {
        for name in names {
            assert_eq!(warnings(name), expected, "{name}");
        }
    }
}

/// The lengths at which Pillow reads a cut file and we do not, or the other way round, are all of this test.
#[test]
fn cut_files_are_refused_as_pillow_refuses_them() {
    for case in fixtures().readable_lengths {
        let bytes = file(&case.file);
        for len in 0..=bytes.len() {
            let ours = decode(&bytes[..len], &DecodeLimits::default());
            let pillow = case.lengths.contains(&len);
            // A PNG or BMP whose last bytes (checksums, padding) are missing is refused more strictly than by Pillow.
            let stricter = pillow && len < bytes.len() && !case.file.ends_with(".jpg");
            if !stricter {
                assert_eq!(ours.is_ok(), pillow, "{} cut to {len} of {} bytes", case.file, bytes.len());
            }
        }
    }
}

#[test]
fn damaged_jpegs_are_read_or_refused_as_by_pillow() {
    // Pillow also reads some files without an end marker if enough other bytes follow, and pictures with garbage
    // inside.
    const STRICTER: [&str; 4] = [
        "baseline, text for the end marker",
        "baseline, zeros for the end marker",
        "baseline, comment for the end marker",
        "baseline, comment in the scan",
    ];
    // libjpeg-turbo warns of these, which Pillow does not heed.
    const WARNED: [&str; 2] = ["baseline, end marker too early", "baseline, zeros in the scan"];
    let cases = fixtures().damage;
    assert!(cases.len() >= 50);
    let mut wrong = Vec::new();
    for case in cases {
        let ours = decode(&from_hex(&case.hex), &DecodeLimits::default());
        let name = case.name.as_str();
        let warned = cfg!(feature = "exact-jpeg") && WARNED.contains(&name);
        let expected = case.pillow_reads && !STRICTER.contains(&name) && !warned;
        if ours.is_ok() != expected {
            wrong.push(format!("{}: pillow {}, ours {:?}", case.name, case.pillow_reads, ours.map(|_| ())));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn truncation_is_named() {
    let bytes = file("rgb420.jpg");
    let error = decode(&bytes[..1000], &DecodeLimits::default()).unwrap_err();
    assert!(matches!(error, DecodeError::Truncated { len: 1000, .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "the jpeg data is truncated: 1000 bytes end before `end of image`; fetch the file again"
    );
    let error = decode(&file("rgb.png")[..300], &DecodeLimits::default()).unwrap_err();
    assert!(matches!(error, DecodeError::Truncated { .. }), "{error}");
}

/// Pillow warns and goes on; half a picture of garbage is no input for an evaluation.
#[test]
fn a_broken_code_in_the_scan_is_an_error() {
    for name in ["rgb420.jpg", "progressive.jpg", "grey.jpg"] {
        let mut bytes = file(name);
        let from = bytes.len() - bytes.len() / 6;
        // A run of one bits is no code in any Huffman table (T.81, annex C).
        for (offset, byte) in bytes[from..from + 64].iter_mut().enumerate() {
            *byte = if offset % 2 == 0 { 0xff } else { 0x00 };
        }
        let error = decode(&bytes, &DecodeLimits::default()).unwrap_err();
        assert!(matches!(error, DecodeError::Malformed { .. }), "{name}: {error}");
    }
}

#[test]
fn the_number_of_scans_is_bounded() {
    let bytes = file("progressive_grey.jpg");
    let last = bytes.windows(2).rposition(|pair| pair == [0xff, 0xda]).unwrap();
    let scan = &bytes[last..bytes.len() - 2];
    let repeated = |times: usize| [&bytes[..bytes.len() - 2], &scan.repeat(times), &[0xff, 0xd9]].concat();
    for (times, refused) in [(50, false), (100, true), (5000, true)] {
        let message = decode(&repeated(times), &DecodeLimits::default())
            .err()
            .map_or_else(String::new, |error| error.to_string());
        assert_eq!(message.contains("more than 100 scans"), refused, "{times}: {message}");
    }
}

#[test]
fn unsupported_features_are_named() {
    let bytes = file("rgb420.jpg");
    let frame = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    let feature = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        match decode(&bytes, &DecodeLimits::default()).unwrap_err() {
            DecodeError::Unsupported { feature, .. } => feature,
            error => error.to_string(),
        }
    };
    assert_eq!(feature(&|bytes| bytes[frame + 4] = 12), "12 bits a sample");
    assert_eq!(feature(&|bytes| bytes[frame + 1] = 0xc3), "lossless coding");
    assert_eq!(feature(&|bytes| bytes[frame + 1] = 0xc6), "hierarchical coding");
    assert_eq!(feature(&|bytes| bytes[frame + 1] = 0xc9), "arithmetic coding");
    let two_components = |bytes: &mut Vec<u8>| {
        (bytes[frame + 3], bytes[frame + 9]) = (14, 2);
        bytes.drain(frame + 16..frame + 19);
    };
    assert_eq!(feature(&two_components), "2 components");
    let two_frames = |bytes: &mut Vec<u8>| {
        let copy = bytes[frame..frame + 19].to_vec();
        bytes.splice(frame..frame, copy);
    };
    assert!(feature(&two_frames).contains("there are two frame headers"));
}

#[test]
fn other_files_are_named() {
    for (bytes, message) in [
        (&b""[..], "not a jpeg, png or bmp image: the file is empty; fetch it again"),
        (b"GIF89a", "not a jpeg, png or bmp image: it looks like `gif`; convert it to one of these formats"),
        (b"\x7fELF\x02\x01\x01\0\0", "not a jpeg, png or bmp image: it starts with bytes `7f 45 4c 46`"),
    ] {
        assert_eq!(decode(bytes, &DecodeLimits::default()).unwrap_err().to_string(), message);
    }
    let error = decode(b"<!doctype html><title>404</title>", &DecodeLimits::default()).unwrap_err();
    assert!(matches!(error, DecodeError::UnknownFormat { found: ContentGuess::Html }));
}

#[test]
fn the_pixel_limit_is_checked_against_the_header() {
    for (name, pixels) in [("rgb420.jpg", 67 * 45), ("rgb.png", 37 * 23), ("rgb.bmp", 37 * 23)] {
        let mut limits = DecodeLimits::default();
        limits.max_pixels = pixels;
        decode(&file(name), &limits).unwrap();
        limits.max_pixels = pixels - 1;
        let error = decode(&file(name), &limits).unwrap_err();
        assert!(matches!(error, DecodeError::TooManyPixels { max_pixels, .. } if max_pixels == pixels - 1), "{error}");
    }
}

#[test]
fn a_bomb_is_refused_before_it_is_decoded() {
    let mut jpeg = file("rgb420.jpg");
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].fill(0xff);
    let mut png = file("rgb.png");
    png[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    let mut bmp = file("rgb.bmp");
    bmp[18..26].copy_from_slice(&[0x60, 0xea, 0, 0, 0x60, 0xea, 0, 0]);
    for bytes in [jpeg, png, bmp] {
        let error = decode(&bytes, &DecodeLimits::default()).unwrap_err();
        assert!(matches!(error, DecodeError::TooManyPixels { max_pixels: 178_956_970, .. }), "{error}");
    }
}

/// One byte changed, everywhere and to several values: an error or a picture of the announced size, never a panic.
#[test]
fn flipped_bytes_do_no_harm() {
    for name in ["size17x9.jpg", "restarts.jpg", "grey_alpha16.png", "interlaced_tiny.png", "palette2.png", "rle8.bmp"]
    {
        let bytes = file(name);
        let mut limits = DecodeLimits::default();
        limits.max_pixels = 1 << 20;
        for at in 0..bytes.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] ^= change;
                if let Ok(decoded) = decode(&bytes, &limits) {
                    let image = decoded.image;
                    assert_eq!(image.samples().len(), image.width() * image.height() * image.channels().count());
                }
            }
        }
    }
}

#[test]
fn a_palette_that_ends_inside_an_entry_is_malformed() {
    let file = file("palette4.png");
    let start = file.windows(4).position(|four| four == b"PLTE").expect("the picture has a palette");
    let length = u32::from_be_bytes(*file[start - 4..].first_chunk().expect("a chunk has a length")) as usize;
    let with_palette = |content: &[u8]| {
        let chunk = [b"PLTE", content].concat();
        let (count, sum) = ((content.len() as u32).to_be_bytes(), crc32fast::hash(&chunk).to_be_bytes());
        [&file[..start - 4], &count, &chunk, &sum, &file[start + 4 + length + 4..]].concat()
    };
    let palette = &file[start + 4..][..length];
    for length in [length - 1, length - 2] {
        let error = decode(&with_palette(&palette[..length]), &DecodeLimits::default()).expect_err("half an entry");
        let expected = format!("a palette of {length} bytes is not of at most 256 entries of 3 bytes");
        assert!(matches!(&error, DecodeError::Malformed { reason, .. } if *reason == expected), "{error}");
    }
    let error = decode(&with_palette(&[0; 3 * 257]), &DecodeLimits::default()).expect_err("an entry too many");
    assert!(matches!(error, DecodeError::Malformed { .. }), "{error}");
    assert!(decode(&with_palette(palette), &DecodeLimits::default()).is_ok());
}
