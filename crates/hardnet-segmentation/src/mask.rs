//! Masks: the class of each pixel.
//!
//! A mask is 8 bits a pixel, row-major: the index of a class, or [`IGNORED`]. [`read`](Mask::decode) says how the files
//! of data sets become masks, [`write`](Mask::encode_png) how masks become files.

mod read;
mod table;
mod write;

use std::fmt;

pub use read::{MaskError, MaskReader};
pub use table::LabelTable;

/// The value of pixels that belong to no class: they are not counted, and give no gradient.
pub const IGNORED: u8 = 255;

/// The most classes that a mask can tell apart.
pub const MAX_CLASSES: usize = 255;

/// The class of each pixel of an image: `[height, width]`, an index or [`IGNORED`].
#[derive(Clone, PartialEq, Eq)]
pub struct Mask {
    width: usize,
    height: usize,
    labels: Vec<u8>,
}

impl Mask {
    /// Takes `labels` laid out as `[height, width]`.
    ///
    /// # Errors
    ///
    /// [`MaskError::Shape`] if a side is 0 or `labels` has another length than `width * height`.
    pub fn new(width: usize, height: usize, labels: Vec<u8>) -> Result<Self, MaskError> {
        if width == 0 || height == 0 || width.checked_mul(height) != Some(labels.len()) {
            return Err(MaskError::Shape { width, height, found: labels.len() });
        }
        Ok(Self { width, height, labels })
    }

    /// Columns, in pixels; at least 1.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows, in pixels; at least 1.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The values, `[height, width]`.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// The values without the mask around them.
    pub fn into_labels(self) -> Vec<u8> {
        self.labels
    }

    /// The number of pixels of each of `classes` classes; other pixels are not counted.
    pub fn areas(&self, classes: usize) -> Vec<u64> {
        let mut counts = [0; 256];
        self.labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
        counts[..classes.min(MAX_CLASSES)].to_vec()
    }

    /// The mask resampled to `width` x `height` pixels as Pillow's `resize` with `NEAREST`: the value of the pixel at
    /// the center of each.
    ///
    /// # Errors
    ///
    /// [`MaskError::Shape`] if a side is 0.
    pub fn resize(&self, width: usize, height: usize) -> Result<Self, MaskError> {
        let (columns, rows) = (nearest(self.width, width), nearest(self.height, height));
        let mut labels = Vec::with_capacity(width.saturating_mul(height));
        for row in rows {
            let row = &self.labels[row * self.width..][..self.width];
            labels.extend(columns.iter().map(|&column| row[column]));
        }
        Self::new(width, height, labels)
    }

    /// The mask with left and right exchanged.
    pub fn mirrored(mut self) -> Self {
        self.labels.chunks_exact_mut(self.width).for_each(<[u8]>::reverse);
        self
    }
}

/// The pixel of `from` at the center of each of `to` pixels. Pillow adds up the steps, which rounds as it does.
fn nearest(from: usize, to: usize) -> Vec<usize> {
    let step = from as f64 / to as f64;
    let mut position = step * 0.5;
    let mut next = || {
        let pixel = position as usize;
        position += step;
        pixel.min(from - 1)
    };
    (0..to).map(|_| next()).collect()
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mask({}x{})", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_checked() {
        assert!(Mask::new(2, 3, vec![0; 6]).is_ok());
        for (width, height, count) in [(2, 3, 5), (0, 3, 0), (3, 0, 0), (usize::MAX, 2, 0)] {
            let error = Mask::new(width, height, vec![0; count]).unwrap_err();
            assert!(matches!(error, MaskError::Shape { found, .. } if found == count), "{error}");
        }
        assert!(Mask::new(2, 2, vec![0; 4]).unwrap().resize(0, 1).is_err());
    }

    #[test]
    fn areas_count_classes_and_leave_out_the_rest() {
        let mask = Mask::new(3, 2, vec![0, 1, 1, IGNORED, 7, 1]).unwrap();
        assert_eq!(mask.areas(3), [1, 3, 0]);
        assert_eq!(mask.areas(1000).len(), 255);
    }

    #[test]
    fn a_mirrored_mask_exchanges_columns() {
        let mask = Mask::new(3, 2, vec![1, 2, 3, 4, 5, 6]).unwrap().mirrored();
        assert_eq!(mask.labels(), [3, 2, 1, 6, 5, 4]);
    }
}
