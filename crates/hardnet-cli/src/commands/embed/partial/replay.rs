//! `--resume` of images that are read from tar files: what is done of them is compared with what is read.

use std::fs::File;
use std::io::{BufRead, BufReader};

use anyhow::Context;

use super::{Part, Partial, Record, Settings, check_record, check_settings, count_rows, end_of_rows, foreign};
use crate::failure::Result;

/// The journal of an interrupted run.
#[derive(Debug)]
pub(super) struct Replay {
    journal: BufReader<File>,
    /// Bytes before the first row, and bytes of each row unless it is a line.
    layout: (u64, Option<u64>),
    /// Whole rows that are there.
    available: usize,
    /// Bytes of the journal, and rows, up to the images that are compared next.
    bytes: u64,
    rows: usize,
}

impl Replay {
    /// Reads the settings of the interrupted run, which must be those of this one.
    pub(super) fn open(
        rows: &mut Part,
        journal: &Part,
        settings: &Settings,
        layout: (u64, Option<u64>),
    ) -> Result<Self> {
        let cannot_read = |part: &Part| format!("cannot read `{}`", part.path.display());
        let available = count_rows(&mut rows.file, layout.0, layout.1).with_context(|| cannot_read(rows))?;
        let mut reader = BufReader::new(File::open(&journal.path).with_context(|| cannot_read(journal))?);
        let mut first = Vec::new();
        reader.read_until(b'\n', &mut first).with_context(|| cannot_read(journal))?;
        check_settings(&journal.path, &first, settings)?;
        Ok(Self { journal: reader, layout, available, bytes: first.len() as u64, rows: 0 })
    }
}

impl Partial {
    /// Whether the interrupted run had done all of the next images, which have these names and labels. If it had not,
    /// its part of them is dropped.
    pub(in super::super) fn has_next(&mut self, images: &[(String, Option<u32>)]) -> Result<bool> {
        let Some(replay) = &mut self.replay else { return Ok(false) };
        let (mut bytes, mut rows, mut line) = (replay.bytes, replay.rows, Vec::new());
        for (index, (name, label)) in images.iter().enumerate() {
            line.clear();
            let read = replay.journal.read_until(b'\n', &mut line);
            read.with_context(|| format!("cannot read `{}`", self.journal.path.display()))?;
            if !line.ends_with(b"\n") {
                self.end_replay()?;
                return Ok(false);
            }
            let index = self.done + index;
            let record: Record = serde_json::from_slice(&line).map_err(|_| foreign(&self.journal.path, index + 2))?;
            check_record(&self.journal.path.display().to_string(), index, &record, Some((name, *label)))?;
            bytes += line.len() as u64;
            rows += usize::from(record.error.is_none());
        }
        if rows > replay.available {
            self.end_replay()?;
            return Ok(false);
        }
        self.done += images.len();
        self.failed += images.len() - (rows - replay.rows);
        (replay.bytes, replay.rows) = (bytes, rows);
        Ok(true)
    }

    /// Drops what the interrupted run had done beyond the images that were compared. What follows is appended.
    fn end_replay(&mut self) -> Result<()> {
        let Some(replay) = self.replay.take() else { return Ok(()) };
        let Replay { layout: (head, row_bytes), bytes, rows, .. } = replay;
        let end = end_of_rows(&mut self.rows.file, head, row_bytes, rows);
        let dropped = end.and_then(|end| self.rows.truncate(end)).and_then(|()| self.journal.truncate(bytes));
        Ok(dropped.with_context(|| format!("cannot continue `{}`", self.rows.path.display()))?)
    }

    /// Returns an error if the interrupted run had done more images than there are.
    pub(in super::super) fn has_no_more(&mut self) -> Result<()> {
        let Some(replay) = &mut self.replay else { return Ok(()) };
        let mut line = Vec::new();
        let read = replay.journal.read_until(b'\n', &mut line);
        read.with_context(|| format!("cannot read `{}`", self.journal.path.display()))?;
        if line.ends_with(b"\n") {
            let record: Record =
                serde_json::from_slice(&line).map_err(|_| foreign(&self.journal.path, self.done + 2))?;
            check_record(&self.journal.path.display().to_string(), self.done, &record, None)?;
        }
        self.end_replay()
    }
}
