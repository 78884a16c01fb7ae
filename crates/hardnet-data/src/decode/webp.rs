//! WebP, through the `image` crate; of an animation, the first frame.

use std::io::Cursor;

use image::ImageDecoder;
use image::codecs::webp::WebPDecoder;

use super::{DecodeError, DecodeLimits, DecodeWarning, Decoded, ImageFormat, raster_error, to_image};
use crate::image::Channels;

const FORMAT: ImageFormat = ImageFormat::WebP;

/// Memory the decoder may take in addition to the pixels.
const OVERHEAD_BYTES: u64 = 16 << 20;

pub(super) fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Decoded, DecodeError> {
    let Some(animation) = Animation::find(bytes) else {
        let Still { size, rgb, has_alpha } = still(bytes, limits)?;
        let warnings = Vec::from_iter(has_alpha.then_some(DecodeWarning::AlphaDropped));
        return Ok(Decoded::new(to_image(FORMAT, size, Channels::Rgb, rgb)?, warnings));
    };
    let (width, height) = animation.size;
    limits.check(FORMAT, width as u64, height as u64)?;
    let frame = animation.first_frame()?;
    let Still { size, rgb, has_alpha } = still(&frame.file, limits)?;
    let (left, top) = frame.offset;
    if size != frame.size || left + size.0 > width || top + size.1 > height {
        return Err(malformed("the first frame is not within the image"));
    }
    let mut canvas = vec![0; width * height * 3];
    for (line, row) in canvas.chunks_exact_mut(width * 3).skip(top).zip(rgb.chunks_exact(size.0 * 3)) {
        line[left * 3..][..row.len()].copy_from_slice(row);
    }
    let warnings = Vec::from_iter(has_alpha.then_some(DecodeWarning::AlphaDropped));
    Ok(Decoded::new(to_image(FORMAT, (width, height), Channels::Rgb, canvas)?, warnings))
}

/// An image that does not move.
struct Still {
    size: (usize, usize),
    rgb: Vec<u8>,
    has_alpha: bool,
}

fn still(bytes: &[u8], limits: &DecodeLimits) -> Result<Still, DecodeError> {
    let error = |error| raster_error(FORMAT, bytes.len(), error);
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(error)?;
    let (width, height) = decoder.dimensions();
    limits.check(FORMAT, width.into(), height.into())?;
    let mut memory = image::Limits::no_limits();
    memory.max_alloc = Some(u64::from(width) * u64::from(height) * 8 + OVERHEAD_BYTES);
    decoder.set_limits(memory).map_err(error)?;
    let has_alpha = decoder.color_type().has_alpha();
    let mut samples = vec![0; decoder.total_bytes() as usize];
    decoder.read_image(&mut samples).map_err(error)?;
    if has_alpha {
        samples = samples.as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect();
    }
    Ok(Still { size: (width as usize, height as usize), rgb: samples, has_alpha })
}

/// An animated file.
struct Animation<'a> {
    size: (usize, usize),
    /// The chunks after the header.
    chunks: &'a [u8],
}

/// The first frame as a file of its own.
struct Frame {
    offset: (usize, usize),
    size: (usize, usize),
    file: Vec<u8>,
}

impl<'a> Animation<'a> {
    const ANIMATED: u8 = 0x02;
    const ALPHA: u8 = 0x10;

    /// The animation in `bytes`, unless they hold a still image.
    fn find(bytes: &'a [u8]) -> Option<Self> {
        let (&[flags, _, _, _, w0, w1, w2, h0, h1, h2], rest) =
            bytes.get(12..)?.strip_prefix(b"VP8X\x0a\0\0\0")?.split_first_chunk()?;
        let size = (1 + three([w0, w1, w2]), 1 + three([h0, h1, h2]));
        (flags & Self::ANIMATED != 0).then_some(Self { size, chunks: rest })
    }

    fn first_frame(&self) -> Result<Frame, DecodeError> {
        let mut rest = self.chunks;
        loop {
            let Some((&[n0, n1, n2, n3, l0, l1, l2, l3], content)) = rest.split_first_chunk() else {
                return Err(malformed("there is no frame"));
            };
            let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
            let padded = length.saturating_add(length % 2);
            if [n0, n1, n2, n3] != *b"ANMF" {
                rest = content.get(padded..).unwrap_or_default();
                continue;
            }
            let frame = content.get(..length).and_then(|frame| frame.split_first_chunk());
            let Some((&[x0, x1, x2, y0, y1, y2, w0, w1, w2, h0, h1, h2, _, _, _, _], chunks)) = frame else {
                return Err(malformed("the first frame is cut"));
            };
            let mut file = Vec::with_capacity(chunks.len() + 30);
            file.extend_from_slice(b"RIFF");
            file.extend_from_slice(&(chunks.len() as u32 + 22).to_le_bytes());
            file.extend_from_slice(b"WEBPVP8X\x0a\0\0\0");
            let flags = if chunks.starts_with(b"ALPH") || chunks.starts_with(b"VP8L") { Self::ALPHA } else { 0 };
            file.extend_from_slice(&[flags, 0, 0, 0, w0, w1, w2, h0, h1, h2]);
            file.extend_from_slice(chunks);
            return Ok(Frame {
                offset: (2 * three([x0, x1, x2]), 2 * three([y0, y1, y2])),
                size: (1 + three([w0, w1, w2]), 1 + three([h0, h1, h2])),
                file,
            });
        }
    }
}

/// A number of three bytes.
fn three([low, middle, high]: [u8; 3]) -> usize {
    u32::from_le_bytes([low, middle, high, 0]) as usize
}

fn malformed(reason: &str) -> DecodeError {
    DecodeError::Malformed { format: FORMAT, reason: reason.to_owned() }
}
