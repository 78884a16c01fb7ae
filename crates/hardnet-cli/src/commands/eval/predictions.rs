//! `--predictions`: one JSON document a line for every image read.

use std::path::Path;

use hardnet_classifier::Labels;
use hardnet_eval::{LineFields, PredictionLine, RunRecord, ScoredImage, append_line};

use crate::failure::Result;
use crate::labels::hits;
use crate::output::OutputFile;
use crate::report::EvalReport;
use crate::shards::{ShardEnd, ShardRecord};

/// Classes in a line.
const TOP: usize = 5;

/// Size of the write buffer.
const TOGETHER: usize = 64 << 10;

/// A file of predictions that appears when it is complete.
pub(super) struct Predictions {
    file: OutputFile,
    /// The description of the run, the same in all lines.
    run: RunRecord,
    lines: Vec<u8>,
}

impl Predictions {
    /// Creates the file `path`. An existing file is replaced only with `force`.
    pub(super) fn create(path: &Path, force: bool, run: RunRecord) -> Result<Self> {
        Ok(Self { file: OutputFile::create(path, force)?, run, lines: Vec::new() })
    }

    /// Writes the line of an image of class `label`.
    pub(super) fn write(&mut self, image: &ScoredImage<'_>, label: usize, labels: &Labels) -> Result<()> {
        let (top, fields) = (hits(labels, image.logits, TOP), LineFields::new(image.info, &self.run));
        append_line(&mut self.lines, &PredictionLine::new(image.sample.name(), top, fields).label(label))?;
        if self.lines.len() >= TOGETHER { self.flush() } else { Ok(()) }
    }

    /// Gives the complete file its name.
    ///
    /// The file of a shard ends in a line that says so.
    pub(super) fn finish(mut self, shard: Option<&ShardRecord>, report: &EvalReport) -> Result<()> {
        if let Some(shard) = shard {
            let end = ShardEnd {
                shard: shard.clone(),
                rows: report.top1.total,
                errors: report.errors,
                shape: None,
                labeled: None,
                partial: report.partial,
                run: self.run.clone(),
            };
            append_line(&mut self.lines, &end)?;
        }
        self.flush()?;
        self.file.finish()
    }

    fn flush(&mut self) -> Result<()> {
        self.file.append(&self.lines)?;
        self.lines.clear();
        Ok(())
    }
}
