//! Labeled images from the paths of the command line.

use std::path::Path;

use hardnet_data::{Classes, Dataset, DatasetOptions, ImageRoot};

use crate::failure::{Failure, Result};
use crate::printer::Printer;

/// Finds the images of `list` in `root`, or without a list those of its class folders, or of the IDX file `root`.
pub(crate) fn labeled(
    root: &Path,
    list: Option<&Path>,
    classes: impl Into<Classes>,
    printer: &Printer,
) -> Result<Dataset> {
    read(&options(root, list, classes)?, printer)
}

/// The options of a data set of the images of `list` in `root`, or without a list of its class folders, or of the IDX
/// file `root`.
pub(crate) fn options(root: &Path, list: Option<&Path>, classes: impl Into<Classes>) -> Result<DatasetOptions> {
    if let Some(list) = list.filter(|_| Dataset::is_idx(root)) {
        return Err(Failure::message(format!(
            "`{}` has its own labels, `{}` cannot replace them",
            root.display(),
            list.display()
        ))
        .hint("drop the list: the labels of an IDX file are in a file next to it"));
    }
    let mut root = ImageRoot::from(root);
    if let Some(cache) = crate::knobs::cache_folder() {
        root = root.with_index_cache(cache.join("archives"));
    }
    Ok(DatasetOptions::new(root, classes).list(list))
}

/// Reads a data set and prints how its labels were read.
pub(crate) fn read(options: &DatasetOptions, printer: &Printer) -> Result<Dataset> {
    let dataset = options.read()?;
    for note in &dataset.notes {
        printer.note(note);
    }
    Ok(dataset)
}

/// Keeps `count` evenly spaced images, if a count is given.
pub(crate) fn subsample_evenly(dataset: &mut Dataset, count: Option<usize>, printer: &Printer) {
    let all = dataset.samples.len();
    if let Some(count) = count.filter(|&count| count < all) {
        dataset.subsample_evenly(count);
        printer.note(format_args!("{count} of {all} images, evenly spaced"));
    }
}
