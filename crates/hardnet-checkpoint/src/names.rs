//! The names of the tensors that were found.

use std::collections::HashSet;

use hardnet_base::excerpt;

use crate::contents::{Contents, TensorEntry};
use crate::error::Error;

/// Numbers that averaging and training programs keep next to the tensors of a network: `n_averaged` of
/// `torch.optim.swa_utils.AveragedModel`, the others of widespread implementations of moving averages.
const COUNTERS: [&str; 10] = [
    "n_averaged",
    "num_updates",
    "num_averaged",
    "updates",
    "decay",
    "step",
    "steps",
    "global_step",
    "epoch",
    "initted",
];

/// Takes out the counters, unless there is nothing else, and refuses a name that occurs twice.
pub(crate) fn finish(contents: &mut Contents) -> Result<(), Error> {
    let Contents { entries, counters, .. } = contents;
    if entries.iter().any(|entry| !is_counter(entry)) {
        counters.extend(entries.extract_if(.., |entry| is_counter(entry)).map(|entry| entry.info));
    }
    let mut names = HashSet::with_capacity(entries.len());
    match entries.iter().find(|entry| !names.insert(entry.info.name.as_str())) {
        Some(twice) => Err(Error::DuplicateName { name: excerpt(&twice.info.name) }),
        None => Ok(()),
    }
}

fn is_counter(entry: &TensorEntry) -> bool {
    let info = &entry.info;
    // Parallel training puts its prefix before them too.
    COUNTERS.contains(&info.name.trim_start_matches("module."))
        && info.shape.len() < 2
        && info.shape.iter().product::<usize>() == 1
}
