//! Resampling by Pillow's rule (`Image.resize`, its C function `ImagingResample` for 8-bit samples), bit for bit.
//!
//! The rule is separable. Along each axis an output pixel is a weighted sum of a window of input pixels; the filter widens
//! by the scale when shrinking (antialiasing) and keeps its width when enlarging. Weights are normalised in f64, rounded to
//! 22-bit fixed point, and each pass rounds back to 8 bits. Because an output pixel depends on
//! its own window only, the part that a crop keeps can be computed alone and equals the same part of the whole picture:
//! memory and time then follow the crop and the input, never the resized picture.
//!
//! This module validates and plans; [`weights`] holds filters and windows, [`passes`] the two loops.
//! Oracle: Pillow 13.0.0, held by `tests/resize.rs` over stored results.

mod passes;
mod weights;

use std::ops::Range;

use crate::image::{Image, ImageError};
use crate::interpolation::Interpolation;
use weights::AxisPlan;

/// The largest side of a resampled window, in pixels.
pub(crate) const MAX_SIDE: u64 = 1 << 16;
/// The most pixels of a resampled window: the same number as the default of [`Limits`](crate::Limits).
const MAX_WINDOW_PIXELS: u64 = 178_956_970;

/// Resamples the whole of `image` to `width` x `height` pixels, as Pillow's `image.resize((width, height), filter)`.
///
/// # Errors
/// [`ImageError::Side`] if a side is 0 or above 65,536, [`ImageError::TooManyPixels`] if their product is above
/// 178,956,970.
pub fn resize(image: &Image, width: usize, height: usize, interpolation: Interpolation) -> Result<Image, ImageError> {
    let size = (width as u64, height as u64);
    resize_window(image, size, (0..size.0, 0..size.1), interpolation)
}

/// The part `window` (columns, rows) of `image` resampled to `size` (width, height) pixels.
///
/// `size` may be far larger than memory; only the window is computed.
pub(crate) fn resize_window(
    image: &Image,
    size: (u64, u64),
    window: (Range<u64>, Range<u64>),
    interpolation: Interpolation,
) -> Result<Image, ImageError> {
    let width = window_side("width", size.0, &window.0)?;
    let height = window_side("height", size.1, &window.1)?;
    if width as u64 * height as u64 > MAX_WINDOW_PIXELS {
        let (width, height) = (width as u64, height as u64);
        return Err(ImageError::TooManyPixels { width, height, max_pixels: MAX_WINDOW_PIXELS });
    }

    let columns = AxisPlan::new(image.width(), size.0, window.0, interpolation);
    let rows = AxisPlan::new(image.height(), size.1, window.1, interpolation);
    // Neither a row of the horizontal pass nor a column of the vertical one depends on its neighbours, so the first pass
    // makes only those that the second reads. With the order below, that is never more than `image` or the window holds.
    let count = image.channels().count();
    let stride = image.width() * count;
    let samples = if rows_first((image.width() as u64, image.height() as u64), size) {
        let read = columns.input_range();
        let lowered = passes::vertical(image.samples(), stride, 0, read.start * count..read.end * count, &rows);
        passes::horizontal(&lowered, image.channels(), read, &columns)
    } else {
        let read = rows.input_range();
        let rows_read = &image.samples()[read.start * stride..read.end * stride];
        let narrowed = passes::horizontal(rows_read, image.channels(), 0..image.width(), &columns);
        passes::vertical(&narrowed, width * count, read.start, 0..width * count, &rows)
    };
    Image::new(width, height, image.channels(), samples)
}

/// Whether the vertical pass comes first: if it removes rows, and more than twice as many as the other removes columns.
///
/// The rule is that of Pillow 13.0.0, found by comparing both orders with its results; earlier versions start with the
/// horizontal pass. Because each pass rounds to 8 bits, the order shows in single levels.
fn rows_first(from: (u64, u64), to: (u64, u64)) -> bool {
    to.1 < from.1 && i128::from(from.1 - to.1) > 2 * (i128::from(from.0) - i128::from(to.0))
}

fn window_side(axis: &'static str, size: u64, window: &Range<u64>) -> Result<usize, ImageError> {
    if window.end > size {
        return Err(ImageError::WindowOutside { axis, start: window.start, end: window.end, size });
    }
    let side = window.end.saturating_sub(window.start);
    if side == 0 || side > MAX_SIDE {
        return Err(ImageError::Side { name: axis, value: side, max: MAX_SIDE });
    }
    Ok(side as usize)
}
