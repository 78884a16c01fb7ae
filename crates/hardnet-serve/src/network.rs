//! Networks that a batcher computes.

use hardnet_classifier::{Classifier, Embedder, Error, ImageInput};
use hardnet_data::{DecodeLimits, DecodeOptions, Image};

/// A network that turns images into rows of values.
///
/// Its rows must not depend on the other images of a batch: a [`Classifier`] and an [`Embedder`] have to be built with
/// `batch_invariant`.
pub trait ImageNetwork: Send + Sync + 'static {
    /// Decodes and prepares an image file of at most `max_pixels` pixels.
    ///
    /// # Errors
    ///
    /// The reason why it cannot, for the client.
    fn prepare_file(&self, file: &[u8], max_pixels: u64) -> Result<Prepared, String>;

    /// Returns the number of values of a prepared image.
    fn input_len(&self) -> usize;

    /// Computes a row of values for each image.
    ///
    /// # Errors
    ///
    /// [`ComputeError`], for all images together.
    fn compute(&self, images: &[&[f32]]) -> Result<Vec<Vec<f32>>, ComputeError>;
}

/// An image as a network takes it.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(clippy::exhaustive_structs)]
pub struct Prepared {
    /// The values, `[channels, side, side]`.
    pub tensor: Vec<f32>,
    /// Columns and rows of the image before it was prepared.
    pub size: (usize, usize),
    /// Losses of decoding, in words.
    pub warnings: Vec<String>,
}

/// Why a batch cannot be computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ComputeError {
    /// A value of an image, or a value computed from it, is infinite or NaN.
    #[error("the output is not finite")]
    NotFinite,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl From<Error> for ComputeError {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFinite { .. } => Self::NotFinite,
            error => Self::Other(error.to_string()),
        }
    }
}

impl ImageNetwork for Classifier {
    fn prepare_file(&self, file: &[u8], max_pixels: u64) -> Result<Prepared, String> {
        prepare(file, self.pipeline().decode_options(), max_pixels, |image| self.prepare(image))
    }

    fn input_len(&self) -> usize {
        self.config().in_channels * self.image_size().pow(2)
    }

    fn compute(&self, images: &[&[f32]]) -> Result<Vec<Vec<f32>>, ComputeError> {
        Ok(self.logits(images)?.rows().map(<[f32]>::to_vec).collect())
    }
}

impl ImageNetwork for Embedder {
    fn prepare_file(&self, file: &[u8], max_pixels: u64) -> Result<Prepared, String> {
        prepare(file, self.pipeline().decode_options(), max_pixels, |image| self.prepare(image))
    }

    fn input_len(&self) -> usize {
        // A pipeline gives three channels.
        3 * (self.pipeline().crop as usize).pow(2)
    }

    fn compute(&self, images: &[&[f32]]) -> Result<Vec<Vec<f32>>, ComputeError> {
        Ok(self.rows(images)?.rows().map(<[f32]>::to_vec).collect())
    }
}

/// Decodes and prepares an image by `tensor`.
fn prepare(
    file: &[u8],
    options: DecodeOptions,
    max_pixels: u64,
    tensor: impl FnOnce(&Image) -> hardnet_classifier::Result<Vec<f32>>,
) -> Result<Prepared, String> {
    let options = options.limits(DecodeLimits::default().max_pixels(max_pixels));
    let (image, warnings) = ImageInput::from(file).decode(&options).map_err(|error| error.to_string())?;
    let size = (image.width(), image.height());
    let warnings = warnings.iter().map(ToString::to_string).collect();
    Ok(Prepared { tensor: tensor(&image).map_err(|error| error.to_string())?, size, warnings })
}
