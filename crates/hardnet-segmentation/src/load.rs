//! Images and masks, read and prepared by worker threads ahead of the network, in order.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hardnet_base::{FileKind, ReadError, read_regular_file};
use hardnet_data::{
    DecodeError, DecodeOptions, DecodeWarning, Decoded, Image, ImageInfo, MAX_FILE_BYTES, Orientation, ParallelMap,
    Sample,
};

use crate::error::Error;
use crate::mask::{Mask, MaskError, MaskReader};
use crate::segmenter::{Prepared, Segmenter};

/// An image, and its mask if the truth is known.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Item {
    /// The image.
    pub image: Sample,
    /// The file of its mask, and how it is read.
    pub mask: Option<(PathBuf, Arc<MaskReader>)>,
}

impl Item {
    /// An image without a mask.
    pub fn new(image: Sample) -> Self {
        Self { image, mask: None }
    }

    /// Sets the mask.
    pub fn with_mask(self, path: impl Into<PathBuf>, reader: Arc<MaskReader>) -> Self {
        Self { mask: Some((path.into(), reader)), ..self }
    }
}

/// An image that is ready for the network.
#[derive(Debug)]
#[non_exhaustive]
pub struct Loaded {
    /// The image as it was decoded.
    pub image: Image,
    /// Its size and orientation.
    pub info: ImageInfo,
    /// Losses of decoding.
    pub warnings: Vec<DecodeWarning>,
    /// Its inputs of the network.
    pub prepared: Prepared,
    /// The class of each pixel, if there is a mask; of the size of the image.
    pub truth: Option<Mask>,
}

/// How many threads load, and how far ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadOptions {
    /// Threads.
    pub workers: usize,
    /// Images ahead of the network. An image of Cityscapes takes 32 MB.
    pub ahead: usize,
}

impl Default for LoadOptions {
    /// Two threads and three images.
    fn default() -> Self {
        Self { workers: 2, ahead: 3 }
    }
}

impl LoadOptions {
    /// Sets the threads.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Sets the images ahead of the network.
    pub fn ahead(mut self, images: usize) -> Self {
        self.ahead = images;
        self
    }
}

/// Loaded images in the order of their items. Dropping it early waits for the images in work.
pub struct Loading(ParallelMap<Result<Loaded, LoadError>>);

impl Segmenter {
    /// Starts loading `items` for this segmenter, a vector or one that is shared.
    pub fn load_items(&self, items: impl Into<Arc<Vec<Item>>>, options: LoadOptions) -> Loading {
        let (segmenter, items) = (self.clone(), items.into());
        let LoadOptions { workers, ahead } = options;
        Loading(ParallelMap::new(workers, ahead, items.len(), move |index| segmenter.load_item(&items[index])))
    }

    /// The error of an image whose inputs the network cannot compute, as when they are too small for it.
    ///
    /// # Errors
    ///
    /// The error itself if it does not depend on the image.
    pub fn refused(&self, item: &Item, error: Error) -> Result<LoadError, Error> {
        match error {
            error @ Error::NotFinite { .. } => Err(error),
            error => Ok(item.prepare_error(error)),
        }
    }

    /// Reads and prepares an image and its mask.
    ///
    /// # Errors
    ///
    /// A [`LoadError`] with the file.
    pub fn load_item(&self, item: &Item) -> Result<Loaded, LoadError> {
        let DecodedItem { image, info, warnings, truth } = item.decode(&self.protocol().decode_options())?;
        let prepared = self.prepare(&image).map_err(|source| item.prepare_error(source))?;
        Ok(Loaded { image, info, warnings, prepared, truth })
    }
}

/// An image and its mask, read.
#[derive(Debug)]
#[non_exhaustive]
pub struct DecodedItem {
    /// The image.
    pub image: Image,
    /// Its size and orientation.
    pub info: ImageInfo,
    /// Losses of decoding.
    pub warnings: Vec<DecodeWarning>,
    /// The class of each pixel, if there is a mask; of the size of the image.
    pub truth: Option<Mask>,
}

impl Item {
    /// Reads and decodes the image and its mask.
    ///
    /// # Errors
    ///
    /// A [`LoadError`] with the file.
    pub fn decode(&self, options: &DecodeOptions) -> Result<DecodedItem, LoadError> {
        let (image, warnings, orientation) = match self.image.in_memory() {
            Some(stored) => (stored.image(), Vec::new(), Orientation::Upright),
            None => {
                let decoded = options.decode(&content(&self.image)?);
                let path = || self.image.path().into_owned();
                let Decoded { image, warnings, orientation, .. } =
                    decoded.map_err(|source| LoadError::Decode { path: path(), source })?;
                (image, warnings, orientation)
            }
        };
        let truth = self.mask.as_ref().map(|(mask, reader)| read_mask(mask, reader, &image)).transpose()?;
        let info = ImageInfo::from(&image).with_orientation(orientation);
        Ok(DecodedItem { image, info, warnings, truth })
    }

    pub(crate) fn prepare_error(&self, source: Error) -> LoadError {
        LoadError::Prepare { path: self.image.path().into_owned(), source: Box::new(source) }
    }
}

fn read_mask(path: &Path, reader: &MaskReader, image: &Image) -> Result<Mask, LoadError> {
    let bytes = read_regular_file(path, MAX_FILE_BYTES).map_err(|error| LoadError::read(path, error))?;
    let wrong = |source| LoadError::Mask { path: path.into(), source };
    let mask = reader.decode(&bytes).map_err(wrong)?;
    MaskReader::check_size(&mask, (image.width(), image.height())).map_err(wrong)?;
    Ok(mask)
}

/// The content of a file, or of an entry of an archive.
fn content(sample: &Sample) -> Result<Vec<u8>, LoadError> {
    let path = sample.path();
    let read = match sample.archived() {
        None => read_regular_file(&path, MAX_FILE_BYTES),
        Some(archived) if archived.bytes() > MAX_FILE_BYTES => Err(ReadError::TooLarge { bytes: archived.bytes() }),
        Some(archived) => archived.read().map_err(ReadError::Io),
    };
    read.map_err(|error| LoadError::read(&path, error))
}

impl Iterator for Loading {
    type Item = Result<Loaded, LoadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

impl fmt::Debug for Loading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Loading")
    }
}

/// Error of an image or its mask, which costs only this image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A file cannot be read.
    #[error("cannot read `{}`", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A path is not of a regular file.
    #[error("`{}` is {kind}, expected a file", .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// The kind of file found.
        kind: FileKind,
    },
    /// A file is longer than any that is read.
    #[error("`{}` has more than {MAX_FILE_BYTES} bytes", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// An image cannot be decoded.
    #[error("`{}`", .path.display())]
    Decode {
        /// The image.
        path: PathBuf,
        /// The problem.
        source: DecodeError,
    },
    /// An image cannot be prepared.
    #[error("`{}`", .path.display())]
    Prepare {
        /// The image.
        path: PathBuf,
        /// The problem.
        source: Box<Error>,
    },
    /// A mask cannot be used.
    #[error("`{}`", .path.display())]
    Mask {
        /// The mask.
        path: PathBuf,
        /// The problem.
        source: MaskError,
    },
}

impl LoadError {
    fn read(path: &Path, error: ReadError) -> Self {
        let path = path.to_path_buf();
        match error {
            ReadError::Io(source) => Self::Io { path, source },
            ReadError::NotAFile(kind) => Self::NotAFile { path, kind },
            ReadError::TooLarge { .. } => Self::TooLarge { path },
        }
    }
}
