//! The files of a run: rows, names, labels.

use std::io::{self, Write};
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context;
use hardnet_base::npy::{self, ElementType};
use hardnet_eval::{LineFields, append_line};
use serde::Serialize;

use super::images::Images;
use super::partial::Partial;
use super::rows::Rows;
use crate::failure::{Failure, Result};
use crate::output::{OutputFile, check_free};
use crate::shards::ShardEnd;

/// Endings of the files next to an array.
pub(crate) const BESIDE: [&str; 3] = ["names.txt", "labels.npy", "classes.txt"];

/// Ending of the file next to an array that says which shard it is.
pub(crate) const SHARD: &str = "shard.json";

/// `--output`.
#[derive(Clone, Debug)]
pub(super) struct Output {
    path: PathBuf,
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// One array, with names and labels in files next to it.
    Npy,
    /// An archive of arrays: `embeddings`, `names`, `labels`, `classes`.
    Npz,
    /// A document on each line.
    Jsonl,
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let path = PathBuf::from(text);
        // A separator at the end, which a path forgets, means a folder.
        let extension = path.extension().filter(|_| !text.ends_with(std::path::is_separator));
        let format = match extension.and_then(|extension| extension.to_str()) {
            Some("npy") => Format::Npy,
            Some("npz") => Format::Npz,
            Some("jsonl") => Format::Jsonl,
            _ => return Err("expected a name that ends in .npy, .npz or .jsonl".into()),
        };
        Ok(Self { path, format })
    }
}

/// A line of a `.jsonl` file. Field names are API; `docs/output.md` describes them.
#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<u32>,
    /// Name of the class, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'a str>,
    /// Channels, rows and columns of a map.
    #[serde(skip_serializing_if = "Option::is_none")]
    shape: Option<&'a [usize]>,
    embedding: &'a [f32],
    #[serde(flatten)]
    fields: LineFields<'a>,
}

impl Output {
    /// The path with `suffix` appended.
    pub(super) fn with_suffix(&self, suffix: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(suffix);
        path.into()
    }

    /// The path with `ending` in place of its extension.
    fn beside(&self, ending: &str) -> PathBuf {
        self.path.with_extension(ending)
    }

    /// Returns an error if a file of the run exists, unless `force` is set.
    pub(super) fn check_free(&self, force: bool) -> Result<()> {
        check_free(&self.path, force)?;
        if self.format == Format::Npy {
            for ending in BESIDE.into_iter().chain([SHARD]) {
                check_free(&self.beside(ending), force)?;
            }
        }
        Ok(())
    }

    /// Returns an error if shards of this format cannot be merged.
    pub(super) fn check_shard(&self, is_shard: bool) -> Result<()> {
        if is_shard && self.format == Format::Npz {
            return Err(Failure::message("shards are written as .npy or .jsonl files, not as .npz").hint(
                "pass -o with a name that ends in .npy; `hardnet merge *.npy -o FILE.npz` makes an archive of all",
            ));
        }
        Ok(())
    }

    /// Returns an error if a name of an image cannot be a line of a file.
    pub(super) fn check_names(&self, images: &Images) -> Result<()> {
        if self.format != Format::Npy {
            return Ok(());
        }
        match (0..images.len()).map(|index| images.name(index)).find(|name| name.contains(['\n', '\r'])) {
            Some(name) => {
                Err(Failure::message(format!("the name {name:?} has several lines, a line of a file has one"))
                    .hint("write .npz or .jsonl, which hold any name"))
            }
            None => Ok(()),
        }
    }

    /// The header of the file of rows, for `rows` rows of `shape`.
    pub(super) fn head(&self, rows: usize, shape: &[usize]) -> Vec<u8> {
        match self.format {
            Format::Npy | Format::Npz => npy::header(ElementType::F32, &[&[rows], shape].concat()),
            Format::Jsonl => Vec::new(),
        }
    }

    /// Bytes of each row of `shape`; `None` for lines, whose lengths differ.
    pub(super) fn row_bytes(&self, shape: &[usize]) -> Option<u64> {
        let bytes = 4 * shape.iter().product::<usize>() as u64;
        (self.format != Format::Jsonl).then_some(bytes)
    }

    /// Appends the row of image `index`, with `values` of `shape`, to `bytes`.
    pub(super) fn append_row(
        &self,
        bytes: &mut Vec<u8>,
        (images, index): (&Images, usize),
        (shape, values): (&[usize], &[f32]),
        fields: LineFields<'_>,
    ) -> Result<()> {
        if self.format != Format::Jsonl {
            bytes.extend(npy::f32_bytes(values));
            return Ok(());
        }
        let line = Line {
            file: images.name(index),
            label: images.label(index),
            class: images.class(index),
            shape: (shape.len() > 1).then_some(shape),
            embedding: values,
            fields,
        };
        Ok(append_line(bytes, &line)?)
    }

    /// Gives the complete rows of `partial` their name, with the names of their images, and returns the paths. `images`
    /// are all of them, unless they come from tar files.
    pub(super) fn finish(
        &self,
        mut partial: Partial,
        images: Option<&Images>,
        shard: Option<ShardEnd>,
        shape: &[usize],
        force: bool,
    ) -> Result<Vec<PathBuf>> {
        let rows =
            Rows::of(&partial, images).with_context(|| format!("cannot read rows of `{}`", self.path.display()))?;
        let written = || format!("cannot write `{}`", self.path.display());
        let mut paths = vec![self.path.clone()];
        match self.format {
            Format::Npy => {
                let shard = shard.map(|end| ShardEnd { labeled: Some(rows.are_labeled()), ..end });
                paths.extend(self.write_beside(&rows, &partial, shard.as_ref())?);
                check_free(&self.path, force)?;
                partial.rename(&self.head(rows.count(), shape), &self.path).with_context(written)?;
            }
            Format::Npz => {
                let head = self.head(0, shape).len() as u64;
                let mut file = OutputFile::create(&self.path, force)?;
                rows.write_archive(file.writer(), &mut partial, (head, shape)).with_context(written)?;
                file.finish()?;
            }
            Format::Jsonl => {
                check_free(&self.path, force)?;
                if let Some(end) = shard {
                    partial.append_end(&ShardEnd { shape: None, ..end })?;
                }
                partial.rename(&[], &self.path).with_context(written)?;
            }
        }
        partial.remove().with_context(written)?;
        Ok(paths)
    }

    /// Writes names, labels and classes next to an array, and returns the paths.
    fn write_beside(&self, rows: &Rows, partial: &Partial, shard: Option<&ShardEnd>) -> Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        let mut write = |ending: &str, content: &dyn Fn(&mut dyn Write) -> io::Result<()>| {
            let path = self.beside(ending);
            // A run that was killed right before its end may have left it.
            let mut file = OutputFile::create(&path, true)?;
            let mut writer = file.writer();
            let done = content(&mut writer).and_then(|()| writer.flush());
            drop(writer);
            done.with_context(|| format!("cannot write `{}`", path.display()))?;
            file.finish()?;
            paths.push(path);
            Ok::<_, Failure>(())
        };
        write("names.txt", &|out| Rows::names(partial, |name| writeln!(out, "{name}")))?;
        if rows.are_labeled() {
            write("labels.npy", &|out| {
                out.write_all(&npy::header(ElementType::I64, &[rows.count()]))?;
                Rows::labels(partial, out)
            })?;
        }
        if let Some(classes) = rows.classes() {
            write("classes.txt", &|out| classes.iter().try_for_each(|class| writeln!(out, "{class}")))?;
        }
        if let Some(end) = shard {
            write(SHARD, &|out| {
                serde_json::to_writer(&mut *out, end)?;
                writeln!(out)
            })?;
        }
        // Files of a run that is being replaced would be taken for this one's.
        for path in BESIDE.into_iter().chain([SHARD]).map(|ending| self.beside(ending)) {
            if !paths.contains(&path) && path.exists() {
                std::fs::remove_file(&path).with_context(|| format!("cannot remove `{}`", path.display()))?;
            }
        }
        Ok(paths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_is_the_format() {
        for (name, format) in [("a.npy", Format::Npy), ("b/a.npz", Format::Npz), ("a.b.jsonl", Format::Jsonl)] {
            assert_eq!(name.parse::<Output>().unwrap().format, format);
        }
        assert!(["a", "npy", ".npy", "a.csv", "a.npy/", ""].iter().all(|name| name.parse::<Output>().is_err()));
    }
}
