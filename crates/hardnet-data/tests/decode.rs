//! Decoding equals Pillow's `convert("RGB")`: exactly, within a bound for JPEG and lossy WebP.

mod common;

use common::{file, fixtures, fnv1a, from_hex};
use hardnet_data::{Channels, ContentGuess, DecodeError, DecodeLimits, DecodeWarning, decode};

fn warnings(name: &str) -> Vec<DecodeWarning> {
    decode(&file(name), &DecodeLimits::default()).unwrap_or_else(|error| panic!("{name}: {error}")).warnings
}

#[test]
fn lossless_formats_equal_pillow() {
    let is_exact = |file: &str| !file.ends_with(".jpg") && !file.starts_with("lossy");
    let cases: Vec<_> = fixtures().decode.into_iter().filter(|case| is_exact(&case.file)).collect();
    for (ending, count) in [(".png", 25), (".bmp", 10), (".gif", 16), (".tif", 45), (".webp", 5), ("m", 14)] {
        let found = cases.iter().filter(|case| case.file.ends_with(ending)).count();
        assert!(found >= count, "{found} files `{ending}`");
    }
    let mut wrong = Vec::new();
    for case in cases {
        let decoded = match decode(&file(&case.file), &DecodeLimits::default()) {
            Ok(decoded) => decoded,
            Err(error) => {
                wrong.push(format!("{}: {error}", case.file));
                continue;
            }
        };
        assert_eq!([decoded.image.width(), decoded.image.height()], case.size, "{}", case.file);
        let found = decoded.image.into_rgb().into_samples();
        if case.file.starts_with("bits16_") {
            // Pillow truncates v * 255 / 31, the decoder rounds it.
            let expected = file(&case.file.replace(".bmp", ".rgb"));
            assert_eq!(fnv1a(expected.iter().copied()), case.fnv);
            assert!(expected.iter().zip(&found).all(|(&a, &b)| a == b || a + 1 == b), "{}", case.file);
        } else if fnv1a(found) != case.fnv {
            wrong.push(format!("{}: other pixels", case.file));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
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
        // An incomplete progressive image is smoothed by libjpeg alone.
        let (mean_bound, max_bound) = if cfg!(feature = "exact-jpeg") {
            (0.0, 0)
        } else if case.file == "damaged_progressive.jpg" {
            (1.0, 16)
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
        (&["cmyk.jpg", "cmyk_plain.jpg", "ycck.jpg", "cmyk.tif"], &[CmykConverted]),
        (&["rgb.ppm", "bits.pbm", "palette.gif", "palette.tif", "lossless.webp", "grey.tif"], &[]),
        (
            &["transparent.gif", "rgba.tif", "grey_alpha.tif", "lossless_alpha.webp", "lossy_alpha.webp"],
            &[AlphaDropped],
        ),
        (&["rgb_max65535.ppm", "rgb16_big.tif"], &[SixteenBitReduced]),
        (&["grey_max65535.pgm", "grey16_little.tif"], &[SixteenBitClipped]),
        (&["cmyk16_little.tif"], &[SixteenBitReduced, CmykConverted]),
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
    let cases = fixtures().damage;
    assert!(cases.len() >= 50);
    for case in cases {
        let ours = decode(&from_hex(&case.hex), &DecodeLimits::default());
        assert_eq!(ours.is_ok(), case.pillow_reads, "{}: {:?}", case.name, ours.map(|decoded| decoded.warnings));
    }
}

/// Changed files: cut, with bytes inserted, with wrong lengths, with lost or changed markers.
#[test]
fn a_sweep_of_changed_jpegs_is_read_or_refused_as_by_pillow() {
    let cases: Vec<(String, usize, usize, String, Option<String>)> =
        serde_json::from_str(include_str!("pillow/jpeg_sweep.json")).unwrap();
    assert!(cases.len() > 3500);
    let (mut read, mut equal) = (0, 0);
    for (name, at, count, new, expected) in &cases {
        let mut bytes = file(&format!("{name}.jpg"));
        bytes.splice(*at..at + count, from_hex(new));
        let ours = decode(&bytes, &DecodeLimits::default());
        let what = format!("{name}: `{new}` for {count} bytes at {at}");
        assert_eq!(ours.is_ok(), expected.is_some(), "{what}: {:?}", ours.map(|decoded| decoded.warnings));
        if let (Ok(decoded), Some(expected)) = (ours, expected) {
            read += 1;
            equal += usize::from(fnv1a(decoded.image.into_rgb().into_samples()) == *expected);
        }
    }
    // A progressive image that lacks scans and is damaged is not smoothed.
    let different = read - equal;
    assert!(read > 1500 && (cfg!(not(feature = "exact-jpeg")) || different < 40), "{read} read, {different} different");
}

/// Files that every viewer shows.
#[test]
fn odd_ends_of_jpegs_leave_the_image_as_it_is() {
    use DecodeWarning::JpegIrregular;
    let whole = file("rgb420.jpg");
    let expected = decode(&whole, &DecodeLimits::default()).unwrap();
    assert!(expected.warnings.is_empty());
    let (body, end) = whole.split_at(whole.len() - 2);
    for (name, bytes, warnings) in [
        ("zeros for the end", [body, &[0; 66]].concat(), &[JpegIrregular][..]),
        ("two bytes before the end", [body, &[0; 2], end].concat(), &[JpegIrregular]),
        ("211 bytes before the end", [body, &[0x5a; 211], end].concat(), &[JpegIrregular]),
        ("bytes behind the end", [&whole, &[0; 4096][..]].concat(), &[]),
        ("another image behind the end", whole.repeat(2), &[]),
        ("a comment before the end", [body, b"\xff\xfe\0\x04ab", end].concat(), &[]),
        ("stray bytes between segments", [&whole[..20], b"junk", &whole[20..]].concat(), &[JpegIrregular]),
        ("fill bytes between segments", [&whole[..20], &[0xff; 3], &whole[20..]].concat(), &[]),
    ] {
        let found = decode(&bytes, &DecodeLimits::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(found.warnings, warnings, "{name}");
        assert_eq!(found.image, expected.image, "{name}");
    }
}

#[test]
fn lost_parts_of_jpegs_are_reported() {
    let cases = fixtures().decode.into_iter().filter(|case| case.file.starts_with("damaged_"));
    let names: Vec<_> = cases.map(|case| case.file).collect();
    assert!(names.len() >= 5);
    for name in names.iter().filter(|name| *name != "damaged_byte.jpg") {
        assert_eq!(warnings(name), [DecodeWarning::JpegDamaged], "{name}");
    }
}

/// The entropy-coded data of a file with one scan.
fn scan_data(bytes: &[u8]) -> std::ops::Range<usize> {
    let start = bytes.windows(2).position(|pair| pair == [0xff, 0xda]).expect("there is a scan");
    let header = usize::from(u16::from_be_bytes([bytes[start + 2], bytes[start + 3]]));
    start + 2 + header..bytes.len() - 2
}

/// Each interval of restarts is cut at each of its bytes, and stray bytes are put at the end.
#[test]
fn missing_and_stray_bytes_of_image_data_are_reported() {
    use DecodeWarning::{JpegDamaged, JpegIrregular};
    let (mut cuts, mut unnoticed) = (0, 0);
    for name in ["rgb420.jpg", "rgb422.jpg", "grey.jpg", "size17x9.jpg", "restarts.jpg"] {
        let bytes = file(name);
        let is_reported = |bytes: &[u8], expected: DecodeWarning, what: &str| {
            let found = decode(bytes, &DecodeLimits::default()).unwrap_or_else(|error| panic!("{what}: {error}"));
            found.warnings == [expected]
        };
        let data = scan_data(&bytes);
        let restarts = data.clone().filter(|&at| bytes[at] == 0xff && matches!(bytes[at + 1], 0xd0..=0xd7));
        let mut start = data.start;
        for end in restarts.chain([data.end]) {
            // The last byte may be padding alone.
            for cut in (start..end - 1).filter(|&cut| bytes[cut - 1] != 0xff) {
                let what = format!("{name} without bytes {cut} to {end}");
                assert!(is_reported(&[&bytes[..cut], &bytes[end..]].concat(), JpegDamaged, &what), "{what}");
                cuts += 1;
            }
            start = end + 2;
        }
        for count in [1, 2, 3, 5, 7, 8, 9, 50] {
            for byte in [0, 0x5a, 0x5b, 0x80] {
                let what = format!("{name} with {count} bytes {byte:#x}");
                let more = [&bytes[..data.end], &vec![byte; count], &bytes[data.end..]].concat();
                let is_reported = is_reported(&more, JpegIrregular, &what);
                // Both decoders read up to seven bytes in advance, needed or not.
                let may_pass = count < 8 && byte != 0;
                assert!(is_reported || may_pass, "{what}");
                unnoticed += usize::from(!is_reported);
            }
        }
    }
    assert!(cuts > 3000 && unnoticed < 80, "{cuts} cuts, {unnoticed} stray bytes without a warning");
}

/// Each scan of a progressive image is cut at each of its bytes.
#[test]
fn missing_data_of_progressive_scans_is_reported() {
    let (mut cuts, mut unnoticed) = (0, 0);
    for name in ["progressive.jpg", "progressive_grey.jpg", "cmyk_progressive.jpg"] {
        let bytes = file(name);
        let mut at = scan_data(&bytes).start;
        while at < bytes.len() {
            let is_marker = |at: &usize| bytes[*at] == 0xff && bytes[at + 1] != 0;
            let end = (at..bytes.len() - 1).find(is_marker).expect("data ends with a marker");
            for cut in (at..end - 1).filter(|&cut| bytes[cut - 1] != 0xff) {
                let found = decode(&[&bytes[..cut], &bytes[end..]].concat(), &DecodeLimits::default());
                let is_noticed = found.is_ok_and(|decoded| decoded.warnings.contains(&DecodeWarning::JpegDamaged));
                unnoticed += usize::from(!is_noticed);
                cuts += 1;
            }
            let next = bytes[end..].windows(2).position(|pair| pair == [0xff, 0xda]);
            at = next.map_or(bytes.len(), |next| scan_data(&bytes[end + next..]).start + end + next);
        }
    }
    // The pure Rust decoder makes up the last corrections of a scan, as many bits as it reads in advance.
    let may_pass = if cfg!(feature = "exact-jpeg") { 0 } else { 20 };
    assert!(cuts > 3500 && unnoticed <= may_pass, "{unnoticed} of {cuts} cuts");
}

#[test]
fn lossy_webp_equals_pillow_too() {
    let cases: Vec<_> = fixtures().decode.into_iter().filter(|case| case.file.starts_with("lossy")).collect();
    assert!(cases.len() >= 5);
    for case in cases {
        let decoded = decode(&file(&case.file), &DecodeLimits::default()).unwrap();
        let expected = file(&case.file.replace(".webp", ".rgb"));
        let found = decoded.image.into_rgb().into_samples();
        assert_eq!(expected.len(), found.len());
        let most = expected.iter().zip(&found).map(|(&a, &b)| a.abs_diff(b)).max();
        assert!(most <= Some(0), "{}: {most:?}", case.file);
    }
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
        (&b""[..], "not an image that can be read: the file is empty; fetch it again"),
        (b"\0\0\0\x1cftypavif", "not an image that can be read: it looks like `avif`; convert it to png"),
        (b"\x7fELF\x02\x01\x01\0\0", "not an image that can be read: it starts with bytes `7f 45 4c 46`"),
    ] {
        assert_eq!(decode(bytes, &DecodeLimits::default()).unwrap_err().to_string(), message);
    }
    let error = decode(b"<!doctype html><title>404</title>", &DecodeLimits::default()).unwrap_err();
    assert!(matches!(error, DecodeError::UnknownFormat { found: ContentGuess::Html }));
}

#[test]
fn the_pixel_limit_is_checked_against_the_header() {
    for (name, pixels) in [
        ("rgb420.jpg", 67 * 45),
        ("rgb.png", 37 * 23),
        ("rgb.bmp", 37 * 23),
        ("rgb.ppm", 19 * 7),
        ("grey_plain.pgm", 19 * 7),
        ("palette.gif", 37 * 23),
        ("offset.gif", 37 * 23),
        ("rgb_tiff_lzw.tif", 37 * 23),
        ("lossless.webp", 37 * 23),
        ("animated.webp", 37 * 23),
    ] {
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
    let gif = b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x08\0".to_vec();
    let pnm = b"P6 4000000000 4000000000 255\n".to_vec();
    let mut tiff = file("bigtiff.tif");
    let at = tiff.windows(4).rposition(|four| four == [0, 1, 4, 0]).unwrap() + 12;
    tiff[at..at + 4].fill(0x7f);
    let mut webp = file("animated.webp");
    let at = webp.windows(4).position(|four| four == b"VP8X").unwrap() + 12;
    webp[at..at + 6].fill(0xff);
    for bytes in [jpeg, png, bmp, gif, pnm, tiff, webp] {
        let error = decode(&bytes, &DecodeLimits::default()).unwrap_err();
        assert!(matches!(error, DecodeError::TooManyPixels { max_pixels: 178_956_970, .. }), "{error}");
    }
}

/// One byte changed, everywhere and to several values: an error or a picture of the announced size, never a panic.
#[test]
fn flipped_bytes_do_no_harm() {
    for name in [
        "size17x9.jpg",
        "restarts.jpg",
        "grey_alpha16.png",
        "interlaced_tiny.png",
        "palette2.png",
        "rle8.bmp",
        "rgb_plain.ppm",
        "grey_max100.pgm",
        "offset_local.gif",
        "interlaced.gif",
        "bilevel_group4.tif",
        "palette4.tif",
        "predictor.tif",
        "lossless_alpha.webp",
        "animated_alpha.webp",
    ] {
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

/// A file without its last pixels is refused, as by Pillow.
#[test]
fn cut_files_of_other_formats_are_refused() {
    for (name, lost) in [
        ("rgb.ppm", 1),
        ("bits.pbm", 1),
        ("grey_plain.pgm", 5),
        ("rgb_max65535.ppm", 1),
        ("palette.gif", 300),
        ("strips.tif", 300),
        ("rgb_raw.tif", 500),
        ("lossless.webp", 40),
        ("lossy75.webp", 100),
        ("animated.webp", 3000),
    ] {
        let bytes = file(name);
        let error = decode(&bytes[..bytes.len() - lost], &DecodeLimits::default()).expect_err(name);
        assert!(matches!(error, DecodeError::Truncated { .. } | DecodeError::Malformed { .. }), "{name}: {error}");
    }
}

/// The pure Rust decoder panics on some of these.
#[test]
fn later_components_with_more_samples_are_an_error_or_an_image() {
    for name in ["cmyk.jpg", "rgb420.jpg", "cmyk_progressive.jpg"] {
        let bytes = file(name);
        let frame = bytes.windows(2).position(|pair| matches!(pair, [0xff, 0xc0 | 0xc2])).unwrap();
        for at in [14, 17] {
            for factors in [0x12, 0x21, 0x23, 0x24, 0x32, 0x44] {
                let mut bytes = bytes.clone();
                bytes[frame + at] = factors;
                // No panic; what the first component allows is an image.
                let _ = decode(&bytes, &DecodeLimits::default());
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
