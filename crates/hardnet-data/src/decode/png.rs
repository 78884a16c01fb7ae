//! PNG, through the `image` crate; what Pillow and OpenCV make of each color type and depth.

use std::io::Cursor;

use image::ImageDecoder;
use image::codecs::png::PngDecoder;

use super::{DecodeError, DecodeLimits, DecodeWarning, Decoded, Decoding, ImageFormat, raster_error, to_image};
use crate::image::Channels;

/// Memory the decoder may take in addition to the pixels, for its window, palette and color profile.
const OVERHEAD_BYTES: u64 = 16 << 20;

pub(super) fn decode(bytes: &[u8], decoding: Decoding, limits: &DecodeLimits) -> Result<Decoded, DecodeError> {
    let format = ImageFormat::Png;
    let header = Header::read(bytes)?;
    limits.check(format, header.width, header.height)?;
    if header.color_type == Header::INDEXED {
        check_palette(bytes)?;
    }

    let mut memory = image::Limits::no_limits();
    memory.max_alloc = Some(header.width * header.height * 8 + OVERHEAD_BYTES);
    let error = |error| raster_error(format, bytes.len(), error);
    let decoder = PngDecoder::with_limits(Cursor::new(bytes), memory).map_err(error)?;
    let (width, height) = decoder.dimensions();
    let color = decoder.color_type();
    let mut samples = vec![0; decoder.total_bytes() as usize];
    decoder.read_image(&mut samples).map_err(error)?;

    let mut warnings = Vec::new();
    if color.has_alpha() {
        warnings.push(DecodeWarning::AlphaDropped);
    }
    if color.bytes_per_pixel() / color.channel_count() == 2 {
        // Pillow opens 16-bit gray as `I;16`, and its conversion to RGB clips; all other 16-bit types lose the low byte
        // on opening. In OpenCV all do.
        let clips = header.color_type == Header::GRAY && decoding == Decoding::Pillow;
        warnings.push(if clips { DecodeWarning::SixteenBitClipped } else { DecodeWarning::SixteenBitReduced });
        samples = narrow(&samples, |sample| if clips { sample.min(255) as u8 } else { (sample >> 8) as u8 });
    }
    let (channels, samples) = match color.channel_count() {
        1 => (Channels::Gray, samples),
        2 => (Channels::Gray, samples.as_chunks::<2>().0.iter().map(|&[gray, _]| gray).collect()),
        3 => (Channels::Rgb, samples),
        _ => (Channels::Rgb, samples.as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect()),
    };
    Ok(Decoded::new(to_image(format, (width as usize, height as usize), channels, samples)?, warnings))
}

/// Checks that palettes are of whole entries, at most 256: the `png` crate panics on a palette that ends inside an
/// entry.
fn check_palette(bytes: &[u8]) -> Result<(), DecodeError> {
    const SIGNATURE: usize = 8;
    let mut rest = bytes.get(SIGNATURE..).unwrap_or_default();
    while let Some(&[l0, l1, l2, l3, t0, t1, t2, t3]) = rest.first_chunk() {
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        match &[t0, t1, t2, t3] {
            b"PLTE" if !length.is_multiple_of(3) || length > 3 * 256 => {
                let reason = format!("a palette of {length} bytes is not of at most 256 entries of 3 bytes");
                return Err(DecodeError::Malformed { format: ImageFormat::Png, reason });
            }
            b"IEND" => break,
            _ => {}
        }
        // Length, type and check sum are 12 bytes in addition to the content.
        rest = rest.get(length as usize..).and_then(|rest| rest.get(12..)).unwrap_or_default();
    }
    Ok(())
}

/// Samples of 16 bits in the machine's byte order, each through `reduce`.
fn narrow(samples: &[u8], reduce: impl Fn(u16) -> u8) -> Vec<u8> {
    samples.as_chunks::<2>().0.iter().map(|&pair| reduce(u16::from_ne_bytes(pair))).collect()
}

/// The fields of `IHDR` needed before the decoder starts.
struct Header {
    width: u64,
    height: u64,
    color_type: u8,
}

impl Header {
    /// Color type 0: gray without an alpha channel.
    const GRAY: u8 = 0;
    /// Color type 3: numbers of palette entries.
    const INDEXED: u8 = 3;

    /// Reads the chunk that must follow the signature: length, `IHDR`, width, height, depth, color type.
    fn read(bytes: &[u8]) -> Result<Header, DecodeError> {
        let format = ImageFormat::Png;
        let Some(&[t0, t1, t2, t3, w0, w1, w2, w3, h0, h1, h2, h3, _depth, color_type]) =
            bytes.get(12..).and_then(|rest| rest.first_chunk())
        else {
            return Err(DecodeError::Truncated { format, len: bytes.len(), missing: "IHDR" });
        };
        if [t0, t1, t2, t3] != *b"IHDR" {
            return Err(DecodeError::Malformed { format, reason: "the first chunk is not `IHDR`".to_owned() });
        }
        Ok(Header {
            width: u32::from_be_bytes([w0, w1, w2, w3]).into(),
            height: u32::from_be_bytes([h0, h1, h2, h3]).into(),
            color_type,
        })
    }
}
