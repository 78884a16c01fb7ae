//! Files whose elements stay on disk.
//!
//! The readers are those of files in memory, which get the parts that describe tensors. A file that they refuse is read
//! as a whole by the caller, whose error is then that of a file in memory.

use std::path::Path;
use std::sync::Mutex;

use hardnet_base::open_regular_file;

use super::{Checkpoint, Contents, PICKLE, one_table};
use crate::error::Error;
use crate::options::ReadOptions;
use crate::pickle::{self, Arena};
use crate::source::Source;
use crate::{safetensors, torch};

/// The pickles at the start of a file before PyTorch 1.6 are looked for in so many bytes, then in four times as many.
const FIRST: usize = 1 << 18;

/// The checkpoint at `path`; none if it is to be read as a whole.
pub(super) fn open(path: &Path, options: &ReadOptions) -> Option<Checkpoint> {
    let (file, length) = open_regular_file(path, Checkpoint::MAX_BYTES).ok()?;
    let length = usize::try_from(length).ok()?;
    let source = Source::File { file: Mutex::new(file), length, path: path.to_owned() };
    let contents = contents(&source, options).ok()??;
    // Views may share a storage, so that together they read more than the file has. In memory that costs nothing.
    let read = contents.entries.iter().try_fold(0_usize, |sum, entry| sum.checked_add(entry.data.range()?.len()))?;
    if read > length {
        return None;
    }
    Checkpoint::new(source, contents).ok()
}

fn contents(source: &Source, options: &ReadOptions) -> Result<Option<Contents>, Error> {
    let start = source.get(0..source.len().min(9))?;
    Ok(match &start[..] {
        [b'P', b'K', 3, 4, ..] => Some(torch::zip::contents(source, options)?),
        [PICKLE, 2..=5, ..] => legacy(source, options)?,
        [_, _, _, _, _, _, _, _, b'{', ..] => Some(one_table(safetensors::contents(source)?, options)?),
        _ => None,
    })
}

/// A file of PyTorch before 1.6; none if it is one of Paddle.
fn legacy(source: &Source, options: &ReadOptions) -> Result<Option<Contents>, Error> {
    let mut count = FIRST;
    loop {
        let part = source.get(0..count.min(source.len()))?;
        let mut arena = Arena::of_part(&part, source.len());
        let (first, end) = pickle::load(&mut arena, 0..part.len())?;
        if !torch::legacy::is_magic(&arena, first) {
            return Ok(None);
        }
        match torch::legacy::contents(source, &mut arena, end, options) {
            Err(_) if part.len() < source.len() / 4 => count *= 4,
            contents => return contents.map(Some),
        }
    }
}
