//! Arrays of `embed -o FILE.npy`, with the names, labels and classes next to them: merged into an array, or an archive.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use hardnet_base::npy::{self, ElementType};

use super::Merged;
use super::check::{Part, in_order, is_whole, same};
use super::keys::Keys;
use crate::commands::embed::{Archive, BESIDE, NO_LABEL, SHARD};
use crate::failure::{Failure, Result};
use crate::output::{OutputFile, check_free};
use crate::shards::ShardEnd;

/// Endings of the files next to an array.
const NAMES: &str = BESIDE[0];
const LABELS: &str = BESIDE[1];
const CLASSES: &str = BESIDE[2];

/// The largest file about a shard, and the largest of classes.
const MAX_BYTES: u64 = 1 << 30;

/// The most extents of a row.
const MAX_EXTENTS: usize = 8;

/// Merges the arrays of `shards` into the file `output`: an array with what is next to it, or an archive of all.
pub(super) fn merge(shards: &[PathBuf], output: &Path, force: bool) -> Result<Merged> {
    let is_archive = match output.extension().and_then(|extension| extension.to_str()) {
        Some("npy") => false,
        Some("npz") => true,
        _ => {
            return Err(Failure::message(format!(
                "`{}` is to be an array or an archive, expected a name that ends in .npy or .npz",
                output.display()
            )));
        }
    };
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
            return Err(wrong_counts(part));
        }
        rows = usize::checked_add(rows, end.rows).ok_or_else(|| wrong_counts(part))?;
        errors = usize::checked_add(errors, end.errors).ok_or_else(|| wrong_counts(part))?;
    }
    let shape = first.content.shape.clone().unwrap_or_default();
    let files = Files { labeled: are_labeled(&parts)?, named: is_beside(&parts, CLASSES)?, parts: &parts, rows, shape };
    files.check()?;
    let written = if is_archive { files.write_archive(output, force)? } else { files.write_arrays(output, force)? };
    Ok(Merged { written, errors, ..Merged::default() })
}

/// What is next to the arrays of all shards.
struct Files<'a> {
    parts: &'a [Part<ShardEnd>],
    rows: usize,
    /// Extents of a row.
    shape: Vec<usize>,
    labeled: bool,
    /// Whether classes have names.
    named: bool,
}

impl Files<'_> {
    /// Returns an error if an array does not have the rows of its shard, before any file is replaced.
    fn check(&self) -> Result<()> {
        for part in self.parts {
            open_array(part, "npy", ElementType::F32, &self.shape)?;
            if part.path.with_extension(LABELS).exists() {
                open_array(part, LABELS, ElementType::I64, &[])?;
            }
        }
        Ok(())
    }

    /// Writes an array, and next to it names, labels and classes.
    fn write_arrays(&self, output: &Path, force: bool) -> Result<Vec<PathBuf>> {
        let of_a_shard = output.with_extension(SHARD);
        check_free(&of_a_shard, force)?;
        let mut written = Vec::new();
        for (ending, is_there) in [(NAMES, true), (LABELS, self.labeled), (CLASSES, self.named)] {
            let path = output.with_extension(ending);
            check_free(&path, force)?;
            if !is_there {
                remove(&path)?;
                continue;
            }
            write(&path, force, |out| match ending {
                LABELS => {
                    out.write_all(&npy::header(ElementType::I64, &[self.rows])).context("cannot write labels")?;
                    self.parts.iter().try_for_each(|part| append_labels(part, out))
                }
                CLASSES => Ok(out.write_all(&copied(self.parts, CLASSES)?).context("cannot write the classes")?),
                _ => self.names(|name| writeln!(out, "{name}")),
            })?;
            written.push(path);
        }
        write(output, force, |out| {
            let whole = [&[self.rows], &self.shape[..]].concat();
            out.write_all(&npy::header(ElementType::F32, &whole)).context("cannot write the array")?;
            self.parts.iter().try_for_each(|part| append_array(part, "npy", ElementType::F32, &self.shape, out))
        })?;
        // The array that is replaced may have been one of a shard.
        remove(&of_a_shard)?;
        written.push(output.into());
        Ok(written)
    }

    /// Writes all into one archive.
    fn write_archive(&self, output: &Path, force: bool) -> Result<Vec<PathBuf>> {
        let mut characters = 0;
        self.names(|name| {
            characters = characters.max(name.chars().count());
            Ok(())
        })?;
        let classes = if self.named { Some(copied(self.parts, CLASSES)?) } else { None };
        let classes = classes.map(|text| String::from_utf8(text).context("names of classes are not UTF-8"));
        let classes: Option<Vec<String>> =
            classes.transpose()?.map(|text| text.split_terminator('\n').map(String::from).collect());
        let mut file = OutputFile::create(output, force)?;
        let mut archive = Archive::new(file.writer(), self.rows);
        let written = || format!("cannot write `{}`", output.display());
        let io = |failure: Failure| io::Error::other(failure.error);
        let arrays = |out: &mut dyn Write| {
            self.parts.iter().try_for_each(|part| append_array(part, "npy", ElementType::F32, &self.shape, out))
        };
        archive.embeddings(&self.shape, |out| arrays(out).map_err(io)).with_context(written)?;
        archive.names(characters, |add| self.each_name(None, add).map_err(io)).with_context(written)?;
        if self.labeled {
            let labels = |out: &mut dyn Write| self.parts.iter().try_for_each(|part| append_labels(part, out));
            archive.labels(|out| labels(out).map_err(io)).with_context(written)?;
        }
        if let Some(classes) = classes {
            archive.classes(&classes).with_context(written)?;
        }
        archive.finish().with_context(written)?;
        file.finish()?;
        Ok(vec![output.into()])
    }

    /// Gives the names of all rows to `add`. Returns an error if the key of an image occurs twice.
    fn names(&self, add: impl FnMut(&str) -> io::Result<()>) -> Result<()> {
        self.each_name(Keys::of(self.parts), add)
    }

    fn each_name(&self, mut keys: Option<Keys>, mut add: impl FnMut(&str) -> io::Result<()>) -> Result<()> {
        for part in self.parts {
            let (path, rows) = (part.path.with_extension(NAMES), part.content.rows);
            let failed = || format!("cannot copy `{}`", path.display());
            let mut reader = BufReader::with_capacity(1 << 20, File::open(&path).with_context(failed)?);
            let (mut lines, mut line) = (0, String::new());
            while reader.read_line(&mut line).with_context(failed)? > 0 && line.ends_with('\n') {
                let name = &line[..line.len() - 1];
                if let Some(keys) = &mut keys {
                    keys.add(name, part, self.parts)?;
                }
                add(name).with_context(failed)?;
                lines += 1;
                line.clear();
            }
            if lines != rows || !line.is_empty() {
                return Err(part.damaged(format_args!("has {rows} rows, but `{}` has {lines} lines", path.display())));
            }
        }
        Ok(())
    }
}

fn wrong_counts(part: &Part<ShardEnd>) -> Failure {
    part.damaged("has counts that do not belong together")
}

/// Whether there is a file with this ending next to all arrays; it is an error if only some have one.
fn is_beside(parts: &[Part<ShardEnd>], ending: &str) -> Result<bool> {
    let is_there = |part: &Part<ShardEnd>| part.path.with_extension(ending).exists();
    let first = &parts[0];
    match parts.iter().find(|part| is_there(part) != is_there(first)) {
        Some(part) => {
            let (there, not) = if is_there(first) { (first, part) } else { (part, first) };
            let [there, missing] = [there, not].map(|part| part.path.with_extension(ending));
            Err(not.damaged(format_args!("lacks `{}`: `{}` is there", missing.display(), there.display())))
        }
        None => Ok(is_there(first)),
    }
}

/// Whether rows have labels. Those of tar files have them if an image of any has one.
fn are_labeled(parts: &[Part<ShardEnd>]) -> Result<bool> {
    if parts[0].record.tars.is_none() {
        return is_beside(parts, LABELS);
    }
    for part in parts {
        let path = part.path.with_extension(LABELS);
        if part.content.labeled.is_some_and(|labeled| labeled != path.exists()) {
            let is = if path.exists() { "is there, but its rows have no labels" } else { "is not there" };
            return Err(part.damaged(format_args!("has labels of other rows: `{}` {is}", path.display())));
        }
    }
    Ok(parts.iter().any(|part| part.path.with_extension(LABELS).exists()))
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

/// Removes a file, if it is there.
fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => Ok(removed.with_context(|| format!("cannot remove `{}`", path.display()))?),
    }
}

/// Opens an array at its first value. Its header must be the one of its rows, and its values as many.
fn open_array(part: &Part<ShardEnd>, ending: &str, element: ElementType, shape: &[usize]) -> Result<File> {
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
        let rows = part.content.rows;
        return Err(part.damaged(format_args!("does not have the {rows} rows of its shard in `{}`", path.display())));
    }
    Ok(file)
}

/// Appends the values of an array.
fn append_array(
    part: &Part<ShardEnd>,
    ending: &str,
    element: ElementType,
    shape: &[usize],
    out: &mut dyn Write,
) -> Result<()> {
    let file = open_array(part, ending, element, shape)?;
    let copied = io::copy(&mut BufReader::with_capacity(1 << 20, file), out);
    copied.with_context(|| format!("cannot copy `{}`", part.path.with_extension(ending).display()))?;
    Ok(())
}

/// Appends the labels of a shard, or as many that stand for none.
fn append_labels(part: &Part<ShardEnd>, out: &mut dyn Write) -> Result<()> {
    if part.path.with_extension(LABELS).exists() {
        return append_array(part, LABELS, ElementType::I64, &[], out);
    }
    let label = NO_LABEL.to_le_bytes();
    Ok((0..part.content.rows).try_for_each(|_| out.write_all(&label)).context("cannot write labels")?)
}

/// The content of a file that is the same next to all arrays.
fn copied(parts: &[Part<ShardEnd>], ending: &str) -> Result<Vec<u8>> {
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
    Ok(first)
}
