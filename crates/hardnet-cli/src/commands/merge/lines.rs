//! Lines of JSON about images, of `eval --predictions`, `predict --json`, `embed -o FILE.jsonl` and `segment`.
//!
//! The lines of a shard are those of one process. The last line says which shard it is; a run that was killed has
//! none.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;

use super::Merged;
use super::check::{Part, in_order, is_whole, same};
use super::keys::Keys;
use crate::failure::{Failure, Result};
use crate::output::OutputFile;
use crate::shards::ShardRecord;

/// The longest last line.
const MAX_END_BYTES: u64 = 1 << 20;

/// The last line of a file of lines.
struct End {
    end: LastLine,
    /// The end of every other line: the run, as it is written, or only the end of a document for segmentation networks,
    /// whose lines do not repeat it.
    suffix: Vec<u8>,
}

/// Merges the lines of `shards` into the file `output`.
pub(super) fn merge(shards: &[PathBuf], output: &Path, force: bool) -> Result<Merged> {
    let parts = shards.iter().map(|path| read_end(path)).collect::<Result<Vec<_>>>()?;
    let parts = in_order(parts)?;
    let mut file = OutputFile::create(output, force)?;
    let mut writer = file.writer();
    let mut errors = 0;
    let mut keys = Keys::of(&parts);
    for part in &parts {
        let End { end, .. } = &part.content;
        is_whole(part, end.partial)?;
        let first = &parts[0].content.end;
        same(&parts[0], part, (&first.run, &end.run), &[])?;
        same(&parts[0], part, (&first.settings, &end.settings), &[])?;
        copy(part, &parts, keys.as_mut(), &mut writer)?;
        errors += end.errors;
    }
    writer.flush().with_context(|| format!("cannot write `{}`", output.display()))?;
    drop(writer);
    file.finish()?;
    Ok(Merged { written: vec![output.into()], errors, ..Merged::default() })
}

/// Reads the last line of a file.
fn read_end(path: &Path) -> Result<Part<End>> {
    let failed = || format!("cannot read `{}`", path.display());
    let mut file = File::open(path).with_context(failed)?;
    let length = file.metadata().with_context(failed)?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MAX_END_BYTES))).with_context(failed)?;
    let mut tail = Vec::new();
    file.take(MAX_END_BYTES).read_to_end(&mut tail).with_context(failed)?;
    let no_end = || {
        Failure::message(format!("`{}` does not end in a line about its shard", path.display()))
            .hint("the run was killed, or had no --shard: run it again, with --shard K/N")
    };
    let line = tail.strip_suffix(b"\n").ok_or_else(no_end)?;
    let line = line.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let end: LastLine = serde_json::from_slice(line).map_err(|_| no_end())?;
    let suffix = match (&end.run, &end.settings) {
        // The run is the last field of all lines. Within a text, quotes would have backslashes before them.
        (Some(_), None) => line.windows(RUN.len()).position(|window| window == RUN).map(|place| &line[place..]),
        (None, Some(_)) => Some(&b"}"[..]),
        _ => None,
    };
    let suffix = [suffix.ok_or_else(no_end)?, b"\n"].concat();
    Ok(Part::new(path, end.shard.clone(), End { end, suffix }))
}

/// The last line of a shard: a [`ShardEnd`](crate::shards::ShardEnd), or that of a segmentation network.
#[derive(Deserialize)]
struct LastLine {
    shard: ShardRecord,
    rows: usize,
    errors: usize,
    partial: bool,
    run: Option<Value>,
    settings: Option<Value>,
}

const RUN: &[u8] = b",\"run\":";

/// The first bytes of the last line.
const END: &[u8] = b"{\"shard\":";

/// The name of the image of a line: `file` in lines of `embed`.
#[derive(Deserialize)]
struct Name<'a> {
    #[serde(borrow, alias = "file")]
    path: Cow<'a, str>,
}

/// Copies the lines about images, which must be those that the last line counts.
fn copy(part: &Part<End>, parts: &[Part<End>], mut keys: Option<&mut Keys>, out: &mut impl Write) -> Result<()> {
    let End { end, suffix } = &part.content;
    let failed = || format!("cannot read `{}`", part.path.display());
    if !part.record.has_images(end.rows.checked_add(end.errors)) {
        return Err(part.damaged("has counts that do not belong together"));
    }
    let mut reader = BufReader::with_capacity(1 << 20, File::open(&part.path).with_context(failed)?);
    let mut line = Vec::new();
    for number in 1..=end.rows {
        line.clear();
        reader.read_until(b'\n', &mut line).with_context(failed)?;
        if !line.ends_with(suffix) || line.starts_with(END) || line.len() == suffix.len() {
            let problem = format!("has a line {number} that is not of its run, whose {} lines it counts", end.rows);
            return Err(part.damaged(problem));
        }
        if let Some(keys) = &mut keys {
            let Name { path } =
                serde_json::from_slice(&line).with_context(|| format!("{} has a damaged line", part.name()))?;
            keys.add(&path, part, parts)?;
        }
        out.write_all(&line).context("cannot write the lines")?;
    }
    line.clear();
    reader.read_until(b'\n', &mut line).with_context(failed)?;
    let rest = reader.fill_buf().with_context(failed)?.len();
    if !line.ends_with(suffix) || !line.starts_with(END) || rest > 0 {
        return Err(part.damaged(format_args!("has more lines than the {} it counts", end.rows)));
    }
    Ok(())
}
