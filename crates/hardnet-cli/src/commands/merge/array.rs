//! Arrays of `embed -o FILE.npy`, with the names, labels and classes next to them.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use hardnet_base::npy::{self, ElementType};

use super::Merged;
use super::check::{Part, in_order, is_whole, same};
use crate::commands::embed::{BESIDE, SHARD};
use crate::failure::{Failure, Result};
use crate::output::{OutputFile, check_free};
use crate::shards::ShardEnd;

/// The largest file about a shard, and the largest of names.
const MAX_BYTES: u64 = 1 << 30;

/// The most extents of a row.
const MAX_EXTENTS: usize = 8;

/// Merges the arrays of `shards` into the file `output`, and what is next to them into files next to it.
pub(super) fn merge(shards: &[PathBuf], output: &Path, force: bool) -> Result<Merged> {
    if output.extension().is_none_or(|extension| extension != "npy") {
        return Err(Failure::message(format!(
            "`{}` is to be an array, expected a name that ends in .npy",
            output.display()
        )));
    }
    let parts = shards.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
    let parts = in_order(parts)?;
    let (first, mut rows, mut errors) = (&parts[0], 0, 0);
    for part in &parts {
        let end = &part.content;
        is_whole(part, end.partial)?;
        same(first, part, (&first.content.run, &end.run), &[])?;
        same(first, part, (&first.content.shape, &end.shape), &[])?;
        let extents = end.shape.as_ref().map_or(0, Vec::len);
        if !part.record.has_images(end.rows.checked_add(end.errors)) || extents > MAX_EXTENTS {
            return Err(Failure::message(format!("{} has counts that do not belong together", part.name())));
        }
        (rows, errors) = (rows + end.rows, errors + end.errors);
    }
    let shape = first.content.shape.clone().unwrap_or_default();
    let mut written = Vec::new();
    let [names, labels, classes] = BESIDE;
    let labeled = first.path.with_extension(labels).exists();
    let named = first.path.with_extension(classes).exists();
    for (ending, is_there) in [(names, true), (labels, labeled), (classes, named)] {
        let path = output.with_extension(ending);
        check_free(&path, force)?;
        if let Some(part) = parts.iter().find(|part| part.path.with_extension(ending).exists() != is_there) {
            let (there, not) = if is_there { (first, part) } else { (part, first) };
            return Err(Failure::message(format!(
                "`{}` exists, but `{}` does not",
                there.path.with_extension(ending).display(),
                not.path.with_extension(ending).display()
            )));
        }
        if !is_there {
            if path.exists() {
                std::fs::remove_file(&path).with_context(|| format!("cannot remove `{}`", path.display()))?;
            }
            continue;
        }
        write(&path, force, |out| match ending {
            _ if ending == labels => {
                out.write_all(&npy::header(ElementType::I64, &[rows])).context("cannot write labels")?;
                parts.iter().try_for_each(|part| append_array(part, ending, ElementType::I64, &[], out))
            }
            _ if ending == classes => copy_same(&parts, ending, out),
            _ => parts.iter().try_for_each(|part| append_lines(part, ending, out)),
        })?;
        written.push(path);
    }
    write(output, force, |out| {
        let whole = [&[rows], &shape[..]].concat();
        out.write_all(&npy::header(ElementType::F32, &whole)).context("cannot write the array")?;
        parts.iter().try_for_each(|part| append_array(part, "npy", ElementType::F32, &shape, out))
    })?;
    written.push(output.into());
    Ok(Merged { written, errors })
}

/// The description of an array, from the file next to it.
fn read(path: &Path) -> Result<Part<ShardEnd>> {
    let beside = path.with_extension(SHARD);
    if !beside.exists() {
        return Err(Failure::message(format!(
            "`{}` is not there, so that `{}` is not an array of a shard",
            beside.display(),
            path.display()
        ))
        .hint("merge arrays of `hardnet embed --shard K/N -o FILE.npy`, with the files next to them"));
    }
    let bytes = content(&beside)?;
    let end: ShardEnd =
        serde_json::from_slice(&bytes).with_context(|| format!("`{}` does not describe a shard", beside.display()))?;
    Ok(Part::new(path, end.shard.clone(), end))
}

fn content(path: &Path) -> Result<Vec<u8>> {
    super::read(path, MAX_BYTES)
}

fn write(path: &Path, force: bool, content: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let mut file = OutputFile::create(path, force)?;
    let mut writer = file.writer();
    content(&mut writer)?;
    writer.flush().with_context(|| format!("cannot write `{}`", path.display()))?;
    drop(writer);
    file.finish()
}

/// Appends the values of an array, whose header must be the one of its rows.
fn append_array(
    part: &Part<ShardEnd>,
    ending: &str,
    element: ElementType,
    shape: &[usize],
    out: &mut dyn Write,
) -> Result<()> {
    let path = part.path.with_extension(ending);
    let failed = || format!("cannot read `{}`", path.display());
    let whole = [&[part.content.rows], shape].concat();
    let head = npy::header(element, &whole);
    let values = whole.iter().try_fold(element.size() as u64, |bytes, extent| bytes.checked_mul(*extent as u64));
    let mut file = File::open(&path).with_context(failed)?;
    let length = file.metadata().with_context(failed)?.len();
    let mut begin = vec![0; head.len()];
    let is_whole = file.read_exact(&mut begin).is_ok() && begin == head;
    if !is_whole || values.and_then(|values| values.checked_add(head.len() as u64)) != Some(length) {
        return Err(Failure::message(format!(
            "{} does not have the {} rows of its shard in `{}`",
            part.name(),
            part.content.rows,
            path.display()
        )));
    }
    file.seek(SeekFrom::Start(head.len() as u64)).with_context(failed)?;
    io::copy(&mut BufReader::with_capacity(1 << 20, file), out).with_context(failed)?;
    Ok(())
}

/// Appends lines, one for each row.
fn append_lines(part: &Part<ShardEnd>, ending: &str, out: &mut dyn Write) -> Result<()> {
    let path = part.path.with_extension(ending);
    let bytes = content(&path)?;
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    if lines != part.content.rows || bytes.last().is_some_and(|last| *last != b'\n') {
        return Err(Failure::message(format!(
            "{} has {} rows, but `{}` has {lines} lines",
            part.name(),
            part.content.rows,
            path.display()
        )));
    }
    Ok(out.write_all(&bytes).with_context(|| format!("cannot copy `{}`", path.display()))?)
}

/// Copies a file that is the same next to all arrays.
fn copy_same(parts: &[Part<ShardEnd>], ending: &str, out: &mut dyn Write) -> Result<()> {
    let first = content(&parts[0].path.with_extension(ending))?;
    for part in &parts[1..] {
        let path = part.path.with_extension(ending);
        if content(&path)? != first {
            let other = parts[0].path.with_extension(ending);
            return Err(Failure::message(format!(
                "{} has other classes: `{}` differs from `{}`",
                part.name(),
                path.display(),
                other.display()
            )));
        }
    }
    Ok(out.write_all(&first).context("cannot write the classes")?)
}
