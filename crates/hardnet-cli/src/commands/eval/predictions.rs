//! `--predictions`: one JSON document a line for every image read.

use std::path::Path;

use hardnet_classifier::Labels;
use serde::Serialize;

use crate::failure::Result;
use crate::labels::{Hit, hits};
use crate::output::OutputFile;

/// Size of the write buffer.
const TOGETHER: usize = 64 << 10;

/// A file of predictions that appears when it is complete.
pub(super) struct Predictions {
    file: OutputFile,
    lines: Vec<u8>,
}

/// One image.
#[derive(Serialize)]
struct PredictionLine<'a> {
    path: &'a str,
    label: usize,
    correct: bool,
    top: Vec<Hit>,
}

impl Predictions {
    /// Creates the file `path`. An existing file is replaced only with `force`.
    pub(super) fn create(path: &Path, force: bool) -> Result<Self> {
        Ok(Self { file: OutputFile::create(path, force)?, lines: Vec::new() })
    }

    pub(super) fn write(&mut self, path: &str, label: usize, logits: &[f32], labels: &Labels) -> Result<()> {
        let top = hits(labels, logits, 5);
        let correct = top.first().is_some_and(|hit| hit.index == label);
        serde_json::to_writer(&mut self.lines, &PredictionLine { path, label, correct, top })?;
        self.lines.push(b'\n');
        if self.lines.len() >= TOGETHER { self.flush() } else { Ok(()) }
    }

    /// Gives the complete file its name.
    pub(super) fn finish(mut self) -> Result<()> {
        self.flush()?;
        self.file.finish()
    }

    fn flush(&mut self) -> Result<()> {
        self.file.append(&self.lines)?;
        self.lines.clear();
        Ok(())
    }
}
