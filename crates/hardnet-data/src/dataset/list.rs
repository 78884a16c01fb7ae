//! Lists of labels: one `name label` per line, as evaluations of ImageNet exchange them, or Kaggle's rows.
//!
//! What is needed of a list only while it is read stays small. Once glibc's allocator has been given back a large
//! block, it takes blocks up to that size from its heaps, where tensors and decoders' buffers leave gaps between them;
//! so the file is read line by line, and the samples are made where they stay.

mod kaggle;
mod lines;
mod parse;
mod parsed;

use std::path::Path;

use super::DatasetError;
use super::labels::looks_one_based;
use lines::ListLines;
pub(super) use parsed::ParsedList;

/// Separators of fields. Other blanks of Unicode may be part of a name.
const BLANKS: [char; 2] = [' ', '\t'];

/// Reads and checks the list `list` of images below `folder`; whether the images are there is not looked at.
pub(super) fn read<'a>(list: &'a Path, folder: &Path, classes: usize) -> Result<ParsedList<'a>, DatasetError> {
    let parsed = parse::parse(ListLines::open(list)?, folder)?;
    if parsed.is_kaggle {
        kaggle::check_classes(list, classes)?;
    }
    check_labels(&parsed, classes)?;
    check_duplicates(&parsed)?;
    Ok(parsed)
}

fn check_labels(list: &ParsedList, classes: usize) -> Result<(), DatasetError> {
    let labels = || list.samples.iter().filter_map(|sample| sample.label());
    let Some(wrong) = labels().position(|label| label as usize >= classes) else {
        return Ok(());
    };
    let line = list.line(wrong);
    Err(DatasetError::LabelOutOfRange {
        list: list.path.into(),
        line: line as usize,
        text: list.excerpt(line),
        classes,
        one_based: looks_one_based(labels(), classes),
    })
}

fn check_duplicates(list: &ParsedList) -> Result<(), DatasetError> {
    let path = |number: u32| list.samples[number as usize].relative();
    let mut order: Vec<u32> = (0..).take(list.len()).collect();
    order.sort_unstable_by(|&a, &b| path(a).as_os_str().cmp(path(b).as_os_str()).then(a.cmp(&b)));
    let again = order.windows(2).filter(|pair| path(pair[0]) == path(pair[1])).min_by_key(|pair| pair[1]);
    again.map_or(Ok(()), |pair| {
        let [first, line] = [pair[0], pair[1]].map(|number| list.line(number as usize));
        Err(list.duplicate(first, line))
    })
}
