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

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use hardnet_classifier::Labels;
use hardnet_data::{Pipeline, Sample};
use hardnet_eval::{Breakdown, Metric, Mistake, Proportion};
use serde::{Deserialize, Serialize};

use super::per_class::is_of;
use crate::failure::Result;
use crate::output::OutputFile;
use crate::page::html::base64;
use crate::page::thumbnails;
use crate::report::EvalReport;

/// Number of mistakes that are shown as images.
const PICTURES: usize = 24;

/// Options of the page.
#[derive(Args, Clone, Debug)]
pub(crate) struct PageArgs {
    /// Write an HTML report to DIR/index.html: accuracy by class, confusion, calibration, worst mistakes; to
    /// DIR/index.PIPELINE.html with several pipelines. With --shard the result has what `hardnet merge --report` writes
    #[arg(long, value_name = "DIR", group = "written")]
    report: Option<PathBuf>,
}

/// Counts what a page shows.
pub(super) struct Page {
    breakdown: Breakdown,
    /// The number of the first image.
    first: usize,
}

/// The contents of a report besides its figures, for all images or for a shard. Field names are API.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PageParts {
    breakdown: Breakdown,
    /// The images of its mistakes.
    pictures: Vec<MistakenImage>,
}

/// The image of a mistake.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct MistakenImage {
    name: String,
    /// Input of the network as PNG; `None` if the file can no longer be read.
    #[serde(with = "base64::optional")]
    png: Option<Vec<u8>>,
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
    png: Option<&'a [u8]>,
}

impl PageArgs {
    /// The folder of the page, if one is asked for.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.report.as_deref()
    }
}

/// Creates the file `name` of a page in `folder`, which is created. An existing page is replaced only with `force`.
pub(crate) fn create(folder: &Path, name: &Path, force: bool) -> Result<OutputFile> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create folder `{}`", folder.display()))?;
    OutputFile::create(&folder.join(name), force)
}

impl Page {
    /// Counts images from number `first` on.
    pub(super) fn new(first: usize) -> Self {
        Self { breakdown: Breakdown::new(PICTURES), first }
    }

    /// Adds the logits of the image that is number `sample` of those counted here.
    pub(super) fn add(&mut self, sample: usize, logits: &[f32], label: usize) {
        self.breakdown.add(self.first + sample, logits, &label);
    }

    /// What the page shows, with pictures of `samples`, which are the images counted here.
    pub(super) fn parts(self, samples: &[Sample], pipeline: &Pipeline) -> Result<PageParts> {
        let mistakes = self.breakdown.mistakes();
        let shown: Vec<Sample> = mistakes.iter().map(|mistake| samples[mistake.image - self.first].clone()).collect();
        let names: Vec<String> = shown.iter().map(|sample| sample.name().to_owned()).collect();
        let pngs = thumbnails::of(shown, pipeline)?;
        let pictures = names.into_iter().zip(pngs).map(|(name, png)| MistakenImage { name, png }).collect();
        Ok(PageParts { breakdown: self.breakdown, pictures })
    }
}

impl PageParts {
    /// The parts of all shards.
    pub(crate) fn merged<'a>(shards: impl IntoIterator<Item = &'a Self>) -> Self {
        let (mut breakdown, mut images) = (Breakdown::new(PICTURES), BTreeMap::new());
        for Self { breakdown: of_shard, pictures } in shards {
            breakdown.merge(of_shard);
            images.extend(of_shard.mistakes().iter().map(|mistake| mistake.image).zip(pictures));
        }
        let pictures = breakdown.mistakes().iter().map(|mistake| images[&mistake.image].clone()).collect();
        Self { breakdown, pictures }
    }

    /// Whether the counts are those of `report`, which is of a shard, and the classes below `classes`.
    pub(super) fn is_of(&self, report: &EvalReport, classes: usize) -> bool {
        let Some(images) = report.shard.as_ref().map(|shard| shard.first..shard.end) else { return false };
        let bins = self.breakdown.calibration().bins();
        let sum = |count: fn(Proportion) -> usize| {
            bins.iter().try_fold(0, |sum: usize, bin| sum.checked_add(count(bin.top1)).filter(|_| is_share(bin.top1)))
        };
        let mistakes = self.breakdown.mistakes();
        let mut numbers: Vec<_> = mistakes.iter().map(|mistake| mistake.image).collect();
        numbers.sort_unstable();
        numbers.dedup();
        is_of(self.breakdown.confusion(), report, classes)
            && sum(|bin| bin.total) == Some(report.top1.total)
            && sum(|bin| bin.correct) == Some(report.top1.correct)
            && mistakes.len() <= PICTURES
            && [numbers.len(), self.pictures.len()] == [mistakes.len(); 2]
            && mistakes
                .iter()
                .all(|mistake| images.contains(&mistake.image) && mistake.label.max(mistake.predicted) < classes)
    }

    /// The page as HTML.
    pub(crate) fn html(&self, report: &EvalReport, labels: &Labels) -> String {
        let mistakes = self.breakdown.mistakes().iter().zip(&self.pictures);
        let pictures = mistakes
            .map(|(mistake, image)| Picture { mistake: *mistake, name: &image.name, png: image.png.as_deref() })
            .collect();
        document::page(&Content { report, classes: labels.len(), labels, breakdown: &self.breakdown, pictures })
    }
}

fn is_share(share: Proportion) -> bool {
    share.correct <= share.total
}
