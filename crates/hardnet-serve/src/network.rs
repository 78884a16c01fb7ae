//! Networks that a batcher computes.

use std::any::Any;
use std::sync::Arc;

use hardnet_classifier::{Classifier, Embedder, Error, ImageInput};
use hardnet_data::{DecodeLimits, DecodeOptions, Image};
use hardnet_segmentation::{InputSize, Segmenter};

/// Columns and rows of the image by which a network is measured that takes images of any size.
const BLANK: (usize, usize) = (512, 256);

/// A network that turns images into rows of values.
///
/// Rows must not depend on the other images of a batch: a [`Classifier`] and an [`Embedder`] have to be built with
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

    /// Returns an image with which throughput is measured, by default of zeros.
    ///
    /// # Errors
    ///
    /// [`ComputeError`], as [`compute`](Self::compute).
    fn blank(&self) -> Result<Prepared, ComputeError> {
        Ok(Prepared { tensor: vec![0.0; self.input_len()], ..Prepared::default() })
    }

    /// Computes a row of values for each image.
    ///
    /// # Errors
    ///
    /// [`ComputeError`], for all images together.
    fn compute(&self, images: &[&Prepared]) -> Result<Vec<Vec<f32>>, ComputeError>;
}

/// An image as a network takes it.
#[derive(Clone, Debug, Default)]
#[allow(clippy::exhaustive_structs)]
pub struct Prepared {
    /// The values, `[channels, side, side]`; none for a network that uses `content`.
    pub tensor: Vec<f32>,
    /// Columns and rows of the image before it was prepared.
    pub size: (usize, usize),
    /// Losses of decoding, in words.
    pub warnings: Vec<String>,
    /// An image that is not one tensor, which only its network understands.
    pub content: Option<Arc<dyn Any + Send + Sync>>,
    /// Memory of `content`, in bytes.
    pub content_bytes: usize,
}

impl Prepared {
    /// Returns the memory of its values, in bytes.
    pub fn bytes(&self) -> usize {
        size_of::<f32>() * self.tensor.len() + self.content_bytes
    }
}

/// Why a batch cannot be computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ComputeError {
    /// A value of an image, or a value computed from it, is infinite or NaN.
    #[error("the output is not finite")]
    NotFinite,
    /// The image cannot be computed.
    #[error("{0}")]
    Image(String),
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

    fn compute(&self, images: &[&Prepared]) -> Result<Vec<Vec<f32>>, ComputeError> {
        Ok(self.logits(&tensors(images))?.rows().map(<[f32]>::to_vec).collect())
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

    fn compute(&self, images: &[&Prepared]) -> Result<Vec<Vec<f32>>, ComputeError> {
        Ok(self.rows(&tensors(images))?.rows().map(<[f32]>::to_vec).collect())
    }
}

fn tensors<'a>(images: &[&'a Prepared]) -> Vec<&'a [f32]> {
    images.iter().map(|image| &image.tensor[..]).collect()
}

/// A row has the class of each pixel. Images have sizes of their own, and are computed one by one.
impl ImageNetwork for Segmenter {
    fn prepare_file(&self, file: &[u8], max_pixels: u64) -> Result<Prepared, String> {
        let (image, warnings) = decode(file, self.protocol().decode_options(), max_pixels)?;
        let prepared = self.prepare(&image).map_err(|error| error.to_string())?;
        let size = (image.width(), image.height());
        Ok(Prepared { size, warnings, ..content(prepared) })
    }

    fn input_len(&self) -> usize {
        0
    }

    fn blank(&self) -> Result<Prepared, ComputeError> {
        let (width, height) = match self.protocol().size {
            InputSize::Fixed { width, height } => (width as usize, height as usize),
            _ => BLANK,
        };
        let other = |error: &dyn std::fmt::Display| ComputeError::Other(error.to_string());
        let image = Image::from_rgb8(width, height, vec![128; 3 * width * height]).map_err(|error| other(&error))?;
        let prepared = self.prepare(&image).map_err(|error| other(&error))?;
        Ok(Prepared { size: (width, height), ..content(prepared) })
    }

    fn compute(&self, images: &[&Prepared]) -> Result<Vec<Vec<f32>>, ComputeError> {
        let row = |image: &&Prepared| {
            let content = image.content.as_deref().and_then(|content| content.downcast_ref());
            let prepared = content.ok_or_else(|| ComputeError::Other("a tensor, expected an image".into()))?;
            match self.segment_prepared(prepared) {
                Ok(found) => Ok(found.mask.labels().iter().map(|&label| f32::from(label)).collect()),
                Err(hardnet_segmentation::Error::NotFinite { .. }) => Err(ComputeError::NotFinite),
                // The network takes any image but those that are too small for it.
                Err(error @ hardnet_segmentation::Error::Network(_)) => Err(ComputeError::Image(error.to_string())),
                Err(error) => Err(ComputeError::Other(error.to_string())),
            }
        };
        images.iter().map(row).collect()
    }
}

/// An image that only a segmentation network understands.
fn content(prepared: hardnet_segmentation::Prepared) -> Prepared {
    let content_bytes = prepared.bytes();
    Prepared { content: Some(Arc::new(prepared)), content_bytes, ..Prepared::default() }
}

/// Decodes an image of at most `max_pixels` pixels. Returns losses in words, too.
fn decode(file: &[u8], options: DecodeOptions, max_pixels: u64) -> Result<(Image, Vec<String>), String> {
    let options = options.limits(DecodeLimits::default().max_pixels(max_pixels));
    let (image, warnings) = ImageInput::from(file).decode(&options).map_err(|error| error.to_string())?;
    Ok((image.into_owned(), warnings.iter().map(ToString::to_string).collect()))
}

/// Decodes and prepares an image by `tensor`.
fn prepare(
    file: &[u8],
    options: DecodeOptions,
    max_pixels: u64,
    tensor: impl FnOnce(&Image) -> hardnet_classifier::Result<Vec<f32>>,
) -> Result<Prepared, String> {
    let (image, warnings) = decode(file, options, max_pixels)?;
    let size = (image.width(), image.height());
    let tensor = tensor(&image).map_err(|error| error.to_string())?;
    Ok(Prepared { tensor, size, warnings, ..Prepared::default() })
}
