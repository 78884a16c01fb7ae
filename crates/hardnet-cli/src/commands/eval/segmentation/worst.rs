//! The images with the lowest mean IoU, as pictures.

use hardnet_data::{Image, Interpolation, encode_png, resize};
use hardnet_eval::exact;
use hardnet_segmentation::{Compared, Confusion, Mask, Palette, overlay};
use serde::{Deserialize, Serialize};

use crate::failure::Result;
use crate::page::html::base64;

/// The longest side of a picture, in pixels.
const SIDE: usize = 320;

/// An image, its prediction and its truth. Field names are API.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Picture {
    pub(super) name: String,
    #[serde(with = "exact")]
    pub(super) mean_iou: f64,
    #[serde(with = "exact")]
    pub(super) pixel_accuracy: f64,
    /// The image with the colors of the predicted classes, PNG.
    #[serde(with = "base64")]
    pub(super) predicted: Vec<u8>,
    /// The image with the colors of the true classes, PNG.
    #[serde(with = "base64")]
    pub(super) truth: Vec<u8>,
    /// The image, PNG.
    #[serde(with = "base64")]
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
        if confusion.total() == 0 || self.place(figures.mean_iou) >= self.most {
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
        self.keep(picture);
        Ok(())
    }

    /// Where an image of this mean IoU belongs: of equals, the earlier one comes first.
    fn place(&self, mean_iou: f64) -> usize {
        self.pictures.partition_point(|picture| picture.mean_iou <= mean_iou)
    }

    /// Adds a picture of a later image than those before, if it is among the worst.
    pub(super) fn keep(&mut self, picture: Picture) {
        self.pictures.insert(self.place(picture.mean_iou), picture);
        self.pictures.truncate(self.most);
    }

    /// The pictures, the worst first.
    pub(super) fn into_pictures(self) -> Vec<Picture> {
        self.pictures
    }
}
