//! `areas.jsonl`: a line for each image, and while a run is not complete `areas.jsonl.partial`. Shards, which may share
//! their folder, have a file each, `areas.0-of-4.jsonl`, whose last line is about the shard.
//!
//! The partial file begins with the settings of the run. An image's line follows when its PNG files are written, so
//! that `--resume` continues after the last whole line.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use hardnet_data::{ImageInfo, Orientation, Shard};
use hardnet_segmentation::{Area, LoadError, Segmentation};
use serde::Serialize;
use serde_json::Value;

use super::images::Images;
use super::writer::Files;
use super::{Format, SegmentArgs};
use crate::failure::{Failure, Result};
use crate::output::{OutputFile, check_free};
use crate::printer::Printer;
use crate::segmentation::{LinesEnd, ProtocolRecord, SegmentationModel};

/// The settings that masks depend on, besides the images.
#[derive(Serialize)]
struct Settings<'a> {
    version: &'static str,
    weights_sha256: &'a str,
    /// Key of the dictionary in the file that holds the weights.
    weights_entry: Option<&'a str>,
    classes: &'a [String],
    colors: Vec<[u8; 3]>,
    preprocessing: ProtocolRecord,
    engine: &'static str,
    isa: String,
    formats: Vec<&'static str>,
}

/// A line about an image. Field names are API; `docs/segmentation.md` describes them.
#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    /// The PNG files by their format, relative to the folder.
    masks: &'a Files,
    /// The classes that occur, the largest first.
    areas: Vec<Area<'a>>,
    width: usize,
    height: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    orientation: Option<u8>,
}

/// A line about an image that cannot be read. It is not in the complete file.
#[derive(Serialize)]
struct ErrorLine<'a> {
    file: &'a str,
    error: String,
}

/// The lines of a run.
pub(super) struct Journal {
    path: PathBuf,
    partial: PathBuf,
    file: File,
    done: usize,
    errors: usize,
}

impl Journal {
    /// Opens the lines of a run: new ones, or with `--resume` those that an interrupted run left.
    pub(super) fn open(
        args: &SegmentArgs,
        formats: &[Format],
        model: &SegmentationModel,
        (images, shard): (&Images, Option<Shard>),
        printer: &Printer,
    ) -> Result<Self> {
        let folder = &args.output;
        let name =
            shard.map_or("areas.jsonl".into(), |shard| format!("areas.{}-of-{}.jsonl", shard.index(), shard.count()));
        fs::create_dir_all(folder).with_context(|| format!("cannot create folder `{}`", folder.display()))?;
        let (path, partial) = (folder.join(&name), folder.join(format!("{name}.partial")));
        let classes = model.segmenter.classes();
        let settings = serde_json::to_value(Settings {
            version: env!("CARGO_PKG_VERSION"),
            weights_sha256: &model.weights.sha256,
            weights_entry: model.weights.wrapper.as_deref(),
            classes: &classes.names,
            colors: (0..classes.palette.len()).map(|class| classes.palette.color(class as u8)).collect(),
            preprocessing: model.protocol_record(),
            engine: model.segmenter.engine(),
            isa: crate::knobs::isa()?.to_string(),
            formats: formats.iter().map(|format| format.name()).collect(),
        })?;
        check_free(&path, args.force)?;
        if args.resume && partial.exists() {
            let journal = Self::resume(path, partial, &settings, images)?;
            printer.note(format_args!("continuing after {} of {} images", journal.done, images.len()));
            return Ok(journal);
        }
        if args.resume {
            printer.note(format_args!("nothing to resume: `{}` does not exist", partial.display()));
        } else if partial.exists() && !args.force {
            return Err(Failure::message(format!("`{}` already exists", partial.display()))
                .hint("an interrupted run left it: pass --resume to continue, or --force to start over"));
        }
        let file = File::create(&partial).with_context(|| format!("cannot write `{}`", partial.display()))?;
        let mut journal = Self { path, partial, file, done: 0, errors: 0 };
        journal.append(&settings)?;
        Ok(journal)
    }

    /// Reads what an interrupted run left, and drops a line that is not whole.
    fn resume(path: PathBuf, partial: PathBuf, settings: &Value, images: &Images) -> Result<Self> {
        let mut journal = {
            let file = File::options().read(true).write(true).open(&partial);
            let file = file.with_context(|| format!("cannot open `{}`", partial.display()))?;
            Self { path, partial, file, done: 0, errors: 0 }
        };
        let lines = whole_lines(&journal.file, &journal.partial)?;
        let end: usize = lines.iter().map(Vec::len).sum();
        let parsed = lines.iter().map(|line| serde_json::from_slice(line));
        let values: Vec<Value> = parsed.collect::<std::result::Result<_, _>>().map_err(|_| journal.foreign())?;
        let (begun, records) = values.split_first().ok_or_else(|| journal.foreign())?;
        check_settings(&journal.partial, begun, settings)?;
        for value in records {
            let name = value["file"].as_str().ok_or_else(|| journal.foreign())?;
            let now = if journal.done < images.len() { images.name(journal.done) } else { "no such image" };
            if name != now {
                return Err(Failure::message(format!(
                    "the images have changed: image {} is `{name}` in `{}`, now `{now}`",
                    journal.done,
                    journal.partial.display()
                ))
                .hint("pass --force without --resume to start over"));
            }
            journal.errors += usize::from(value.get("error").is_some());
            journal.done += 1;
        }
        let cannot = format!("cannot write `{}`", journal.partial.display());
        journal.file.set_len(end as u64).with_context(|| cannot.clone())?;
        journal.file.seek(SeekFrom::Start(end as u64)).with_context(|| cannot)?;
        Ok(journal)
    }

    fn foreign(&self) -> Failure {
        Failure::message(format!("`{}` was not written by `hardnet segment`", self.partial.display()))
            .hint("pass --force without --resume to start over")
    }

    /// Number of images that are done, read or not.
    pub(super) fn done(&self) -> usize {
        self.done
    }

    /// Number of those that could not be read.
    pub(super) fn errors(&self) -> usize {
        self.errors
    }

    /// Adds an image whose files are written.
    pub(super) fn add(&mut self, name: &str, files: &Files, found: &Segmentation, info: ImageInfo) -> Result<()> {
        let orientation = Some(info.orientation).filter(|orientation| !orientation.is_upright());
        self.append(&Line {
            file: name,
            masks: files,
            areas: found.areas(),
            width: info.width,
            height: info.height,
            orientation: orientation.map(Orientation::number),
        })?;
        self.done += 1;
        Ok(())
    }

    /// Adds an image that cannot be read.
    pub(super) fn add_error(&mut self, name: &str, error: &LoadError) -> Result<()> {
        self.append(&ErrorLine { file: name, error: error.to_string() })?;
        self.done += 1;
        self.errors += 1;
        Ok(())
    }

    fn append(&mut self, line: &impl Serialize) -> Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        let written = self.file.write_all(&bytes);
        Ok(written.with_context(|| format!("cannot write `{}`", self.partial.display()))?)
    }

    /// Writes the complete file, with `end` as its last line, and removes the partial one. Returns its path.
    pub(super) fn finish(self, end: Option<LinesEnd<'_>>) -> Result<PathBuf> {
        let Self { path, partial, file, .. } = self;
        drop(file);
        let read = File::open(&partial).with_context(|| format!("cannot read `{}`", partial.display()))?;
        let mut complete = OutputFile::create(&path, true)?;
        for line in whole_lines(&read, &partial)?.into_iter().skip(1) {
            let value: Value = serde_json::from_slice(&line)?;
            if value.get("error").is_none() {
                complete.append(&line)?;
            }
        }
        if let Some(end) = end {
            complete.append(&[&serde_json::to_vec(&end)?[..], b"\n"].concat())?;
        }
        complete.finish()?;
        fs::remove_file(&partial).with_context(|| format!("cannot remove `{}`", partial.display()))?;
        Ok(path)
    }
}

/// The lines of a file with their ends; the last of a run that was killed may have none, and is left out.
fn whole_lines(file: &File, path: &Path) -> Result<Vec<Vec<u8>>> {
    let mut reader = BufReader::new(file);
    let mut lines = Vec::new();
    loop {
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line).with_context(|| format!("cannot read `{}`", path.display()))?;
        if !line.ends_with(b"\n") {
            return Ok(lines);
        }
        lines.push(line);
    }
}

/// Returns an error with the first setting that differs from that of the interrupted run.
fn check_settings(path: &Path, begun: &Value, now: &Value) -> Result<()> {
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
