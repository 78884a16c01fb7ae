//! Data sets: which images, with which labels, from a list, from one folder per class, or from paths.
//!
//! A data set is only names: nothing is opened here but the list itself, and the archive that the images are in. What
//! can be known to be wrong is an error before any work begins, because an evaluation that fails after an hour costs an
//! hour.

mod archive;
mod class_folders;
mod error;
mod from_list;
mod idx;
mod labels;
mod list;
mod paths;
mod root;
mod sample;
mod walk;

use std::path::{Path, PathBuf};

pub use error::DatasetError;
pub use idx::{IdxError, IdxImage, MAX_IDX_BYTES};
pub use root::ImageRoot;
pub use sample::Sample;

use crate::random::{Purpose, RandomStream};

/// The extensions by which folders are searched for images, compared without regard to case: those of torchvision's
/// `IMG_EXTENSIONS`, and `jpe`.
pub const IMAGE_EXTENSIONS: [&str; 10] = ["jpg", "jpeg", "jpe", "png", "ppm", "bmp", "pgm", "tif", "tiff", "webp"];

/// The largest list accepted, in bytes; one line for each training image of ImageNet is about 45 MB.
pub const MAX_LIST_BYTES: u64 = 64 << 20;

/// The most samples or folders a data set may have; ImageNet's training set has 1.3 million.
pub const MAX_SAMPLES: usize = 4 << 20;

/// Labeled samples in a fixed order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dataset {
    /// The samples.
    pub samples: Vec<Sample>,
    /// The name of each class in index order, one per class, if the labels came from folders.
    ///
    /// A class without a folder has its WordNet id or its number for a name, as the other folders do.
    pub classes: Option<Vec<String>>,
    /// Decisions that the user should know of: a sentence each, without a final stop.
    pub notes: Vec<String>,
}

impl Dataset {
    fn new(samples: Vec<Sample>) -> Self {
        Self { samples, classes: None, notes: Vec::new() }
    }

    /// The images of a list, one `name label` per line, the names below the folder `root`.
    ///
    /// Blanks and tabs separate, the last field is the label in 0..`classes`, all before it is the name, blanks
    /// included. A name may have leading folders, but neither be absolute nor hold `..`. Lines end in LF or CRLF; blank
    /// lines and a UTF-8 byte order mark are passed over.
    ///
    /// With 1,000 classes the list may also be Kaggle's `LOC_val_solution.csv`: below the header
    /// `ImageId,PredictionString` rows `ILSVRC2012_val_00048981,n03995372 85 1 499 272`, the boxes of a row all of one
    /// class. Names get the extension `JPEG` if they have none. The images of `LOC_train_solution.csv` may be in
    /// folders of their classes, `root/n01440764/n01440764_10026.JPEG`.
    ///
    /// `root` may also be a tar archive, whatever its name: GNU, ustar, pax or older. A name then means the entry of
    /// that name, or else the only one that has it but for leading folders of either. Nothing is unpacked.
    ///
    /// # Errors
    ///
    /// A [`DatasetError`] with the line if a line is not as above, if two lines name one file, or if an image is not
    /// there; also if the list is empty, not UTF-8 or longer than [`MAX_LIST_BYTES`], or if the archive is compressed,
    /// cut short, damaged, or has a listed image twice or as a link.
    pub fn from_list(list: &Path, root: impl Into<ImageRoot>, classes: usize) -> Result<Self, DatasetError> {
        from_list::read(list, &root.into(), classes)
    }

    /// The images of `root/<class>/`, at any depth, labeled by the name of the class folder.
    ///
    /// With 1,000 classes and folders named by WordNet ids the labels are ImageNet's, and some of the thousand may be
    /// absent. If all folders are decimal numbers, those are the labels. Otherwise the folders are numbered in the
    /// order of the bytes of their names, as torchvision's `ImageFolder` does, and there must be `classes` of them.
    /// Which rule was applied stands in [`notes`](Self::notes).
    ///
    /// Files count as images by [`IMAGE_EXTENSIONS`]; the order is `ImageFolder`'s too. Links are followed. Unlike
    /// there, hidden files and folders are ignored, since other systems leave `._name.JPEG` beside images.
    ///
    /// `root` may also be a tar archive of such folders, or of one folder that holds them. Links are then refused.
    ///
    /// # Errors
    ///
    /// A [`DatasetError`] if the folders cannot be read or be matched with the classes, or hold no image at all.
    pub fn from_class_folders(root: impl Into<ImageRoot>, classes: usize) -> Result<Self, DatasetError> {
        class_folders::read(&root.into(), classes)
    }

    /// The gray images of the IDX file `images`, as `t10k-images-idx3-ubyte.gz` of MNIST and Fashion-MNIST, plain or
    /// compressed by gzip; their labels are those of the file beside it whose name has `labels` for `images`.
    ///
    /// The values of the file are held in memory, at most [`MAX_IDX_BYTES`].
    ///
    /// # Errors
    ///
    /// A [`DatasetError`] if the files are not IDX files of unsigned bytes with three dimensions and one, if one is cut
    /// short or too long, or if there are more or fewer labels than images, or a label outside 0..`classes`.
    pub fn from_idx(images: &Path, classes: usize) -> Result<Self, DatasetError> {
        idx::read(images, classes)
    }

    /// Whether `path` is a file that begins as an IDX file, compressed or not.
    pub fn is_idx(path: &Path) -> bool {
        idx::is_idx(path)
    }

    /// How many class folders `root` has; 0 if it is not a folder.
    ///
    /// # Errors
    ///
    /// A [`DatasetError`] if the folder cannot be read.
    pub fn count_class_folders(root: &Path) -> Result<usize, DatasetError> {
        if root.is_dir() { Ok(walk::list(root)?.folders.len()) } else { Ok(0) }
    }

    /// The given files, whatever their extension, and the images in the given folders and tar archives, without labels.
    ///
    /// The order is that of `paths`, within a folder that of [`from_class_folders`](Self::from_class_folders), within
    /// an archive the archive's.
    ///
    /// # Errors
    ///
    /// A [`DatasetError`] if a path does not exist, is a pipe or device, or is a folder or archive without images.
    pub fn from_paths(paths: &[PathBuf]) -> Result<Self, DatasetError> {
        paths::read(paths)
    }

    /// Splits off `n` random samples, all of them if there are fewer, and returns them. The choice depends on `seed`
    /// and the number of samples alone; both parts keep their order.
    pub fn split_off_random(&mut self, n: usize, seed: u64) -> Self {
        let length = u32::try_from(self.samples.len()).expect("a data set has at most `MAX_SAMPLES` samples");
        let order = RandomStream::new(seed, Purpose::Split, [0, 0]).permutation(length);
        let mut held = vec![false; self.samples.len()];
        order.iter().take(n).for_each(|&index| held[index as usize] = true);
        let mut held = held.into_iter();
        let (out, kept) = std::mem::take(&mut self.samples).into_iter().partition(|_| held.next() == Some(true));
        self.samples = kept;
        Self { samples: out, classes: self.classes.clone(), notes: Vec::new() }
    }

    /// Keeps `n` samples spread evenly over the whole: number floor(i * len / n) for each i in 0..`n`, in order.
    ///
    /// Lists are often sorted by class, where the first n would be a few classes only. Nothing changes if there are no
    /// more than `n` samples.
    pub fn subsample_evenly(&mut self, n: usize) {
        let length = self.samples.len();
        if n >= length {
            return;
        }
        for i in 0..n {
            // The chosen index rises strictly and is at least i, so no swap disturbs one that is chosen later.
            let chosen = (i as u128 * length as u128 / n as u128) as usize;
            self.samples.swap(i, chosen);
        }
        self.samples.truncate(n);
    }
}
