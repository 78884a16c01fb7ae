//! `--report`: the result as one self-contained HTML page, without scripts or external files.
//!
//! [`document`] assembles the page from its sections, one file each.

mod calibration;
mod classes;
mod confusion;
mod document;
mod mistakes;
mod settings;
mod summary;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use hardnet_classifier::Labels;
use hardnet_data::{Pipeline, Sample};
use hardnet_eval::{Breakdown, Metric, Mistake};

use crate::failure::Result;
use crate::output::OutputFile;
use crate::page::thumbnails;
use crate::report::EvalReport;

/// Number of mistakes that are shown as images.
const PICTURES: usize = 24;

/// Options of the page.
#[derive(Args, Clone, Debug)]
pub(crate) struct PageArgs {
    /// Write an HTML report to DIR/index.html: accuracy by class, confusion, calibration, worst mistakes; to
    /// DIR/index.PIPELINE.html with several pipelines
    #[arg(long, value_name = "DIR", group = "written")]
    report: Option<PathBuf>,
}

/// A page that is being written.
pub(super) struct Page {
    file: OutputFile,
    path: PathBuf,
    breakdown: Breakdown,
}

/// Content of a page.
struct Content<'a> {
    report: &'a EvalReport,
    classes: usize,
    labels: &'a Labels,
    breakdown: &'a Breakdown,
    pictures: Vec<Picture<'a>>,
}

impl Content<'_> {
    /// Short name of a class: the first of ImageNet's synonyms.
    fn short_name(&self, class: usize) -> String {
        let name = self.labels.name(class);
        match name.split_once(", ") {
            Some((first, _)) if self.labels.is_imagenet() => first.into(),
            _ => name.into(),
        }
    }
}

/// A mistake with its image.
struct Picture<'a> {
    mistake: Mistake,
    name: &'a str,
    /// Input of the network as PNG; `None` if the file can no longer be read.
    png: Option<Vec<u8>>,
}

impl PageArgs {
    /// Creates the file of a page that is written at once. An existing page is replaced only with `force`.
    pub(super) fn create(&self, force: bool) -> Result<Option<OutputFile>> {
        let Some(folder) = &self.report else { return Ok(None) };
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create folder `{}`", folder.display()))?;
        OutputFile::create(&folder.join("index.html"), force).map(Some)
    }

    /// Whether a page is asked for.
    pub(super) fn is_given(&self) -> bool {
        self.report.is_some()
    }

    /// Creates the file `name` before the evaluation starts. An existing page is replaced only with `force`.
    pub(super) fn open(&self, name: PathBuf, force: bool) -> Result<Option<Page>> {
        let Some(folder) = &self.report else { return Ok(None) };
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create folder `{}`", folder.display()))?;
        let path = folder.join(name);
        let file = OutputFile::create(&path, force)?;
        Ok(Some(Page { file, path, breakdown: Breakdown::new(PICTURES) }))
    }
}

impl Page {
    /// Adds the logits of an image.
    pub(super) fn add(&mut self, sample: usize, logits: &[f32], label: usize) {
        self.breakdown.add(sample, logits, &label);
    }

    /// Writes the page after the evaluation.
    pub(super) fn finish(
        mut self,
        report: &EvalReport,
        labels: &Labels,
        samples: &[Sample],
        pipeline: &Pipeline,
    ) -> Result<()> {
        let mistakes = self.breakdown.mistakes();
        let shown: Vec<Sample> = mistakes.iter().map(|mistake| samples[mistake.image].clone()).collect();
        let pngs = thumbnails::of(shown, pipeline)?;
        let picture =
            |(mistake, png): (&Mistake, _)| Picture { mistake: *mistake, name: samples[mistake.image].name(), png };
        let pictures = mistakes.iter().zip(pngs).map(picture).collect();
        let page =
            document::page(&Content { report, classes: labels.len(), labels, breakdown: &self.breakdown, pictures });
        let failed = || format!("cannot write `{}`", self.path.display());
        let mut writer = self.file.writer();
        writer.write_all(page.as_bytes()).and_then(|()| writer.flush()).with_context(failed)?;
        drop(writer);
        self.file.finish()
    }
}
