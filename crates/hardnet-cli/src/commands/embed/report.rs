//! The summary of a run as text and as JSON.

use std::path::PathBuf;

use hardnet_data::Exif;
use hardnet_eval::{EvalSummary, PipelineRecord, ToolRecord};
use hardnet_model::FeatureInfo;
use serde::Serialize;

use super::EmbedArgs;
use crate::format::counted;
use crate::model::{EmbeddingModel, WeightsOrigin};
use crate::report::{self, Seconds};

/// Output of `hardnet embed --json`. Field names are API.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    schema_version: u32,
    tool: ToolRecord,
    model: String,
    weights: WeightsOrigin,
    engine: &'static str,
    device: String,
    threads: usize,
    workers: usize,
    batch_size: usize,
    data: Data,
    pipeline: PipelineRecord,
    decoder: &'static str,
    /// Whether images were turned by the orientation in their EXIF data.
    exif: Exif,
    /// Images of this run with an orientation other than upright, which was applied or ignored.
    oriented: usize,
    stage: StageReport,
    /// Shape of a row.
    shape: Vec<usize>,
    /// Rows, those of earlier runs included.
    embedded: usize,
    /// Images that could not be read and have no row.
    pub(super) errors: usize,
    /// Images that earlier runs had done.
    resumed: usize,
    /// The files, the rows first; none if the run was stopped.
    written: Vec<String>,
    seconds: Seconds,
    images_per_second: Option<f64>,
    /// Whether the run was stopped before its last image.
    pub(super) partial: bool,
}

/// The images that were requested.
#[derive(Debug, Serialize)]
struct Data {
    data_dir: Option<String>,
    list: Option<String>,
    /// Number of tar files of `--webdataset`.
    #[serde(skip_serializing_if = "Option::is_none")]
    tars: Option<usize>,
    /// Number of images, including unreadable ones.
    images: usize,
}

/// Where the values come from.
#[derive(Debug, Serialize)]
struct StageReport {
    module: String,
    channels: usize,
    stride: usize,
    /// Whether the values are the means of the channels.
    pooled: bool,
    #[serde(skip)]
    text: String,
}

/// The images and their outcome.
pub(super) struct Counts {
    /// Number of tar files, if they come from some.
    pub(super) tars: Option<usize>,
    /// Number of images, if it was known before they were read.
    pub(super) images: usize,
    pub(super) embedded: usize,
    pub(super) errors: usize,
    pub(super) resumed: usize,
}

/// The feature map in words.
pub(super) fn describe(maps: bool, info: &FeatureInfo) -> String {
    let what = if maps { "output" } else { "mean of each channel" };
    format!("{what} of {}, {} channels, stride {}", info.module, info.channels, info.stride)
}

impl Report {
    pub(super) fn new(
        args: &EmbedArgs,
        model: &EmbeddingModel,
        summary: &EvalSummary,
        counts: Counts,
        written: &[PathBuf],
    ) -> Self {
        let seconds = Seconds {
            total: summary.total.as_secs_f64(),
            loading: summary.loading.as_secs_f64(),
            network: summary.network.as_secs_f64(),
        };
        let path = |path: &PathBuf| path.display().to_string();
        let info = model.embedder.info();
        Self {
            schema_version: 1,
            tool: report::tool(),
            model: model.name.clone(),
            weights: model.weights.clone(),
            engine: model.embedder.engine().name(),
            device: model.device_name.clone(),
            threads: crate::knobs::threads(),
            workers: args.workers(),
            batch_size: args.batch_size,
            data: Data {
                data_dir: args.folder(),
                list: args.list.as_ref().map(path),
                tars: counts.tars,
                images: if counts.tars.is_some() { counts.embedded + counts.errors } else { counts.images },
            },
            pipeline: model.embedder.pipeline().clone().into(),
            decoder: hardnet_data::JPEG_DECODER,
            exif: model.embedder.pipeline().decode_options().exif,
            oriented: summary.oriented,
            stage: StageReport {
                module: info.module.clone(),
                channels: info.channels,
                stride: info.stride,
                pooled: !args.maps,
                text: describe(args.maps, info),
            },
            shape: model.embedder.shape(),
            embedded: counts.embedded,
            errors: counts.errors,
            resumed: counts.resumed,
            written: written.iter().map(path).collect(),
            images_per_second: (seconds.total > 0.0).then(|| summary.images as f64 / seconds.total),
            seconds,
            partial: summary.stopped,
        }
    }

    /// The result as lines of text, the paths last.
    pub(super) fn lines(&self) -> Vec<String> {
        let shape: Vec<_> = self.shape.iter().map(usize::to_string).collect();
        let mut lines = vec![format!("rows   {} x {}  ({})", self.embedded, shape.join(" x "), self.stage.text)];
        let Seconds { total, loading, network } = self.seconds;
        lines.push(format!(
            "speed  {:.1} images/s  ({total:.1} s: {network:.1} s in the network, {loading:.1} s waiting for images)",
            self.images_per_second.unwrap_or(0.0)
        ));
        if self.resumed > 0 {
            lines.push(format!("{} had been done before", counted(self.resumed, "image")));
        }
        if self.errors > 0 {
            lines.push(format!("errors {} could not be read and have no row", counted(self.errors, "image")));
        }
        if self.partial {
            let done = self.embedded + self.errors;
            let of = if self.data.tars.is_some() { String::new() } else { format!(" of {}", self.data.images) };
            lines.push(format!("partial: stopped after {done}{of} images"));
        }
        lines.extend(self.written.iter().cloned());
        lines
    }
}
