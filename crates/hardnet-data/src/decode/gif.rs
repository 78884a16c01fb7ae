//! GIF: the first frame on its screen, as Pillow shows it.

use std::io::Cursor;

use ::gif::{ColorOutput, DecodeOptions, DecodingError, MemoryLimit};

use super::{DecodeError, DecodeLimits, DecodeWarning, Decoded, ImageFormat, one_line, to_image};
use crate::image::Channels;

const FORMAT: ImageFormat = ImageFormat::Gif;

pub(super) fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Decoded, DecodeError> {
    let error = |error| gif_error(bytes.len(), &error);
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    // The pixels are bounded below, before the buffer for them is made.
    options.set_memory_limit(MemoryLimit::Unlimited);
    let mut with_palette = Vec::new();
    let file = match bytes {
        // The decoder refuses images without a palette; Pillow takes their indices for gray levels.
        [_, _, _, _, _, _, _, _, _, _, flags, _, _, ..] if flags & GLOBAL_PALETTE == 0 => {
            with_palette.extend_from_slice(&bytes[..HEADER]);
            with_palette[10] |= GLOBAL_PALETTE | 7;
            with_palette.extend((0..=255).flat_map(|level| [level; 3]));
            with_palette.extend_from_slice(&bytes[HEADER..]);
            &with_palette[..]
        }
        _ => bytes,
    };
    let mut reader = options.read_info(Cursor::new(file)).map_err(error)?;
    let (screen_width, screen_height) = (reader.width(), reader.height());
    let frame = reader.next_frame_info().map_err(error)?.ok_or_else(|| malformed("there is no image".to_owned()))?;
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (columns, rows) = (usize::from(frame.width), usize::from(frame.height));
    let (own_palette, transparent) = (frame.palette.clone(), frame.transparent);
    // A frame that reaches over the screen enlarges it.
    let (width, height) = (usize::from(screen_width).max(left + columns), usize::from(screen_height).max(top + rows));
    limits.check(FORMAT, width as u64, height as u64)?;
    if columns == 0 || rows == 0 {
        return Err(malformed(format!("the first frame has {columns}x{rows} pixels")));
    }
    // A palette of gray levels in order counts as none.
    let palettes = [own_palette, reader.global_palette().map(<[u8]>::to_vec)];
    let palette = palettes.into_iter().flatten().find(|palette| !is_ramp(palette)).unwrap_or_default();
    let mut indices = vec![0; reader.buffer_size()];
    reader.read_into_buffer(&mut indices).map_err(error)?;

    let mut canvas = vec![transparent.unwrap_or(0); width * height];
    for (line, frame) in canvas.chunks_exact_mut(width).skip(top).zip(indices.chunks_exact(columns)) {
        line[left..left + columns].copy_from_slice(frame);
    }
    let (colors, _) = palette.as_chunks::<3>();
    let (channels, samples) = if colors.is_empty() {
        (Channels::Gray, canvas)
    } else {
        let color = |&index: &u8| colors.get(usize::from(index)).copied().unwrap_or(BEYOND_PALETTE);
        (Channels::Rgb, canvas.iter().flat_map(color).collect())
    };
    let warnings = Vec::from_iter(transparent.map(|_| DecodeWarning::AlphaDropped));
    Ok(Decoded { image: to_image(FORMAT, (width, height), channels, samples)?, warnings })
}

/// Bytes of the signature and the screen.
const HEADER: usize = 13;

/// The flag of a palette after the header; the lowest bits are its size.
const GLOBAL_PALETTE: u8 = 0x80;

fn is_ramp(palette: &[u8]) -> bool {
    (0..=u8::MAX).zip(palette.as_chunks::<3>().0).all(|(level, color)| *color == [level; 3])
}

/// The color of an index that the palette does not have.
const BEYOND_PALETTE: [u8; 3] = [0; 3];

fn malformed(reason: String) -> DecodeError {
    DecodeError::Malformed { format: FORMAT, reason }
}

fn gif_error(len: usize, error: &DecodingError) -> DecodeError {
    match error {
        DecodingError::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            DecodeError::Truncated { format: FORMAT, len, missing: "pixel data" }
        }
        error => malformed(one_line(error)),
    }
}
