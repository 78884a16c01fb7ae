//! ImageNet's development kit: which class its numbers mean, and the classes of the validation images.
//!
//! The kit numbers classes by `ILSVRC2012_ID`, from 1 and in an order of its own; `data/meta.mat` has the WordNet id of
//! each. `data/ILSVRC2012_validation_ground_truth.txt` has a number on each line, for the validation images in order.

mod images;
mod mat;

use std::io::{BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use hardnet_base::{ReadError, TextError, TextLines, open_regular_file, read_regular_file};

use super::DatasetError;
use super::labels::decimal;
use crate::archive::read_files;
use crate::imagenet;
pub(super) use images::read;
pub use mat::MatError;

const TABLE: &str = "meta.mat";
const GROUND_TRUTH: &str = "ILSVRC2012_validation_ground_truth.txt";

/// The classes with an image; the kit has inner ones of the hierarchy after them.
const CLASSES: u32 = 1000;

/// The largest file of the kit that is read, in bytes.
const MAX_FILE_BYTES: u64 = 32 << 20;

/// The largest kit, as a tar archive, in bytes.
const MAX_KIT_BYTES: u64 = 256 << 20;

/// ImageNet's development kit, `ILSVRC2012_devkit_t12`.
///
/// ```no_run
/// use hardnet_data::{DatasetOptions, DevelopmentKit};
///
/// # fn main() -> Result<(), hardnet_data::DatasetError> {
/// let kit = DevelopmentKit::open("ILSVRC2012_devkit_t12.tar.gz".as_ref())?;
/// let validation = DatasetOptions::new("ILSVRC2012_img_val.tar", 1000).development_kit(Some(kit)).read()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevelopmentKit {
    path: PathBuf,
    /// The WordNet id of each class, in the order of `ILSVRC2012_ID` from 1.
    wordnet_ids: Vec<String>,
    /// The `ILSVRC2012_ID` of each validation image.
    ground_truth: Vec<u32>,
}

/// Error of a development kit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KitError {
    /// It has none of the files that are read.
    #[error(
        "does not hold `data/meta.mat` and `data/ILSVRC2012_validation_ground_truth.txt`, expected the folder or the \
         tar.gz file of ILSVRC2012_devkit_t12"
    )]
    NotAKit,
    /// The kit is not a tar archive, compressed by gzip or not, or is damaged.
    #[error("is not a readable tar.gz file: {0}")]
    Archive(std::io::Error),
    /// A file of the kit cannot be read.
    #[error("`{file}` {reason}")]
    Text {
        /// The file.
        file: &'static str,
        /// The problem.
        reason: TextError,
    },
    /// The table of classes cannot be read.
    #[error("`meta.mat` {0}")]
    Table(#[from] MatError),
    /// The table does not have each of the 1,000 classes once.
    #[error("`meta.mat` has {found} of the classes 1 to 1000, expected each once, with a WordNet id of ImageNet")]
    Classes {
        /// How many it has.
        found: usize,
    },
    /// A line of the ground truth is not a number of a class.
    #[error("the ground truth has `{text}` in line {line}, expected a number from 1 to 1000")]
    GroundTruth {
        /// The line.
        line: usize,
        /// Its text.
        text: String,
    },
}

impl DevelopmentKit {
    /// Reads the kit: its folder, the folder `data` in it, or its tar archive, compressed by gzip or not.
    ///
    /// # Errors
    ///
    /// [`DatasetError::Kit`] if its files are missing, damaged or not those of the kit.
    pub fn open(path: &Path) -> Result<Self, DatasetError> {
        let fail = |reason| DatasetError::Kit { path: path.into(), reason };
        let (table, ground_truth) = if path.is_dir() { from_folder(path) } else { from_archive(path) }.map_err(fail)?;
        let wordnet_ids = wordnet_ids(&table).map_err(fail)?;
        let text = |reason| KitError::Text { file: GROUND_TRUTH, reason };
        let lines = TextLines::new(ground_truth.as_slice(), MAX_FILE_BYTES).map_err(text).map_err(fail)?;
        let ground_truth = self::ground_truth(lines).map_err(fail)?;
        Ok(Self { path: path.into(), wordnet_ids, ground_truth })
    }

    /// The folder or archive.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The WordNet id of the class that has the number `id`, from 1.
    pub fn wordnet_id(&self, id: u32) -> Option<&str> {
        self.wordnet_ids.get((id as usize).checked_sub(1)?).map(String::as_str)
    }

    /// The number of the class of each validation image, `ILSVRC2012_val_00000001.JPEG` first.
    pub fn ground_truth(&self) -> &[u32] {
        &self.ground_truth
    }

    /// The kit with the ground truth in the file `path` in place of its own.
    pub(super) fn with_ground_truth(&self, path: &Path) -> Result<Self, DatasetError> {
        let lines = TextLines::open(path, MAX_FILE_BYTES).map_err(|reason| DatasetError::text(path, reason))?;
        let numbers = ground_truth(lines).map_err(|reason| DatasetError::Kit { path: path.into(), reason })?;
        Ok(Self { ground_truth: numbers, ..self.clone() })
    }
}

/// The contents of the table and the ground truth.
type Files = (Vec<u8>, Vec<u8>);

fn from_folder(path: &Path) -> Result<Files, KitError> {
    let kit = |folder: &PathBuf| folder.join(TABLE).is_file() && folder.join(GROUND_TRUTH).is_file();
    let places = [path.into(), path.join("data"), path.join("ILSVRC2012_devkit_t12/data")];
    let folder = places.into_iter().find(kit).ok_or(KitError::NotAKit)?;
    let read = |file| {
        let text = |reason| KitError::Text { file, reason };
        read_regular_file(&folder.join(file), MAX_FILE_BYTES).map_err(|error| text(TextError::from(error)))
    };
    Ok((read(TABLE)?, read(GROUND_TRUTH)?))
}

fn from_archive(path: &Path) -> Result<Files, KitError> {
    let (mut file, _) = open_regular_file(path, MAX_KIT_BYTES).map_err(|error| match error {
        ReadError::Io(error) => KitError::Archive(error),
        ReadError::NotAFile(kind) => KitError::Archive(std::io::Error::other(kind.to_string())),
        ReadError::TooLarge { .. } => KitError::Archive(std::io::ErrorKind::FileTooLarge.into()),
    })?;
    let mut magic = [0; 2];
    file.read_exact(&mut magic).map_err(KitError::Archive)?;
    let file = Cursor::new(magic).chain(BufReader::new(file));
    let found = match magic {
        [0x1f, 0x8b] => {
            read_files(MultiGzDecoder::new(file).take(MAX_KIT_BYTES), [TABLE, GROUND_TRUTH], MAX_FILE_BYTES)
        }
        _ => read_files(file, [TABLE, GROUND_TRUTH], MAX_FILE_BYTES),
    };
    match found.map_err(KitError::Archive)? {
        [Some(table), Some(ground_truth)] => Ok((table, ground_truth)),
        _ => Err(KitError::NotAKit),
    }
}

/// The WordNet id of each of the 1,000 classes in the table, in the order of their numbers.
fn wordnet_ids(table: &[u8]) -> Result<Vec<String>, KitError> {
    let mut ids = vec![None; CLASSES as usize];
    for synset in mat::synsets(table)?.into_iter().filter(|synset| (1..=CLASSES).contains(&synset.id)) {
        let is_known = imagenet::class_index(&synset.wordnet_id).is_some();
        ids[synset.id as usize - 1] = Some(synset.wordnet_id).filter(|_| is_known);
    }
    let mut distinct: Vec<&String> = ids.iter().flatten().collect();
    distinct.sort_unstable();
    distinct.dedup();
    let found = distinct.len();
    let ids: Option<Vec<String>> = ids.into_iter().collect();
    ids.filter(|ids| ids.len() == found).ok_or(KitError::Classes { found })
}

/// The numbers of a text, one on each line.
fn ground_truth(mut lines: TextLines<impl std::io::BufRead>) -> Result<Vec<u32>, KitError> {
    let text = |reason| KitError::Text { file: GROUND_TRUTH, reason };
    let mut numbers = Vec::new();
    while let Some((line, content)) = lines.next_line().map_err(text)? {
        let content = content.trim();
        match decimal(content) {
            Some(number) if (1..=CLASSES).contains(&number) => numbers.push(number),
            None if content.is_empty() => {}
            _ => return Err(KitError::GroundTruth { line, text: hardnet_base::excerpt(content) }),
        }
    }
    Ok(numbers)
}

/// The classes of a table, as fuzzing reads it.
#[doc(hidden)]
pub fn kit_table(bytes: &[u8]) -> Result<Vec<(u32, String, String)>, MatError> {
    let synsets = mat::synsets(bytes)?.into_iter();
    Ok(synsets.map(|synset| (synset.id, synset.wordnet_id, synset.words)).collect())
}
