//! `hardnet merge`: one result of the results of shards.
//!
//! The result is, byte for byte, that of one process, apart from times. It is written only if every
//! shard is there once, complete, and of the same weights, settings, images and version.

mod array;
mod check;
mod keys;
mod lines;
mod outputs;
mod report;
mod segmentation;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use crate::failure::{Exit, Failure, Result};
use crate::format::{counted, percentage};
use crate::output::check_free;
use crate::printer::Printer;

/// The longest first line that is looked at.
const MAX_LINE_BYTES: u64 = 64 << 20;

#[derive(Args, Debug)]
#[command(after_help = "\
The shards are files of `eval --shard K/N --json`, `eval --predictions`, `predict --json`, `embed -o \
FILE.jsonl` or `embed -o FILE.npy`, or the lines of `segment`, all of one kind, in any order. Arrays also \
make an .npz file. Times are added up; everything else is what a single process would have written, byte for \
byte.

Examples:
  hardnet merge result-*.json -o result.json
  hardnet merge result-*.json -o result.json --per-class classes.csv --report page --min-top1 76
  hardnet merge predictions-*.jsonl -o predictions.jsonl
  hardnet merge vectors-0.npy vectors-1.npy vectors-2.npy -o vectors.npy
  hardnet merge vectors-*.npy -o vectors.npz")]
pub(crate) struct MergeArgs {
    /// Results of all shards
    #[arg(value_name = "SHARD", required = true)]
    shards: Vec<PathBuf>,
    /// File to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Write the accuracy of each class to this file as CSV, of shards with --per-class
    #[arg(long, value_name = "FILE")]
    per_class: Option<PathBuf>,
    /// Write an HTML report to DIR/index.html, of shards with --report
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Exit with code 1 if top-1 is below this percentage
    #[arg(long, value_name = "PERCENT", value_parser = percentage)]
    min_top1: Option<f64>,
    /// Exit with code 1 if mean IoU is below this percentage
    #[arg(long, value_name = "PERCENT", value_parser = percentage)]
    min_miou: Option<f64>,
    /// Overwrite existing output files
    #[arg(long)]
    force: bool,
}

impl MergeArgs {
    /// Returns an error if one of `options` is given, each with whether it is.
    fn refuse(&self, options: &[(&str, bool)], remedy: &str) -> Result<()> {
        match options.iter().find(|(_, is_given)| *is_given) {
            Some((option, _)) => Err(Failure::message(format!("`{option}` is not about these results")).hint(remedy)),
            None => Ok(()),
        }
    }
}

/// The result of a merge.
#[derive(Default)]
struct Merged {
    /// The files, the main one last.
    written: Vec<PathBuf>,
    /// Images that could not be read.
    errors: usize,
    /// Messages about figures below `--min-top1` or `--min-miou`.
    below: Vec<String>,
}

/// The kind of a file's contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Report,
    Lines,
    Array,
}

pub(crate) fn run(args: &MergeArgs, printer: &Printer) -> Result<Exit> {
    check_free(&args.output, args.force)?;
    let kinds = args.shards.iter().map(|path| kind(path)).collect::<Result<Vec<_>>>()?;
    if let Some(other) = kinds.iter().position(|kind| *kind != kinds[0]) {
        let [first, other] =
            [0, other].map(|index| format!("`{}` is {}", args.shards[index].display(), kinds[index].name()));
        return Err(Failure::message(format!("{first}, {other}")).hint("merge files of one kind at a time"));
    }
    if kinds[0] != Kind::Report {
        let given = [
            ("--per-class", args.per_class.is_some()),
            ("--report", args.report.is_some()),
            ("--min-top1", args.min_top1.is_some()),
            ("--min-miou", args.min_miou.is_some()),
        ];
        args.refuse(&given, "merge results of `eval --json` with it")?;
    }
    let merged = match kinds[0] {
        Kind::Report if segmentation::is_one(&args.shards[0])? => segmentation::merge(&args.shards, args)?,
        Kind::Report => report::merge(&args.shards, args)?,
        Kind::Lines => lines::merge(&args.shards, &args.output, args.force)?,
        Kind::Array => array::merge(&args.shards, &args.output, args.force)?,
    };
    if merged.errors > 0 {
        printer.warn(format_args!("{} could not be read", counted(merged.errors, "image")));
    }
    merged.written.iter().try_for_each(|path| printer.line(path.display()))?;
    merged.below.iter().for_each(|message| printer.error(message));
    Ok(if merged.below.is_empty() { Exit::Success } else { Exit::CheckFailed })
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Report => "a result of `eval --json`",
            Self::Lines => "JSON lines about images",
            Self::Array => "an array",
        }
    }
}

/// The content of a file of `limit` bytes at most.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let failed = || format!("cannot read `{}`", path.display());
    let file = File::open(path).with_context(failed)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).with_context(failed)?;
    if bytes.len() as u64 > limit {
        return Err(Failure::message(format!("`{}` has more than {limit} bytes", path.display())));
    }
    Ok(bytes)
}

/// The kind of file, by its first bytes.
fn kind(path: &Path) -> Result<Kind> {
    let failed = || format!("cannot read `{}`", path.display());
    if !std::fs::metadata(path).with_context(failed)?.is_file() {
        return Err(Failure::message(format!("`{}` is not a file", path.display())));
    }
    let file = File::open(path).with_context(failed)?;
    let mut line = Vec::new();
    BufReader::new(file).take(MAX_LINE_BYTES).read_until(b'\n', &mut line).with_context(failed)?;
    if line.starts_with(b"\x93NUMPY") {
        return Ok(Kind::Array);
    }
    // A document over several lines is a result.
    if line.ends_with(b"\n") && line.trim_ascii() == b"{" {
        return Ok(Kind::Report);
    }
    let is_report = serde_json::from_slice::<Value>(&line).is_ok_and(|value| value.get("schema_version").is_some());
    Ok(if is_report { Kind::Report } else { Kind::Lines })
}
