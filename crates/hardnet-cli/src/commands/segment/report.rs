//! The summary of a run as text and as JSON.

use std::path::PathBuf;

use hardnet_eval::ToolRecord;
use serde::Serialize;

use super::{Format, Outcome, SegmentArgs};
use crate::format::counted;
use crate::model::WeightsOrigin;
use crate::report::{self, Seconds};
use crate::segmentation::{ProtocolRecord, SegmentationModel};

/// Output of `hardnet segment --json`. Field names are API.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    schema_version: u32,
    tool: ToolRecord,
    model: String,
    weights: WeightsOrigin,
    engine: &'static str,
    threads: usize,
    workers: usize,
    /// Names of the classes.
    classes: Vec<String>,
    /// Number of images, including unreadable ones.
    images: usize,
    preprocessing: ProtocolRecord,
    /// Images of this run with an orientation other than upright, which was applied or ignored.
    oriented: usize,
    formats: Vec<&'static str>,
    /// Images with masks, those of earlier runs included.
    segmented: usize,
    /// Images that could not be read.
    pub(super) errors: usize,
    /// Images that earlier runs had done.
    resumed: usize,
    /// The folder of the masks.
    output: String,
    /// The file of lines; none if the run was stopped.
    areas: Option<String>,
    seconds: Seconds,
    images_per_second: Option<f64>,
    /// Whether the run was stopped before its last image.
    pub(super) partial: bool,
}

/// The outcome of the images.
pub(super) struct Counts {
    pub(super) segmented: usize,
    pub(super) errors: usize,
    pub(super) resumed: usize,
}

impl Report {
    pub(super) fn new(
        args: &SegmentArgs,
        formats: &[Format],
        model: &SegmentationModel,
        images: usize,
        outcome: &Outcome,
        counts: &Counts,
        written: Option<PathBuf>,
    ) -> Self {
        let seconds = Seconds {
            total: outcome.times.total.as_secs_f64(),
            loading: outcome.times.loading.as_secs_f64(),
            network: outcome.times.network.as_secs_f64(),
        };
        Self {
            schema_version: 1,
            tool: report::tool(),
            model: model.name.clone(),
            weights: model.weights.clone(),
            engine: model.segmenter.engine(),
            threads: crate::knobs::threads(),
            workers: args.workers,
            classes: model.segmenter.classes().names.clone(),
            images,
            preprocessing: model.protocol_record(),
            oriented: outcome.oriented,
            formats: formats.iter().map(|format| format.name()).collect(),
            segmented: counts.segmented,
            errors: counts.errors,
            resumed: counts.resumed,
            output: args.output.display().to_string(),
            areas: written.map(|path| path.display().to_string()),
            images_per_second: (seconds.total > 0.0).then(|| outcome.images as f64 / seconds.total),
            seconds,
            partial: outcome.stopped,
        }
    }

    /// The result as lines of text, the path last.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "masks  {} in `{}`  ({})",
            counted(self.segmented, "image"),
            self.output,
            self.formats.join(", ")
        )];
        lines.push(report::speed(self.images_per_second, self.seconds));
        if self.resumed > 0 {
            lines.push(format!("{} had been done before", counted(self.resumed, "image")));
        }
        if self.errors > 0 {
            lines.push(format!("errors {} could not be read and have no mask", counted(self.errors, "image")));
        }
        if self.partial {
            lines.push(format!("partial: stopped after {} of {} images", self.segmented + self.errors, self.images));
        }
        lines.extend(self.areas.clone());
        lines
    }
}
