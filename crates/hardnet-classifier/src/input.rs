//! Images as callers have them.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use hardnet_base::{ReadError, read_regular_file};
use hardnet_data::{DecodeOptions, DecodeWarning, Image, MAX_FILE_BYTES, Pipeline, Resizer};

use crate::error::{Error, Result};

/// An image to classify: a path, an [`Image`] of pixels, or the content of an image file.
///
/// Everything that converts into it can be given to [`classify`](crate::Classifier::classify): strings and paths,
/// [`Image`]s, and bytes of an image file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ImageInput<'a> {
    /// An image file.
    Path(Cow<'a, Path>),
    /// Pixels.
    Image(Cow<'a, Image>),
    /// The content of an image file.
    Bytes(Cow<'a, [u8]>),
}

impl<'a> ImageInput<'a> {
    /// Reads and decodes the image as `options` say; also returns what decoding lost of it.
    ///
    /// # Errors
    ///
    /// [`Error::ReadImage`], [`Error::NotAnImageFile`], [`Error::ImageTooLarge`], [`Error::ImageFile`] and
    /// [`Error::Decode`] for an image that cannot be read.
    pub fn decode(self, options: &DecodeOptions) -> Result<(Cow<'a, Image>, Vec<DecodeWarning>)> {
        let decoded = match self {
            Self::Image(image) => return Ok((image, Vec::new())),
            Self::Bytes(bytes) => options.decode(&bytes).map_err(Error::Decode),
            Self::Path(path) => {
                let failed = |source| Error::ImageFile { path: path.to_path_buf(), source };
                options.decode(&read(&path)?).map_err(failed)
            }
        }?;
        Ok((Cow::Owned(decoded.image), decoded.warnings))
    }
}

/// Turns an image into the tensor that a network takes.
pub(crate) fn prepare(pipeline: &Pipeline, resizer: &mut Resizer, image: &Image) -> Result<Vec<f32>> {
    let side = pipeline.crop as usize;
    let mut tensor = vec![0.0; 3 * side * side];
    pipeline.tensor_with(resizer, image, &mut tensor).map_err(Error::Preprocess)?;
    Ok(tensor)
}

/// Checks that every image has as many values as a network's input.
pub(crate) fn tensors<I: AsRef<[f32]>>(images: &[I], expected: usize) -> Result<Vec<&[f32]>> {
    let images: Vec<&[f32]> = images.iter().map(AsRef::as_ref).collect();
    match images.iter().enumerate().find(|(_, image)| image.len() != expected) {
        Some((index, image)) => Err(Error::ImageLength { index, expected, found: image.len() }),
        None => Ok(images),
    }
}

/// Reads a regular file of at most [`MAX_FILE_BYTES`].
fn read(path: &Path) -> Result<Vec<u8>> {
    read_regular_file(path, MAX_FILE_BYTES).map_err(|error| match error {
        ReadError::Io(source) => Error::ReadImage { path: path.into(), source },
        ReadError::NotAFile(kind) => Error::NotAnImageFile { path: path.into(), kind },
        ReadError::TooLarge { .. } => Error::ImageTooLarge { path: path.into(), limit: MAX_FILE_BYTES },
    })
}

impl<'a> From<&'a Path> for ImageInput<'a> {
    fn from(path: &'a Path) -> Self {
        Self::Path(path.into())
    }
}

impl<'a> From<&'a PathBuf> for ImageInput<'a> {
    fn from(path: &'a PathBuf) -> Self {
        Self::Path(path.into())
    }
}

impl From<PathBuf> for ImageInput<'_> {
    fn from(path: PathBuf) -> Self {
        Self::Path(path.into())
    }
}

impl<'a> From<&'a str> for ImageInput<'a> {
    fn from(path: &'a str) -> Self {
        Self::Path(Path::new(path).into())
    }
}

impl<'a> From<&'a String> for ImageInput<'a> {
    fn from(path: &'a String) -> Self {
        Self::Path(Path::new(path).into())
    }
}

impl From<String> for ImageInput<'_> {
    fn from(path: String) -> Self {
        Self::Path(PathBuf::from(path).into())
    }
}

impl<'a> From<&'a Image> for ImageInput<'a> {
    fn from(image: &'a Image) -> Self {
        Self::Image(Cow::Borrowed(image))
    }
}

impl From<Image> for ImageInput<'_> {
    fn from(image: Image) -> Self {
        Self::Image(Cow::Owned(image))
    }
}

impl<'a> From<&'a [u8]> for ImageInput<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl<'a> From<&'a Vec<u8>> for ImageInput<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<Vec<u8>> for ImageInput<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}
