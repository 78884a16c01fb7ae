//! Consecutive samples, loaded.

use std::ops::Range;

use super::{ImageTensor, Loaded, SampleError};
use crate::{DecodeWarning, Image, Orientation};

/// The images of consecutive samples.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Batch {
    /// The samples this batch accounts for, as indices into the loader's samples, or into the order of an epoch.
    pub range: Range<usize>,
    /// The tensors of the n readable images, each `[3, crop, crop]`, f32, normalized by the pipeline.
    ///
    /// They are the buffers that the workers wrote; [`stacked`](Batch::stacked) copies them into one.
    pub images: Vec<ImageTensor>,
    /// The sample of each of the n images, in their order.
    pub samples: Vec<usize>,
    /// Further facts about each of the n images, in their order.
    pub infos: Vec<ImageInfo>,
    /// The samples that have no image, in their order, and why.
    pub failures: Vec<(usize, SampleError)>,
    /// Losses of decoding the images, in the order of their samples.
    pub warnings: Vec<(usize, DecodeWarning)>,
}

/// An image as it was decoded, before the pipeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageInfo {
    /// Columns, in pixels.
    pub width: usize,
    /// Rows, in pixels.
    pub height: usize,
    /// The orientation in the file's EXIF data. Whether the image was turned by it is up to the pipeline.
    pub orientation: Orientation,
}

impl ImageInfo {
    /// An image of this size, in pixels.
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, height, orientation: Orientation::Upright }
    }

    /// Sets [`orientation`](Self::orientation).
    pub fn with_orientation(self, orientation: Orientation) -> Self {
        Self { orientation, ..self }
    }
}

impl From<&Image> for ImageInfo {
    fn from(image: &Image) -> Self {
        Self::new(image.width(), image.height())
    }
}

impl Batch {
    /// A batch for the samples of `range`, which are added in their order.
    pub(super) fn of(range: Range<usize>) -> Self {
        let count = range.len();
        Self { range, images: Vec::with_capacity(count), ..Self::default() }
    }

    pub(super) fn push(&mut self, index: usize, loaded: Loaded<ImageTensor>) {
        match loaded {
            Ok((tensor, info, warnings)) => {
                self.images.push(tensor);
                self.samples.push(index);
                self.infos.push(info);
                self.warnings.extend(warnings.into_iter().map(|warning| (index, warning)));
            }
            Err(error) => self.failures.push((index, error)),
        }
    }

    /// The images one after the other, `[n, 3, crop, crop]`.
    pub fn stacked(&self) -> Vec<f32> {
        let images: Vec<&[f32]> = self.images.iter().map(AsRef::as_ref).collect();
        images.concat()
    }
}
