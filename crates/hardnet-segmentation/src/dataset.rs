//! Images with their masks: the folders of Cityscapes, or a folder of images and one of masks.
//!
//! Only names are read here. What can be known to be wrong is an error before any image is opened.

mod list;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use hardnet_data::{Dataset, DatasetError};

use crate::cityscapes;
use crate::mask::LabelTable;
pub use list::list_pairs;

/// An image and its mask.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pair {
    /// The image.
    pub image: PathBuf,
    /// The mask.
    pub mask: PathBuf,
    /// The image's path below the folder of images, `/` between its parts.
    pub name: String,
    /// Meaning of the numbers in the mask.
    pub labels: LabelKind,
}

/// Meaning of the numbers in a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LabelKind {
    /// Indices of classes; 255 is ignored.
    Indices,
    /// Cityscapes' label ids.
    CityscapesIds,
}

impl LabelKind {
    /// The class of each number, for a network of `classes`.
    pub fn table(self, classes: usize) -> LabelTable {
        match self {
            Self::Indices => LabelTable::indices(classes),
            Self::CityscapesIds => cityscapes::label_ids(),
        }
    }
}

/// A part of Cityscapes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Split {
    /// 2,975 images.
    Train,
    /// 500 images, on which mIoU is published.
    #[default]
    Val,
    /// 1,525 images, whose masks are not published.
    Test,
}

impl Split {
    /// The names that `FromStr` reads.
    pub const NAMES: [&str; 3] = ["train", "val", "test"];

    /// The name of its folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Split {
    type Err = UnknownSplit;

    fn from_str(name: &str) -> Result<Self, UnknownSplit> {
        let found = [Self::Train, Self::Val, Self::Test].into_iter().find(|split| split.name() == name);
        found.ok_or_else(|| UnknownSplit { name: name.into() })
    }
}

/// Error of a name that is not that of a [`Split`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown split `{name}`, expected one of {}", Split::NAMES.join(", "))]
#[non_exhaustive]
pub struct UnknownSplit {
    /// The name given.
    pub name: String,
}

const IMAGES: &str = "leftImg8bit";
const MASKS: &str = "gtFine";
const IMAGE_END: &str = "_leftImg8bit.png";

/// Whether `root` has the folders of Cityscapes.
pub fn is_cityscapes(root: &Path) -> bool {
    root.join(IMAGES).is_dir() && root.join(MASKS).is_dir()
}

/// The images of a part of Cityscapes, `root/leftImg8bit/SPLIT/CITY/NAME_leftImg8bit.png`, and their masks,
/// `root/gtFine/SPLIT/CITY/NAME_gtFine_labelIds.png` or, where that does not exist, `..._labelTrainIds.png`.
///
/// # Errors
///
/// [`PairsError::Dataset`] where a folder cannot be read or has no images, [`PairsError::NotCityscapes`] for an image
/// of another name, [`PairsError::NoMask`] for an image without a mask.
pub fn cityscapes_pairs(root: &Path, split: Split) -> Result<Vec<Pair>, PairsError> {
    let folder = root.join(IMAGES).join(split.name());
    let mut pairs = Vec::new();
    let mut missing = Missing::default();
    for (name, image) in images_below(&folder)? {
        let Some(base) = name.strip_suffix(IMAGE_END) else {
            return Err(PairsError::NotCityscapes { path: image });
        };
        let masks = root.join(MASKS).join(split.name());
        let mask = |kind: &str| masks.join(format!("{base}_{MASKS}_{kind}.png"));
        let (ids, train_ids) = (mask("labelIds"), mask("labelTrainIds"));
        let (mask, labels) = match (ids.is_file(), train_ids.is_file()) {
            (true, _) => (ids, LabelKind::CityscapesIds),
            (false, true) => (train_ids, LabelKind::Indices),
            (false, false) => {
                missing.add(&image, &ids);
                continue;
            }
        };
        pairs.push(Pair { image, mask, name, labels });
    }
    missing.into_result(pairs)
}

/// The images below a folder and the masks below another: each has the same path below its folder, but for the
/// extension.
///
/// # Errors
///
/// [`PairsError::Dataset`] where a folder cannot be read or has no images, [`PairsError::NoMask`] and
/// [`PairsError::NoImage`] for files without their partner, [`PairsError::Doubled`] for two files of one name.
pub fn folder_pairs(images: &Path, masks: &Path) -> Result<Vec<Pair>, PairsError> {
    let mut unused = by_stem(masks)?;
    let mut pairs = Vec::new();
    let mut missing = Missing::default();
    for (stem, (name, image)) in by_stem(images)? {
        match unused.remove(&stem) {
            Some((_, mask)) => pairs.push(Pair { image, mask, name, labels: LabelKind::Indices }),
            None => missing.add(&image, &masks.join(format!("{stem}.png"))),
        }
    }
    let pairs = missing.into_result(pairs)?;
    match unused.values().next() {
        Some((_, mask)) => Err(PairsError::NoImage { mask: mask.clone(), others: unused.len() - 1 }),
        None => Ok(pairs),
    }
}

/// Images below `folder`: the path below it, and the whole path.
fn images_below(folder: &Path) -> Result<Vec<(String, PathBuf)>, PairsError> {
    let dataset = Dataset::from_paths(&[folder.to_path_buf()])?;
    let below = |path: &Path| {
        let parts = path.strip_prefix(folder).unwrap_or(path).components();
        parts.map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
    };
    let path = |sample: &hardnet_data::Sample| sample.path().into_owned();
    Ok(dataset.samples.iter().map(path).map(|path| (below(&path), path)).collect())
}

/// The same by the path without its extension.
fn by_stem(folder: &Path) -> Result<BTreeMap<String, (String, PathBuf)>, PairsError> {
    let mut files = BTreeMap::new();
    for (name, path) in images_below(folder)? {
        // A folder may have a dot in its name, so only what follows the last separator has an extension.
        let start = name.rfind('/').map_or(0, |slash| slash + 1);
        let stem = name[start..].rfind('.').map_or(name.as_str(), |dot| &name[..start + dot]).to_owned();
        if let Some((_, first)) = files.insert(stem, (name, path.clone())) {
            return Err(PairsError::Doubled { first, second: path });
        }
    }
    Ok(files)
}

/// Images without a mask.
#[derive(Default)]
struct Missing {
    first: Option<(PathBuf, PathBuf)>,
    count: usize,
}

impl Missing {
    fn add(&mut self, image: &Path, mask: &Path) {
        self.first.get_or_insert_with(|| (image.into(), mask.into()));
        self.count += 1;
    }

    fn into_result(self, pairs: Vec<Pair>) -> Result<Vec<Pair>, PairsError> {
        match self.first {
            Some((image, mask)) => Err(PairsError::NoMask { image, mask, others: self.count - 1 }),
            None => Ok(pairs),
        }
    }
}

/// Error of matching images and masks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PairsError {
    /// A folder cannot be read or has no images.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A file among Cityscapes' images has another name.
    #[error("`{}` does not end in `{IMAGE_END}`, as images of Cityscapes do", .path.display())]
    NotCityscapes {
        /// The file.
        path: PathBuf,
    },
    /// Images have no mask.
    #[error("`{}`{} has no mask, expected `{}`", .image.display(), and_others(*.others), .mask.display())]
    NoMask {
        /// The first such image.
        image: PathBuf,
        /// Where its mask would be.
        mask: PathBuf,
        /// How many more there are.
        others: usize,
    },
    /// Masks have no image.
    #[error("the mask `{}`{} has no image of its name", .mask.display(), and_others(*.others))]
    NoImage {
        /// The first such mask.
        mask: PathBuf,
        /// How many more there are.
        others: usize,
    },
    /// A list cannot be read.
    #[error("cannot read `{}`", .path.display())]
    List {
        /// The list.
        path: PathBuf,
        /// The problem.
        source: hardnet_base::TextError,
    },
    /// A line of a list is not an image and a mask.
    #[error(
        "line {number} of `{}` is `{line}`, expected an image and a mask with a tab or one space between them",
        .path.display()
    )]
    Line {
        /// The list.
        path: PathBuf,
        /// The line, from 1.
        number: usize,
        /// Its text.
        line: String,
    },
    /// A list has no lines.
    #[error("`{}` lists no images", .path.display())]
    Empty {
        /// The list.
        path: PathBuf,
    },
    /// Two files differ in their extension only.
    #[error("`{}` and `{}` have one name but for the extension", .first.display(), .second.display())]
    Doubled {
        /// The first file.
        first: PathBuf,
        /// The second file.
        second: PathBuf,
    },
}

fn and_others(count: usize) -> String {
    if count == 0 { String::new() } else { format!(" (and {count} more)") }
}
