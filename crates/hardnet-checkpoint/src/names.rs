//! The names of the tensors that were found.

use std::collections::HashSet;

use hardnet_base::excerpt;

use crate::checkpoint::{Contents, TensorEntry};
use crate::error::Error;

/// The prefix that `DataParallel` and `DistributedDataParallel` add.
const PARALLEL: &str = "module.";

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

/// Takes out the counters, strips the prefix of parallel training if all other names have it, and refuses a name that
/// occurs twice.
pub(crate) fn finish(contents: &mut Contents) -> Result<(), Error> {
    let Contents { entries, counters, opaque, .. } = contents;
    loop {
        if entries.iter().any(|entry| !is_counter(entry)) {
            for counter in entries.extract_if(.., |entry| is_counter(entry)) {
                counters.push(counter.info);
            }
        }
        if entries.is_empty() || !entries.iter().all(|entry| entry.info.name.starts_with(PARALLEL)) {
            break;
        }
        for entry in entries.iter_mut() {
            entry.info.name.drain(..PARALLEL.len());
        }
        for value in opaque.iter_mut().filter(|value| value.name.starts_with(PARALLEL)) {
            value.name.drain(..PARALLEL.len());
        }
    }
    let mut names = HashSet::with_capacity(entries.len());
    match entries.iter().find(|entry| !names.insert(entry.info.name.as_str())) {
        Some(twice) => Err(Error::DuplicateName { name: excerpt(&twice.info.name) }),
        None => Ok(()),
    }
}

fn is_counter(entry: &TensorEntry) -> bool {
    let info = &entry.info;
    COUNTERS.contains(&info.name.as_str()) && info.shape.len() < 2 && info.shape.iter().product::<usize>() == 1
}
