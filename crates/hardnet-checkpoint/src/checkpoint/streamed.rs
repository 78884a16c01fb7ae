//! Files whose elements stay on disk.
//!
//! The readers are those of files in memory, which get the parts that describe tensors. A file that they refuse is read
//! as a whole by the caller, whose error is then that of a file in memory.

use std::path::Path;

use hardnet_base::{Sparse, SparseReader, open_regular_file};

use super::Checkpoint;
use crate::contents::{Contents, PICKLE, one_table};
use crate::error::Error;
use crate::options::ReadOptions;
use crate::pickle::{self, Arena, Payload};
use crate::source::{CHUNK, Source};
use crate::tensor_data::TensorData;
use crate::{onnx, paddle, safetensors, torch};

/// The pickles at the start of a file before PyTorch 1.6 are looked for in so many bytes, then in four times as many.
const FIRST: usize = 1 << 18;

/// The checkpoint at `path`; none if it is to be read as a whole.
pub(super) fn open(path: &Path, options: &ReadOptions) -> Option<Checkpoint> {
    let (file, length) = open_regular_file(path, Checkpoint::MAX_BYTES).ok()?;
    let length = usize::try_from(length).ok()?;
    let source = Source::file(file, length, path);
    let (contents, outline) = contents(&source, options).ok()??;
    // Views may share a storage, so that together they read more than the file has. In memory that costs nothing.
    let read = contents.entries.iter().fold(0_usize, |sum, entry| sum.saturating_add(entry.data.stored()));
    if read > length {
        return None;
    }
    let checkpoint = Checkpoint::new(source, contents).ok()?;
    Some(Checkpoint { outline, ..checkpoint })
}

/// The contents, and the outline of an ONNX file.
fn contents(source: &Source, options: &ReadOptions) -> Result<Option<(Contents, Option<Sparse>)>, Error> {
    let start = source.get(0..source.len().min(9))?;
    let contents = match &start[..] {
        [b'P', b'K', 3, 4, ..] => Some(torch::zip::contents(source, options)?),
        [PICKLE, 2..=5, ..] => pickled(source, options)?,
        [_, _, _, _, _, _, _, _, b'{', ..] => Some(one_table(safetensors::contents(source)?, options)?),
        start if onnx::is_model(start) => {
            let mut read = |range| source.get(range).ok().map(std::borrow::Cow::into_owned);
            let reader = SparseReader::new(source.len(), most_kept(source), &mut read);
            let Some(outline) = hardnet_onnx::outline(reader) else { return Ok(None) };
            let contents = one_table(onnx::contents(outline.bytes())?, options)?;
            // Elements in another form than in memory take memory of their own.
            return Ok((contents.appended.len() <= most_kept(source)).then_some((contents, Some(outline))));
        }
        _ => None,
    };
    Ok(contents.map(|contents| (contents, None)))
}

/// Bytes of a file that may be kept in memory to describe its tensors.
fn most_kept(source: &Source) -> usize {
    (source.len() / 4).max(1 << 20)
}

/// A file of PyTorch before 1.6 or of Paddle.
fn pickled(source: &Source, options: &ReadOptions) -> Result<Option<Contents>, Error> {
    let mut count = FIRST;
    loop {
        let part = source.get(0..count.min(source.len()))?;
        let mut arena = Arena::of_part(&part, source.len());
        match pickle::load(&mut arena, 0..part.len()) {
            Ok((first, end)) if torch::legacy::is_magic(&arena, first) => {
                match torch::legacy::contents(source, &mut arena, end, options) {
                    Err(_) if part.len() < source.len() / 4 => count *= 4,
                    contents => return contents.map(Some),
                }
            }
            _ => break,
        }
    }
    let mut read = |range| source.get(range).ok().map(std::borrow::Cow::into_owned);
    let reader = SparseReader::new(source.len(), most_kept(source), &mut read);
    let Some((file, latin1)) = pickle::outline(reader) else { return Ok(None) };
    let mut arena = Arena::of_sparse(file.bytes(), source.len(), latin1);
    let (root, end) = pickle::load(&mut arena, 0..source.len())?;
    paddle::contents(&mut arena, root, end, options).map(Some)
}

/// Gives elements that are plain bytes of a file to `take`, a whole number of them at a time.
pub(super) fn read(source: &Source, data: &TensorData, take: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
    if let [Payload::Raw(range)] = &data.parts[..] {
        return source.for_each(range.clone(), take);
    }
    let mut buffer = Vec::with_capacity(CHUNK.min(data.stored()));
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            buffer.push(*byte);
            if buffer.len() == CHUNK {
                take(&buffer);
                buffer.clear();
            }
        }
    };
    for part in &data.parts {
        match part {
            Payload::Raw(range) => source.for_each(range.clone(), &mut add)?,
            Payload::Latin1 { range, .. } => {
                let mut last = 0_u8;
                let mut decoded = Vec::new();
                source.for_each(range.clone(), &mut |bytes| {
                    decoded.clear();
                    for &byte in bytes {
                        if byte < 0xc0 {
                            decoded.push(if byte < 0x80 { byte } else { last << 6 | byte & 0x3f });
                        }
                        last = byte;
                    }
                    add(&decoded);
                })?;
            }
        }
    }
    if !buffer.is_empty() {
        take(&buffer);
    }
    Ok(())
}
