//! A training image: read, changed at random and turned into the network's input.

use hardnet_data::{DecodeWarning, RandomStream, Resizer};

use super::Augmentation;
use crate::error::Error;
use crate::load::{Item, LoadError};
use crate::mask::{IGNORED, Mask};
use crate::protocol::{InputSize, InputTensor, Protocol};

/// A crop of a training image and its mask.
#[derive(Debug)]
#[non_exhaustive]
pub struct Crop {
    /// The network's input.
    pub input: InputTensor,
    /// The class of each of its pixels.
    pub truth: Mask,
    /// Losses of decoding.
    pub warnings: Vec<DecodeWarning>,
}

impl Crop {
    /// Reads an image and its mask, changes both by `augmentation` with the numbers of `random`, and normalizes the
    /// crop as `protocol` does. The size of the protocol has no effect. Without a mask, all pixels are ignored.
    ///
    /// # Errors
    ///
    /// A [`LoadError`] with the file.
    pub fn load(
        item: &Item,
        protocol: &Protocol,
        augmentation: &Augmentation,
        resizer: &mut Resizer,
        random: &mut RandomStream,
    ) -> Result<Self, LoadError> {
        let decoded = item.decode(&protocol.decode_options())?;
        let wrong = |error: Error| item.prepare_error(error);
        let (width, height) = (decoded.image.width(), decoded.image.height());
        let mask = match decoded.truth {
            Some(mask) => mask,
            None => Mask::new(width, height, vec![IGNORED; width * height]).map_err(|error| wrong(error.into()))?,
        };
        let cropped = augmentation.apply(resizer, &decoded.image, &mask, random);
        let (image, truth) = cropped.map_err(|error| wrong(error.into()))?;
        let input = protocol.clone().with_size(InputSize::Image).input_with(resizer, &image);
        let input = input.map_err(|error| wrong(error.into()))?;
        Ok(Self { input, truth, warnings: decoded.warnings })
    }
}
