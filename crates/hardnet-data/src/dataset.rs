//! Data sets: which images, with which labels, from a list, from one folder per class, or from paths.
//!
//! A data set is only names: nothing is opened here but the list itself, and the archive that the images are in. What
//! can be known to be wrong is an error before any work begins, because an evaluation that fails after an hour costs an
//! hour.

mod archive;
mod class_folders;
mod class_map;
mod classes;
mod csv;
mod error;
mod find;
mod from_list;
mod idx;
mod kit;
mod label_error;
mod labels;
mod list;
mod numbering;
mod options;
mod paths;
mod repeats;
mod root;
mod sample;
mod skipped;
mod stray;
mod walk;

use std::path::{Path, PathBuf};

pub use class_map::ClassMap;
pub use classes::Classes;
pub use error::DatasetError;
pub use idx::{IdxError, IdxImage, MAX_IDX_BYTES};
#[doc(hidden)]
pub use kit::kit_table;
pub use kit::{DevelopmentKit, KitError, MatError};
pub use label_error::{Expected, LabelError, Numbering, QuotedLabel};
pub use labels::LabelRule;
pub use options::DatasetOptions;
pub use root::ImageRoot;
pub use sample::Sample;

use crate::random::{Purpose, RandomStream};
use labels::Labeling;

/// The extensions by which folders are searched for images, compared without regard to case: those of torchvision's
/// `IMG_EXTENSIONS`, and `jpe`, `gif`, `pbm` and `pnm`.
pub const IMAGE_EXTENSIONS: [&str; 13] =
    ["jpg", "jpeg", "jpe", "png", "ppm", "bmp", "pgm", "tif", "tiff", "webp", "gif", "pbm", "pnm"];

/// The largest list accepted, in bytes; one line for each training image of ImageNet is about 45 MB, and twice as much
/// in UTF-16.
pub const MAX_LIST_BYTES: u64 = 128 << 20;

/// The most classes that labels may have; ImageNet-21k has 21,843.
pub const MAX_CLASSES: usize = 1 << 20;

/// The most samples or folders a data set may have; ImageNet's training set has 1.3 million.
pub const MAX_SAMPLES: usize = 4 << 20;

/// Labeled samples in a fixed order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dataset {
    /// The samples.
    pub samples: Vec<Sample>,
    /// The name of each class in index order, one per class: those of the classes that the labels were matched with, or
    /// else those of the folders or labels.
    ///
    /// A class without a folder has its WordNet id or its number for a name, as the other folders do. `None` if labels
    /// are indices without names.
    pub classes: Option<Vec<String>>,
    /// The number of classes; 0 without labels.
    pub class_count: usize,
    /// How the labels were read; `None` without labels.
    pub rule: Option<LabelRule>,
    /// Decisions that the user should know of: a sentence each, without a final stop.
    pub notes: Vec<String>,
}

impl Dataset {
    fn new(samples: Vec<Sample>) -> Self {
        Self { samples, ..Self::default() }
    }

    fn labeled(samples: Vec<Sample>, labeling: Labeling, notes: Vec<String>) -> Self {
        let Labeling { count, names, rule, notes: mut all_notes, .. } = labeling;
        all_notes.extend(notes);
        Self { samples, classes: names, class_count: count, rule: Some(rule), notes: all_notes }
    }

    /// The images of a list, one `name label` per line, the names below the folder `root`.
    ///
    /// The label is what follows the last tab, or without a tab the last blank, and all before it is the name, blanks
    /// included. A name may have leading folders, with `/` or `\` between them, and may be absolute if it is below
    /// `root`; it cannot hold `..`. The text is UTF-8, or UTF-16 with a byte order mark; lines end in LF or CRLF, and
    /// blank lines are passed over.
    ///
    /// All labels are read by one rule, the first of these that fits any of them: names of the classes, where `-` or
    /// `_` may stand for `/`; WordNet ids, if the classes are ImageNet's; indices from 0, if no class is named by a
    /// number. Classes without names may also be as many as there are different labels, which are then numbered in
    /// the order of their text. [`rule`](Self::rule) is the rule that was applied, and the first of
    /// [`notes`](Self::notes) says it. No class needs to have a sample. [`DatasetOptions`] sets more, such as whether
    /// lines may repeat.
    ///
    /// The list may also be Kaggle's `LOC_val_solution.csv`: below the header
    /// `ImageId,PredictionString` rows `ILSVRC2012_val_00048981,n03995372 85 1 499 272`, the boxes of a row all of one
    /// class. Names get the extension `JPEG` if they have none. The images of `LOC_train_solution.csv` may be in
    /// folders of their classes, `root/n01440764/n01440764_10026.JPEG`.
    ///
    /// `root` may also be a tar archive, whatever its name: GNU, ustar, pax or older. A name then means the entry of
    /// that name, or else the only one that has it but for leading folders of either. Nothing is unpacked.
    ///
    /// # Errors
    ///
    /// A [`DatasetError`] with the line if a line is not as above, if labels fit no class, if two lines name one file,
    /// or if an image is not there; also if the list is empty, not a text or longer than [`MAX_LIST_BYTES`], or if the
    /// archive is compressed, cut short, damaged, or has a listed image twice or as a link.
    pub fn from_list(
        list: &Path,
        root: impl Into<ImageRoot>,
        classes: impl Into<Classes>,
    ) -> Result<Self, DatasetError> {
        DatasetOptions::new(root, classes).list(Some(list)).read()
    }

    /// The images of a list without labels: a name on each line, below `root` as for [`from_list`](Self::from_list).
    /// Lines may repeat.
    ///
    /// # Errors
    ///
    /// As [`from_list`](Self::from_list).
    pub fn from_names(list: &Path, root: impl Into<ImageRoot>) -> Result<Self, DatasetError> {
        from_list::read_names(list, &root.into())
    }

    /// The images of `root/<class>/`, at any depth, labeled by the name of the class folder.
    ///
    /// The names are labels, read by the rule of [`from_list`](Self::from_list). A folder without an image anywhere
    /// below it is not a class, nor are folders that systems leave, such as `__MACOSX`, `@eaDir` and `lost+found`.
    ///
    /// Files count as images by [`IMAGE_EXTENSIONS`]; the order is `ImageFolder`'s too. Links are followed. Unlike
    /// there, hidden files and folders are ignored, since other systems leave `._name.JPEG` next to images.
    ///
    /// `root` may also be a tar archive of such folders, or of one folder that holds them. Links are then refused.
    ///
    /// # Errors
    ///
    /// A [`DatasetError`] if the folders cannot be read or be matched with the classes, or hold no image at all.
    pub fn from_class_folders(root: impl Into<ImageRoot>, classes: impl Into<Classes>) -> Result<Self, DatasetError> {
        class_folders::read(&DatasetOptions::new(root, classes))
    }

    /// The gray images of the IDX file `images`, as `t10k-images-idx3-ubyte.gz` of MNIST and Fashion-MNIST, plain or
    /// compressed by gzip; their labels are those of the file next to it whose name has `labels` for `images`.
    ///
    /// The values of the file are held in memory, at most [`MAX_IDX_BYTES`].
    ///
    /// # Errors
    ///
    /// A [`DatasetError`] if the files are not IDX files of unsigned bytes with three dimensions and one, if one is cut
    /// short or too long, or if there are more or fewer labels than images, or a label that is not the index of a
    /// class.
    pub fn from_idx(images: &Path, classes: impl Into<Classes>) -> Result<Self, DatasetError> {
        idx::read(images, &classes.into())
    }

    /// Whether `path` is a file that begins as an IDX file, compressed or not.
    pub fn is_idx(path: &Path) -> bool {
        idx::is_idx(path)
    }

    /// How many class folders with images `root` has; 0 if it is not a folder.
    ///
    /// # Errors
    ///
    /// A [`DatasetError`] if the folder cannot be read.
    pub fn count_class_folders(root: &Path) -> Result<usize, DatasetError> {
        class_folders::count(root)
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

    /// The number of the image of each sample, from 0 in the order of their first samples: samples of one file, or of
    /// one entry of an archive, have the same number.
    pub fn image_numbers(&self) -> Vec<u32> {
        repeats::image_numbers(&self.samples)
    }

    /// Splits off `n` random images, all of them if there are fewer, and returns them. The choice depends on `seed` and
    /// the number of images alone; both parts keep their order.
    ///
    /// No image is in both parts: of one that several samples have, the first is split off and the others are dropped.
    pub fn split_off_random(&mut self, n: usize, seed: u64) -> Self {
        let numbers = self.image_numbers();
        let images = numbers.iter().max().map_or(0, |last| last + 1);
        let order = RandomStream::new(seed, Purpose::Split, [0, 0]).permutation(images);
        let mut held = vec![false; images as usize];
        order.iter().take(n).for_each(|&image| held[image as usize] = true);
        let mut taken = vec![false; images as usize];
        let (mut out, mut kept) = (Vec::new(), Vec::new());
        for (sample, image) in std::mem::take(&mut self.samples).into_iter().zip(numbers) {
            match held[image as usize] {
                false => kept.push(sample),
                true if !std::mem::replace(&mut taken[image as usize], true) => out.push(sample),
                true => {}
            }
        }
        self.samples = kept;
        Self { samples: out, notes: Vec::new(), classes: self.classes.clone(), ..*self }
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
