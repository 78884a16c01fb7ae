//! Lists of labels: one `name label` per line, as evaluations of ImageNet exchange them, or Kaggle's rows.
//!
//! Data that is needed only while a list is read stays small. Once glibc's allocator has been given back a large
//! block, it takes blocks up to that size from its heaps, where tensors and decoders' buffers leave gaps between them;
//! so the file is read line by line, and the samples are made where they stay.

mod kaggle;
mod names;
mod parse;
mod parsed;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use hardnet_base::TextLines;

use super::{DatasetError, MAX_LIST_BYTES};
pub(super) use kaggle::class_from_name;
pub(super) use names::FolderNames;
pub(super) use parsed::ParsedList;

/// Separators of fields. Other blanks of Unicode may be part of a name.
const BLANKS: [char; 2] = [' ', '\t'];

/// Reads the list `list` of images below `folder`. Labels are not matched with classes yet, and whether the images are
/// there is not looked at.
pub(super) fn read<'a>(list: &'a Path, folder: &FolderNames) -> Result<ParsedList<'a>, DatasetError> {
    parse::parse(list, open(list)?, folder, false)
}

/// Reads the list `list` of images below `folder`, whose lines are names without labels; each gets an empty one.
pub(super) fn read_names<'a>(list: &'a Path, folder: &FolderNames) -> Result<ParsedList<'a>, DatasetError> {
    parse::parse(list, open(list)?, folder, true)
}

fn open(list: &Path) -> Result<TextLines<BufReader<File>>, DatasetError> {
    TextLines::open(list, MAX_LIST_BYTES).map_err(|reason| DatasetError::text(list, reason))
}
