//! The result of an evaluation as text and as JSON.

use std::borrow::Cow;

use hardnet_data::Exif;
use hardnet_eval::{ExactSum, PipelineRecord, Proportion, Tally, ToolRecord};
use serde::{Deserialize, Serialize};

use crate::commands::eval::Details;
use crate::model::WeightsOrigin;
use crate::published::Comparison;
use crate::shards::ShardRecord;

/// Output of `hardnet eval --json`. Field names are API.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EvalReport {
    pub(crate) schema_version: u32,
    pub(crate) tool: ToolRecord,
    pub(crate) model: String,
    pub(crate) weights: WeightsOrigin,
    pub(crate) engine: Cow<'static, str>,
    pub(crate) device: String,
    pub(crate) threads: usize,
    pub(crate) workers: usize,
    pub(crate) batch_size: usize,
    pub(crate) data: Data,
    /// Which of several processes this result is of; all numbers are those of its images alone.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) shard: Option<ShardRecord>,
    pub(crate) pipeline: PipelineRecord,
    pub(crate) decoder: Cow<'static, str>,
    /// Whether images were turned by the orientation in their EXIF data.
    pub(crate) exif: Exif,
    /// Images with an orientation other than upright, which was applied or ignored.
    pub(crate) oriented: usize,
    pub(crate) top1: Share,
    pub(crate) top5: Share,
    /// Mean cross entropy in nats.
    pub(crate) loss: Option<f64>,
    /// Sum of the cross entropies of a shard, without loss.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) loss_sum: Option<ExactSum>,
    /// Images that could not be read; no other number includes them.
    pub(crate) errors: usize,
    /// The parts of a shard's result that `hardnet merge` needs for `--per-class` and `--report`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) details: Option<Box<Details>>,
    /// Published accuracies, for `--pipeline published`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) published: Vec<Comparison>,
    pub(crate) seconds: Seconds,
    pub(crate) images_per_second: Option<f64>,
    /// Whether the run was stopped before its last image.
    pub(crate) partial: bool,
}

/// The images that were requested.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Data {
    pub(crate) data_dir: String,
    pub(crate) val_list: Option<String>,
    /// How the labels were read: `class names`, `WordNet ids`, `indices`, `class map`, `ILSVRC2012_ID` or `sorted as
    /// text`.
    pub(crate) labels: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) class_map: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) devkit: Option<String>,
    /// Number of tar files of `--webdataset`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) tars: Option<usize>,
    /// Number of images, including unreadable ones.
    pub(crate) images: usize,
}

/// A fraction of the images that were read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Share {
    pub(crate) correct: usize,
    pub(crate) total: usize,
    pub(crate) percent: Option<f64>,
    /// 95 % interval in percent, by Wilson's score.
    pub(crate) ci95: Option<(f64, f64)>,
}

/// Time by activity.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Seconds {
    /// From the first request for an image to the last result.
    pub(crate) total: f64,
    /// Waiting for images: loading time that the network did not hide.
    pub(crate) loading: f64,
    /// In the network.
    pub(crate) network: f64,
}

/// This program.
pub(crate) fn tool() -> ToolRecord {
    ToolRecord::new(env!("CARGO_PKG_VERSION"), env!("HARDNET_COMMIT"))
}

impl From<Proportion> for Share {
    fn from(share: Proportion) -> Self {
        Self { correct: share.correct, total: share.total, percent: share.percent(), ci95: share.interval95() }
    }
}

/// The result as lines of text.
pub(crate) fn lines(tally: &Tally, report: &EvalReport) -> Vec<String> {
    let share = |name: &str, share: Proportion| match (share.percent(), share.interval95()) {
        (Some(percent), Some((low, high))) => {
            format!(
                "{name}  {percent:.2} %  ({} of {}, 95 % interval {low:.2} to {high:.2})",
                share.correct, share.total
            )
        }
        _ => format!("{name}  -  (no readable image)"),
    };
    let mut lines = vec![share("top-1", tally.top1()), share("top-5", tally.top5())];
    if let Some(loss) = tally.loss() {
        lines.push(format!("loss   {loss:.4}"));
    }
    lines.push(speed(report.images_per_second, report.seconds));
    if report.errors > 0 {
        lines.push(format!("errors {} images could not be read and are not included above", report.errors));
    }
    lines.extend(partial(report));
    lines
}

/// Speed and time as a line of text.
pub(crate) fn speed(images_per_second: Option<f64>, seconds: Seconds) -> String {
    let Seconds { total, loading, network } = seconds;
    format!(
        "speed  {:.1} images/s  ({total:.1} s: {network:.1} s in the network, {loading:.1} s waiting for images)",
        images_per_second.unwrap_or(0.0)
    )
}

/// How far a run came that was stopped.
pub(crate) fn partial(report: &EvalReport) -> Option<String> {
    let done = report.top1.total + report.errors;
    report.partial.then(|| format!("partial: stopped after {done} of {} images", report.data.images))
}
