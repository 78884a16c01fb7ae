//! Parts of a resized image, and how large they may be.

use std::ops::Range;

use crate::image::ImageError;

/// The largest side of a resampled window, in pixels.
pub(crate) const MAX_SIDE: u64 = 1 << 16;
/// The most pixels of a resampled window: the same number as the default of [`DecodeLimits`](crate::DecodeLimits).
const MAX_WINDOW_PIXELS: u64 = 178_956_970;

/// Width and height of a window inside `size`, in pixels.
pub(crate) fn sides(size: (u64, u64), window: &(Range<u64>, Range<u64>)) -> Result<(usize, usize), ImageError> {
    let width = side_of("width", size.0, &window.0)?;
    let height = side_of("height", size.1, &window.1)?;
    if width as u64 * height as u64 > MAX_WINDOW_PIXELS {
        let (width, height) = (width as u64, height as u64);
        return Err(ImageError::TooManyPixels { width, height, max_pixels: MAX_WINDOW_PIXELS });
    }
    Ok((width, height))
}

fn side_of(axis: &'static str, size: u64, window: &Range<u64>) -> Result<usize, ImageError> {
    if window.end > size {
        return Err(ImageError::WindowOutside { axis, start: window.start, end: window.end, size });
    }
    let side = window.end.saturating_sub(window.start);
    if side == 0 || side > MAX_SIDE {
        return Err(ImageError::Side { name: axis, value: side, max: MAX_SIDE });
    }
    Ok(side as usize)
}
