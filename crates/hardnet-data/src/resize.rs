//! Resampling as Pillow does it (`Image.resize`, its C function `ImagingResample` for 8-bit samples), bit for bit.
//!
//! The resize is separable: a pass along each axis. In one pass an output pixel is a weighted sum of a window of input
//! pixels. With `scale = input / output`,
//!
//! ```text
//!   center = (i + 1/2) * scale
//!   window = pixels x with |x + 1/2 - center| < support * max(scale, 1)
//!   weight = filter((x + 1/2 - center) / max(scale, 1)), divided by the sum of the window's weights
//! ```
//!
//! so that the filter widens with the scale when the image shrinks (antialiasing) and keeps its width when it grows.
//!
//! Three details decide the bits:
//!
//! * **Fixed point.** Weights are computed in f64 and rounded to multiples of 2^-22. A sum of 8-bit samples times such
//!   weights needs 30 bits, which leaves an i32 its sign and one bit for filters that overshoot. Integer sums are
//!   exact, so neither the order of additions nor the width of vectors shows in the result.
//! * **Two roundings.** Each pass rounds half up and clips to 0..=255: what lies between the passes is 8 bits wide.
//! * **The order.** Because of that rounding, rows first and columns first differ by single levels. [`rows_first`] has
//!   Pillow's rule.
//!
//! An output pixel depends on its own window only. The part that a crop keeps is therefore computed alone and equals
//! that part of the whole image: time and memory follow the crop and the input, never the resized image.
//!
//! [`Resizer`] validates and plans, [`weights`] has filters and windows, [`stripes`] leads rows through the two passes,
//! and [`kernels`] has the loops for each instruction set. Oracle: Pillow 13.0.0, held by `tests/resize.rs` over stored
//! results.

mod kernels;
mod stripes;
#[cfg(test)]
mod tests;
mod weights;

use std::fmt;
use std::ops::Range;

use hardnet_simd::Isa;

use crate::image::{Image, ImageError};
use crate::interpolation::{Interpolation, Resampling};
use crate::{opencv, window};
use kernels::{Axis, SampleRows};
use stripes::{Buffers, Passes};

/// Resamples the whole of `image` to `width` x `height` pixels, as Pillow's `image.resize((width, height), filter)` or
/// OpenCV's `cv2.resize`.
///
/// For many images, a [`Resizer`] saves the allocations.
///
/// # Errors
/// [`ImageError::Side`] if a side is 0 or above 65,536, [`ImageError::TooManyPixels`] if their product is above
/// 178,956,970.
pub fn resize(
    image: &Image,
    width: usize,
    height: usize,
    resampling: impl Into<Resampling>,
) -> Result<Image, ImageError> {
    Resizer::new().resize(image, width, height, resampling)
}

/// Memory and instruction set of one thread's resizes: what one image needed, the next uses again.
///
/// The results are the same for every instruction set.
///
/// ```
/// use hardnet_data::{Image, Pipeline, Resizer};
///
/// let pipeline = Pipeline::pil_bilinear();
/// let mut resizer = Resizer::new();
/// let mut tensor = vec![0.0; 3 * 224 * 224];
/// for level in [0, 255] {
///     let image = Image::from_rgb8(40, 30, vec![level; 40 * 30 * 3])?;
///     pipeline.tensor_with(&mut resizer, &image, &mut tensor)?;
/// }
/// # Ok::<(), hardnet_data::PipelineError>(())
/// ```
pub struct Resizer {
    columns: Axis,
    rows: Axis,
    buffers: Buffers,
    opencv: opencv::Memory,
}

impl Resizer {
    /// Creates a resizer for the best instruction set of this processor.
    pub fn new() -> Self {
        Self::with_isa(Isa::best())
    }

    /// Creates a resizer for an instruction set.
    pub fn with_isa(isa: Isa) -> Self {
        Self {
            columns: Axis::new(isa),
            rows: Axis::new(isa),
            buffers: Buffers::default(),
            opencv: opencv::Memory::default(),
        }
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.rows.isa()
    }

    /// As the function [`resize`].
    ///
    /// # Errors
    /// As [`resize`].
    pub fn resize(
        &mut self,
        image: &Image,
        width: usize,
        height: usize,
        resampling: impl Into<Resampling>,
    ) -> Result<Image, ImageError> {
        let size = (width as u64, height as u64);
        self.window(image, size, (0..size.0, 0..size.1), resampling.into())
    }

    /// The part `window` (columns, rows) of `image` resampled to `size` (width, height) pixels.
    ///
    /// `size` may be far larger than memory; only the window is computed.
    pub(crate) fn window(
        &mut self,
        image: &Image,
        size: (u64, u64),
        window: (Range<u64>, Range<u64>),
        resampling: Resampling,
    ) -> Result<Image, ImageError> {
        let (width, height) = window::sides(size, &window)?;
        let length = width * image.channels().count();
        let mut samples = Vec::with_capacity(height * length);
        self.each_row(image, size, window, resampling, |_, row| samples.extend_from_slice(row))?;
        Image::new(width, height, image.channels(), samples)
    }

    /// Calls `each` with the number and the samples of every row of [`window`](Resizer::window), in order.
    pub(crate) fn each_row(
        &mut self,
        image: &Image,
        size: (u64, u64),
        window: (Range<u64>, Range<u64>),
        resampling: Resampling,
        each: impl FnMut(usize, &[u8]),
    ) -> Result<(), ImageError> {
        match resampling {
            Resampling::Pillow(interpolation) => self.pillow_rows(image, size, window, interpolation, each),
            Resampling::Opencv(interpolation) => {
                self.opencv.each_row(self.isa(), image, size, window, interpolation, each)
            }
        }
    }

    fn pillow_rows(
        &mut self,
        image: &Image,
        size: (u64, u64),
        window: (Range<u64>, Range<u64>),
        interpolation: Interpolation,
        each: impl FnMut(usize, &[u8]),
    ) -> Result<(), ImageError> {
        window::sides(size, &window)?;
        let columns = self.columns.plan(image.width(), size.0, window.0, interpolation);
        let rows = self.rows.plan(image.height(), size.1, window.1, interpolation);
        let count = image.channels().count();
        let stride = image.width() * count;
        let samples = &image.samples()[rows.start * stride + columns.start * count..];
        let source = SampleRows { samples, stride };
        let passes = Passes { channels: image.channels(), source, columns: &self.columns, rows: &self.rows };
        if rows_first((image.width() as u64, image.height() as u64), size) {
            passes.rows_first(columns.len(), &mut self.buffers, each);
        } else {
            passes.columns_first(rows.len(), &mut self.buffers, each);
        }
        Ok(())
    }
}

impl Default for Resizer {
    /// [`Resizer::new`].
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Resizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resizer({})", self.isa())
    }
}

/// Whether the vertical pass comes first: if it removes rows, and more than twice as many as the other removes columns.
///
/// The rule is that of Pillow 13.0.0, found by comparing both orders with its results; earlier versions start with the
/// horizontal pass. Because each pass rounds to 8 bits, the order shows in single levels.
fn rows_first(from: (u64, u64), to: (u64, u64)) -> bool {
    to.1 < from.1 && i128::from(from.1 - to.1) > 2 * (i128::from(from.0) - i128::from(to.0))
}
