//! One image in memory.
//!
//! Samples are 8-bit, row-major and interleaved (`[height, width, channels]`), rows without padding: the layout a
//! decoder produces and a resampler reads.

use std::fmt;
use std::ops::Range;

/// The color channels of an [`Image`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channels {
    /// One luminance sample a pixel.
    Gray,
    /// Red, green and blue, in this order.
    Rgb,
}

impl Channels {
    /// Samples a pixel: 1 or 3.
    pub const fn count(self) -> usize {
        match self {
            Channels::Gray => 1,
            Channels::Rgb => 3,
        }
    }
}

impl fmt::Display for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Channels::Gray => "gray",
            Channels::Rgb => "rgb",
        })
    }
}

/// An 8-bit image of at least one pixel; samples `[height, width, channels]`, 0..=255.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    width: usize,
    height: usize,
    channels: Channels,
    samples: Vec<u8>,
}

impl Image {
    /// Takes `samples` laid out as `[height, width, channels]`; sizes in pixels.
    ///
    /// # Errors
    /// [`ImageError::NoPixels`] if a side is 0, [`ImageError::SampleCount`] if `samples` has another length than
    /// `width * height * channels.count()`.
    pub fn new(width: usize, height: usize, channels: Channels, samples: Vec<u8>) -> Result<Image, ImageError> {
        if width == 0 || height == 0 {
            return Err(ImageError::NoPixels { width: width as u64, height: height as u64 });
        }
        let expected = width.checked_mul(height).and_then(|pixels| pixels.checked_mul(channels.count()));
        if expected != Some(samples.len()) {
            return Err(ImageError::SampleCount { width, height, channels, found: samples.len() });
        }
        Ok(Image { width, height, channels, samples })
    }

    /// [`Image::new`] with [`Channels::Rgb`].
    ///
    /// # Errors
    /// As [`Image::new`].
    pub fn from_rgb8(width: usize, height: usize, samples: Vec<u8>) -> Result<Image, ImageError> {
        Image::new(width, height, Channels::Rgb, samples)
    }

    /// Columns, in pixels; at least 1.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows, in pixels; at least 1.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Which channels a pixel has.
    pub fn channels(&self) -> Channels {
        self.channels
    }

    /// All samples, `[height, width, channels]`.
    pub fn samples(&self) -> &[u8] {
        &self.samples
    }

    /// The samples without the image around them.
    pub fn into_samples(self) -> Vec<u8> {
        self.samples
    }

    /// The given columns and rows, which lie inside the image and are not empty.
    pub(crate) fn part(&self, columns: Range<usize>, rows: Range<usize>) -> Image {
        let (count, stride) = (self.channels.count(), self.width * self.channels.count());
        let row = |row: usize| &self.samples[row * stride..][columns.start * count..columns.end * count];
        let samples = rows.clone().flat_map(|index| row(index).iter().copied()).collect();
        Image { width: columns.len(), height: rows.len(), channels: self.channels, samples }
    }

    /// The image with three channels: gray is replicated, as Pillow's `convert("RGB")` of mode `L` does.
    pub fn into_rgb(self) -> Image {
        match self.channels {
            Channels::Rgb => self,
            Channels::Gray => {
                let samples = self.samples.iter().flat_map(|&gray| [gray; 3]).collect();
                Image { channels: Channels::Rgb, samples, ..self }
            }
        }
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Image({}x{} {})", self.width, self.height, self.channels)
    }
}

/// Error of making an [`Image`]: from samples, by [`resize`](crate::resize()), or as a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A side is 0.
    #[error("an image of `{width}x{height}` pixels is empty, expected both sides to be at least 1")]
    NoPixels {
        /// Columns.
        width: u64,
        /// Rows.
        height: u64,
    },
    /// The number of samples does not fit the size.
    #[error("`{width}x{height}` {channels} needs width * height * {} samples, found {found}", channels.count())]
    SampleCount {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// Channels.
        channels: Channels,
        /// Samples given.
        found: usize,
    },
    /// A side of a resized or cropped image is outside the accepted range.
    #[error("`{name}` is {value}, expected 1..={max} pixels")]
    Side {
        /// Which size is meant.
        name: &'static str,
        /// The requested size, in pixels.
        value: u64,
        /// The largest accepted size.
        max: u64,
    },
    /// A window lies partly outside the resized image.
    #[error("window {start}..{end} along `{axis}` exceeds an image of {size} pixels")]
    WindowOutside {
        /// `"width"` or `"height"`.
        axis: &'static str,
        /// First pixel of the window.
        start: u64,
        /// One past its last pixel.
        end: u64,
        /// Size of the image along the axis.
        size: u64,
    },
    /// A resized image would have more pixels than are computed at once.
    #[error("`{width}x{height}` pixels are more than the limit of {max_pixels}")]
    TooManyPixels {
        /// Requested columns.
        width: u64,
        /// Requested rows.
        height: u64,
        /// The limit in force.
        max_pixels: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_checks_the_sample_count() {
        assert!(Image::new(2, 3, Channels::Gray, vec![0; 6]).is_ok());
        assert!(Image::from_rgb8(2, 3, vec![0; 18]).is_ok());
        for (width, height, channels, len) in
            [(2, 3, Channels::Gray, 5), (2, 3, Channels::Rgb, 6), (usize::MAX, 2, Channels::Gray, 0)]
        {
            let error = Image::new(width, height, channels, vec![0; len]).unwrap_err();
            assert!(matches!(error, ImageError::SampleCount { found, .. } if found == len), "{error}");
        }
        for (width, height) in [(0, 0), (0, 7), (7, 0)] {
            let error = Image::from_rgb8(width, height, Vec::new()).unwrap_err();
            assert!(matches!(error, ImageError::NoPixels { .. }), "{error}");
        }
    }

    #[test]
    fn gray_is_replicated() {
        let rgb = Image::new(2, 1, Channels::Gray, vec![7, 200]).unwrap().into_rgb();
        assert_eq!((rgb.channels(), rgb.samples()), (Channels::Rgb, &[7, 7, 7, 200, 200, 200][..]));
    }

    #[test]
    fn a_part_has_its_own_rows_and_columns() {
        let image = Image::from_rgb8(3, 2, (0..18).collect()).unwrap();
        let part = image.part(1..3, 1..2);
        assert_eq!((part.width(), part.height(), part.samples()), (2, 1, &[12, 13, 14, 15, 16, 17][..]));
    }

    #[test]
    fn messages_say_what_is_expected() {
        let error = Image::new(2, 2, Channels::Rgb, vec![0; 4]).unwrap_err();
        assert_eq!(error.to_string(), "`2x2` rgb needs width * height * 3 samples, found 4");
    }
}
