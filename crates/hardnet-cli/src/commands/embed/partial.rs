//! Rows of a run that is not complete: `OUT.partial`, and `OUT.partial.jsonl` with what they are.
//!
//! The second file has the settings of the run on its first line, then a line for each image that is done. Rows are
//! written before their lines, batch by batch, so that a run that was killed leaves rows of all images with a line.
//! `--resume` drops what is not a whole batch and continues there, which gives the bytes of an uninterrupted run.
//! Images of tar files are not known before they are read: the second file is [compared](Replay) with them as they are.

mod replay;

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::EmbedArgs;
use super::images::Images;
use crate::failure::{Failure, Result};
use crate::model::EmbeddingModel;
use crate::printer::Printer;
use crate::shards::ShardEnd;
use replay::Replay;

/// The settings that the values depend on, besides the images.
#[derive(Serialize)]
pub(super) struct Settings {
    version: &'static str,
    weights_sha256: String,
    /// Key of the dictionary in the file that holds the weights.
    weights_entry: Option<String>,
    network: Value,
    stage: String,
    shape: Vec<usize>,
    pipeline: Value,
    engine: &'static str,
    isa: String,
    batch_size: usize,
    batch_invariant: bool,
    decoder: &'static str,
}

impl Settings {
    /// The settings of this run.
    pub(super) fn new(args: &EmbedArgs, model: &EmbeddingModel) -> Result<Self> {
        Ok(Self {
            version: env!("CARGO_PKG_VERSION"),
            weights_sha256: model.weights.sha256.clone(),
            weights_entry: model.weights.wrapper.clone(),
            network: serde_json::to_value(&model.config)?,
            stage: model.embedder.info().module.clone(),
            shape: model.embedder.shape(),
            pipeline: crate::pipeline::to_value(model.embedder.pipeline())?,
            engine: model.embedder.engine().name(),
            isa: crate::knobs::isa()?.to_string(),
            batch_size: args.batch_size,
            batch_invariant: args.model.batch_invariant(),
            decoder: hardnet_data::JPEG_DECODER,
        })
    }
}

/// An image that is done.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record<'a> {
    pub(super) file: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) label: Option<u32>,
    /// Why it has no row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<Cow<'a, str>>,
}

/// Rows of a run that is not complete.
#[derive(Debug)]
pub(super) struct Partial {
    rows: Part,
    journal: Part,
    /// Images that are done.
    done: usize,
    /// Those of them that have no row.
    failed: usize,
    /// Journal lines of an interrupted run, for images that this run has not read yet.
    replay: Option<Replay>,
}

impl Partial {
    /// Opens the files of a run: new ones, or with `--resume` those that an interrupted run left.
    pub(super) fn open(
        args: &EmbedArgs,
        settings: &Settings,
        images: &Images,
        shape: &[usize],
        printer: &Printer,
    ) -> Result<Self> {
        let [rows, journal] = [".partial", ".partial.jsonl"].map(|suffix| args.output.with_suffix(suffix));
        let (exists, head) = (rows.exists() && journal.exists(), args.output.head(images.len(), shape));
        if args.resume && exists {
            let [mut rows, mut journal] = [Part::open(rows)?, Part::open(journal)?];
            if args.webdataset.is_some() {
                let layout = (head.len() as u64, args.output.row_bytes(shape));
                let replay = Some(Replay::open(&mut rows, &journal, settings, layout)?);
                return Ok(Self { rows, journal, done: 0, failed: 0, replay });
            }
            let (done, failed) =
                resume(&mut rows, &mut journal, settings, images, (&head, args.output.row_bytes(shape)))?;
            printer.note(format_args!("continuing after {done} of {} images", images.len()));
            return Ok(Self { rows, journal, done, failed, replay: None });
        }
        if args.resume {
            printer.note(format_args!("nothing to resume: `{}` does not exist", rows.display()));
        } else if exists && !args.force {
            return Err(Failure::message(format!("`{}` already exists", rows.display()))
                .hint("an interrupted run left it: pass --resume to continue, or --force to start over"));
        }
        // The settings come last: without them nothing is resumed.
        let [mut rows, mut journal] = [Part::create(rows)?, Part::create(journal)?];
        rows.append(&head)?;
        journal.append(&line(settings)?)?;
        Ok(Self { rows, journal, done: 0, failed: 0, replay: None })
    }

    /// Number of images that are done, read or not.
    pub(super) fn done(&self) -> usize {
        self.done
    }

    /// Number of images that are done and could not be read.
    pub(super) fn failed(&self) -> usize {
        self.failed
    }

    /// The images that have a row, in the order of the rows.
    pub(super) fn records(&self) -> io::Result<impl Iterator<Item = io::Result<Record<'static>>> + use<>> {
        let mut reader = BufReader::with_capacity(1 << 16, File::open(&self.journal.path)?);
        // The settings.
        reader.skip_until(b'\n')?;
        let mut line = Vec::new();
        let next = move || -> io::Result<Option<Record<'static>>> {
            line.clear();
            if reader.read_until(b'\n', &mut line)? == 0 {
                return Ok(None);
            }
            Ok(Some(serde_json::from_slice::<Record>(&line)?))
        };
        let mut next = next;
        Ok(std::iter::from_fn(move || next().transpose())
            .filter(|record| record.as_ref().is_ok_and(|record| record.error.is_none()) || record.is_err()))
    }

    /// Adds the rows of the next images, and what they are.
    pub(super) fn append(&mut self, rows: &[u8], records: &[Record]) -> Result<()> {
        let mut lines = Vec::new();
        for record in records {
            lines.extend(line(record)?);
        }
        self.rows.append(rows)?;
        self.journal.append(&lines)?;
        self.failed += records.iter().filter(|record| record.error.is_some()).count();
        self.done += records.len();
        Ok(())
    }

    /// Adds the line after the last row.
    pub(super) fn append_end(&mut self, end: &ShardEnd) -> Result<()> {
        self.rows.append(&line(end)?)
    }

    /// Reads the rows from byte `offset` on.
    pub(super) fn read_from(&mut self, offset: u64) -> io::Result<impl Read> {
        self.rows.file.seek(SeekFrom::Start(offset))?;
        Ok(BufReader::new(&mut self.rows.file))
    }

    /// Replaces what the rows begin with and gives them the name `path`.
    pub(super) fn rename(&mut self, head: &[u8], path: &Path) -> io::Result<()> {
        self.rows.file.seek(SeekFrom::Start(0))?;
        self.rows.file.write_all(head)?;
        self.rows.file.sync_all()?;
        fs::rename(&self.rows.path, path)
    }

    /// Removes the files; that of the rows may have another name by now.
    pub(super) fn remove(self) -> io::Result<()> {
        match fs::remove_file(&self.rows.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::remove_file(&self.journal.path)
    }
}

/// A file that is appended to.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    fn create(path: PathBuf) -> Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path);
        let file = file.with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(Self { path, file })
    }

    fn open(path: PathBuf) -> Result<Self> {
        let file = File::options().read(true).write(true).open(&path);
        let file = file.with_context(|| format!("cannot open `{}`", path.display()))?;
        Ok(Self { path, file })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.file.write_all(bytes);
        Ok(written.with_context(|| format!("cannot write `{}`", self.path.display()))?)
    }

    /// Drops what comes after `length` bytes.
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.file.seek(SeekFrom::Start(length))?;
        Ok(())
    }
}

/// The end of a batch.
#[derive(Clone, Copy, Debug)]
struct BatchEnd {
    /// Images up to here.
    done: usize,
    /// Rows up to here.
    rows: usize,
    /// Bytes of the journal up to here.
    journal: u64,
}

/// Checks that the files are those of this run, drops what is not a whole batch, and returns how many images are done
/// and how many of them failed. Rows begin with the first of `layout` and have the second's bytes each, or a line.
fn resume(
    rows: &mut Part,
    journal: &mut Part,
    settings: &Settings,
    images: &Images,
    layout: (&[u8], Option<u64>),
) -> Result<(usize, usize)> {
    let cannot_read = format!("cannot read `{}`", rows.path.display());
    let head = layout.0.len() as u64;
    let available = count_rows(&mut rows.file, head, layout.1).with_context(|| cannot_read.clone())?;
    let ends = read_journal(journal, settings, images)?;
    let end = ends.iter().rfind(|end| end.rows <= available);
    let &BatchEnd { done, rows: whole, journal: length } = end.expect("no rows are always available");
    let end = end_of_rows(&mut rows.file, head, layout.1, whole).with_context(|| cannot_read.clone())?;
    rows.truncate(end).and_then(|()| journal.truncate(length)).with_context(|| cannot_read)?;
    Ok((done, done - whole))
}

/// Counts the whole rows of a file.
fn count_rows(file: &mut File, head: u64, row_bytes: Option<u64>) -> io::Result<usize> {
    let Some(bytes) = row_bytes else {
        file.seek(SeekFrom::Start(head))?;
        let (mut reader, mut lines) = (BufReader::new(file), 0);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
            line.clear();
            lines += 1;
        }
        return Ok(lines);
    };
    let values = file.metadata()?.len().saturating_sub(head);
    Ok(usize::try_from(values / bytes).unwrap_or(usize::MAX))
}

/// Finds where row `count` of a file begins, which has that many.
fn end_of_rows(file: &mut File, head: u64, row_bytes: Option<u64>, count: usize) -> io::Result<u64> {
    if let Some(bytes) = row_bytes {
        return Ok(head + bytes * count as u64);
    }
    file.seek(SeekFrom::Start(head))?;
    let mut reader = BufReader::new(file);
    let lengths = (0..count).map(|_| reader.skip_until(b'\n').map(|length| length as u64));
    Ok(head + lengths.sum::<io::Result<u64>>()?)
}

/// Reads the ends of the whole batches, the first before any image.
fn read_journal(journal: &mut Part, settings: &Settings, images: &Images) -> Result<Vec<BatchEnd>> {
    let path = journal.path.display();
    let mut reader = BufReader::new(&mut journal.file);
    let mut next = || -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line).with_context(|| format!("cannot read `{path}`"))?;
        // The last line of a run that was killed may not be whole.
        Ok(Some(line).filter(|line| line.ends_with(b"\n")))
    };
    let foreign = |line: usize| foreign(&journal.path, line);
    let first = next()?.unwrap_or_default();
    check_settings(&journal.path, &first, settings)?;
    let mut end = BatchEnd { done: 0, rows: 0, journal: first.len() as u64 };
    let mut ends = vec![end];
    while let Some(line) = next()? {
        let record: Record = serde_json::from_slice(&line).map_err(|_| foreign(end.done + 2))?;
        let now = (end.done < images.len()).then(|| (images.name(end.done), images.label(end.done)));
        check_record(&path.to_string(), end.done, &record, now)?;
        end.rows += usize::from(record.error.is_none());
        end.done += 1;
        end.journal += line.len() as u64;
        if end.done.is_multiple_of(settings.batch_size) || end.done == images.len() {
            ends.push(end);
        }
    }
    Ok(ends)
}

/// The error of a journal with a line that `hardnet embed` has not written.
fn foreign(path: &Path, line: usize) -> Failure {
    Failure::message(format!("`{}`, line {line}, was not written by `hardnet embed`", path.display()))
        .hint("pass --force without --resume to start over")
}

/// Returns an error with the first setting that differs from that of the interrupted run, which are on the first line.
fn check_settings(path: &Path, first: &[u8], now: &Settings) -> Result<()> {
    let begun: Value = serde_json::from_slice(first).map_err(|_| foreign(path, 1))?;
    let now = serde_json::to_value(now)?;
    let fields = now.as_object().into_iter().flatten();
    match fields.map(|(name, value)| (name, &begun[name], value)).find(|(_, begun, value)| begun != value) {
        Some((name, begun, value)) => Err(Failure::message(format!(
            "the interrupted run differs in `{name}`: `{}` has {begun}, this run has {value}",
            path.display()
        ))
        .hint("repeat its command with --resume, or pass --force without --resume to start over")),
        None => Ok(()),
    }
}

/// Returns an error if image `index`, now of this name and label, is not the one that the interrupted run had there.
fn check_record(path: &str, index: usize, record: &Record, now: Option<(&str, Option<u32>)>) -> Result<()> {
    if now == Some((&record.file, record.label)) {
        return Ok(());
    }
    let text = |name: &str, label: Option<u32>| match label {
        Some(label) => format!("`{name}` with label {label}"),
        None => format!("`{name}`"),
    };
    let now = now.map_or("no such image".into(), |(name, label)| text(name, label));
    let begun = text(&record.file, record.label);
    Err(Failure::message(format!("the images have changed: image {index} is {begun} in `{path}`, now {now}"))
        .hint("pass --force without --resume to start over"))
}

/// A document with the end of its line.
fn line(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}
