//! GIF: the first frame on its screen, as Pillow or OpenCV shows it.

use std::io::Cursor;

use ::gif::{ColorOutput, DecodeOptions, DecodingError, MemoryLimit};

use super::{DecodeError, DecodeLimits, DecodeWarning, Decoded, Decoding, ImageFormat, one_line, to_image};
use crate::image::Channels;

const FORMAT: ImageFormat = ImageFormat::Gif;

pub(super) fn decode(bytes: &[u8], decoding: Decoding, limits: &DecodeLimits) -> Result<Decoded, DecodeError> {
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
    let global_palette = reader.global_palette().filter(|_| with_palette.is_empty()).map(<[u8]>::to_vec);
    let mut indices = vec![0; reader.buffer_size()];
    reader.read_into_buffer(&mut indices).map_err(error)?;

    let frame = Frame { left, top, columns, indices, transparent };
    let warnings = Vec::from_iter(transparent.map(|_| DecodeWarning::AlphaDropped));
    if decoding == Decoding::OpenCv {
        let colors = OpenCvColors::new(bytes, own_palette.as_deref(), global_palette.as_deref());
        if let Some(samples) = frame.on_background(width, height, &colors) {
            return Ok(Decoded::new(to_image(FORMAT, (width, height), Channels::Rgb, samples)?, warnings));
        }
    }
    let (channels, samples) = frame.on_indices(width, height, own_palette, global_palette);
    Ok(Decoded::new(to_image(FORMAT, (width, height), channels, samples)?, warnings))
}

/// The first frame.
struct Frame {
    left: usize,
    top: usize,
    columns: usize,
    indices: Vec<u8>,
    transparent: Option<u8>,
}

impl Frame {
    /// Pillow's image: what the frame does not cover has the transparent index, or 0.
    fn on_indices(
        &self,
        width: usize,
        height: usize,
        own: Option<Vec<u8>>,
        global: Option<Vec<u8>>,
    ) -> (Channels, Vec<u8>) {
        let mut canvas = vec![self.transparent.unwrap_or(0); width * height];
        for (line, frame) in self.lines(&mut canvas, width) {
            line.copy_from_slice(frame);
        }
        // A palette of gray levels in order counts as none.
        let palette = [own, global].into_iter().flatten().find(|palette| !is_ramp(palette)).unwrap_or_default();
        let (colors, _) = palette.as_chunks::<3>();
        if colors.is_empty() {
            return (Channels::Gray, canvas);
        }
        let color = |&index: &u8| colors.get(usize::from(index)).copied().unwrap_or(BEYOND_PALETTE);
        (Channels::Rgb, canvas.iter().flat_map(color).collect())
    }

    /// OpenCV's image: what the frame does not cover, and what is transparent, has the color of the background. `None`
    /// where OpenCV refuses the file.
    fn on_background(&self, width: usize, height: usize, colors: &OpenCvColors) -> Option<Vec<u8>> {
        let mut canvas = vec![colors.background?; width * height];
        for (line, frame) in self.lines(&mut canvas, width) {
            for (place, &index) in line.iter_mut().zip(frame) {
                if Some(index) != self.transparent {
                    *place = colors.color(index)?;
                }
            }
        }
        Some(canvas.into_flattened())
    }

    /// The parts of a canvas that the rows of the frame cover, and the rows.
    fn lines<'a, T>(&'a self, canvas: &'a mut [T], width: usize) -> impl Iterator<Item = (&'a mut [T], &'a [u8])> {
        let lines = canvas.chunks_exact_mut(width).skip(self.top);
        let lines = lines.map(|line| &mut line[self.left..self.left + self.columns]);
        lines.zip(self.indices.chunks_exact(self.columns))
    }
}

/// OpenCV's colors of a frame.
struct OpenCvColors<'a> {
    own: &'a [[u8; 3]],
    global: &'a [[u8; 3]],
    /// `None` where the palette lacks it.
    background: Option<[u8; 3]>,
}

impl<'a> OpenCvColors<'a> {
    fn new(bytes: &[u8], own: Option<&'a [u8]>, global: Option<&'a [u8]>) -> Self {
        let colors = |palette: Option<&'a [u8]>| palette.unwrap_or_default().as_chunks().0;
        let (own, global) = (colors(own), colors(global));
        let background = match bytes.get(BACKGROUND) {
            Some(&index) if !global.is_empty() => global.get(usize::from(index)).copied(),
            _ => Some([0; 3]),
        };
        Self { own, global, background }
    }

    /// The color of an index: of the frame's own palette, else of the global one. Without palettes index 1 is white and
    /// the others are gray levels.
    fn color(&self, index: u8) -> Option<[u8; 3]> {
        let listed = self.own.get(usize::from(index)).or_else(|| self.global.get(usize::from(index)));
        match listed {
            None if self.own.is_empty() && self.global.is_empty() => Some([if index == 1 { 255 } else { index }; 3]),
            listed => listed.copied(),
        }
    }
}

/// Bytes of the signature and the screen.
const HEADER: usize = 13;

/// The place of the background's index.
const BACKGROUND: usize = 11;

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
