//! The images with the lowest mean IoU, as pictures.

use hardnet_data::{Image, Interpolation, encode_png, resize};
use hardnet_segmentation::{Compared, Confusion, Mask, Palette, overlay};

use crate::failure::Result;

/// The longest side of a picture, in pixels.
const SIDE: usize = 320;

/// An image, its prediction and its truth.
pub(super) struct Picture {
    pub(super) name: String,
    pub(super) mean_iou: f64,
    pub(super) pixel_accuracy: f64,
    /// The image with the colors of the predicted classes, PNG.
    pub(super) predicted: Vec<u8>,
    /// The image with the colors of the true classes, PNG.
    pub(super) truth: Vec<u8>,
    /// The image, PNG.
    pub(super) image: Vec<u8>,
}

/// The worst images so far, the worst first.
pub(super) struct Worst {
    most: usize,
    pictures: Vec<Picture>,
}

impl Worst {
    /// Keeps at most `most` images.
    pub(super) fn new(most: usize) -> Self {
        Self { most, pictures: Vec::new() }
    }

    /// Adds an image that has pixels of a class, if it is among the worst.
    pub(super) fn add(
        &mut self,
        name: &str,
        confusion: &Confusion,
        image: &Image,
        compared: &Compared,
        palette: &Palette,
    ) -> Result<()> {
        let figures = confusion.figures();
        let place = self.pictures.partition_point(|picture| picture.mean_iou <= figures.mean_iou);
        if confusion.total() == 0 || place >= self.most {
            return Ok(());
        }
        let largest = image.width().max(image.height());
        let side = |pixels: usize| (pixels * SIDE.min(largest) / largest).max(1);
        let (width, height) = (side(image.width()), side(image.height()));
        let small = resize(image, width, height, Interpolation::Bilinear)?.into_rgb();
        let drawn = |mask: &Mask| -> Result<Vec<u8>> {
            Ok(encode_png(&overlay(&mask.resize(width, height)?, &small, palette)?)?)
        };
        let picture = Picture {
            name: name.into(),
            mean_iou: figures.mean_iou,
            pixel_accuracy: figures.pixel_accuracy,
            predicted: drawn(&compared.prediction)?,
            truth: drawn(&compared.truth)?,
            image: encode_png(&small)?,
        };
        self.pictures.insert(place, picture);
        self.pictures.truncate(self.most);
        Ok(())
    }

    /// The pictures, the worst first.
    pub(super) fn pictures(&self) -> &[Picture] {
        &self.pictures
    }
}
