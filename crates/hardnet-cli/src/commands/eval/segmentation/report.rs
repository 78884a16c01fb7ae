//! The result of an evaluation as text, CSV and JSON.

use std::borrow::Cow;

use hardnet_eval::ToolRecord;
use hardnet_segmentation::{Confusion, Figures};
use serde::{Deserialize, Serialize};

use super::data::{DataRecord, Images};
use super::page::PageParts;
use crate::failure::Result;
use crate::model::WeightsOrigin;
use crate::report::{self, Seconds};
use crate::segmentation::{ProtocolRecord, SegmentationModel};
use crate::shards::ShardRecord;

/// The `task` of a result.
pub(crate) const TASK: &str = "segmentation";

/// Output of `hardnet eval --json` for segmentation networks. Field names are API.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SegmentationReport {
    schema_version: u32,
    pub(super) tool: ToolRecord,
    pub(crate) task: Cow<'static, str>,
    pub(super) model: String,
    pub(super) weights: WeightsOrigin,
    pub(super) engine: Cow<'static, str>,
    pub(super) threads: usize,
    pub(super) workers: usize,
    pub(super) data: DataRecord,
    /// Of a result of `--shard`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) shard: Option<ShardRecord>,
    pub(super) preprocessing: ProtocolRecord,
    // Found again from the confusion: JSON has no NaN.
    #[serde(flatten, skip_deserializing)]
    pub(super) figures: Shares,
    /// Pixels that were counted.
    pub(super) pixels: u64,
    /// Pixels of the right class.
    pub(super) correct: u64,
    pub(super) classes: Vec<ClassRow>,
    /// Pixels by true class (rows) and predicted class.
    pub(crate) confusion: Vec<Vec<u64>>,
    /// Images that could not be read; no other number includes them.
    pub(crate) errors: usize,
    /// The parts of a shard's result that `hardnet merge --report` needs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) page: Option<PageParts>,
    pub(crate) seconds: Seconds,
    pub(super) images_per_second: Option<f64>,
    /// Whether the run was stopped before its last image.
    pub(crate) partial: bool,
    #[serde(skip)]
    pub(super) done: usize,
    /// Images of this process.
    #[serde(skip)]
    pub(super) own: usize,
}

/// Shares of 0 to 1; null where nothing was counted.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Shares {
    pub(super) mean_iou: f64,
    pub(super) pixel_accuracy: f64,
    pub(super) mean_accuracy: f64,
    pub(super) frequency_weighted_iou: f64,
}

/// A class.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ClassRow {
    pub(super) class: usize,
    pub(super) name: String,
    #[serde(skip_deserializing)]
    pub(super) iou: f64,
    #[serde(skip_deserializing)]
    pub(super) accuracy: f64,
    /// Pixels of the class.
    pub(super) pixels: u64,
    /// Pixels that were predicted as it.
    pub(super) predicted: u64,
}

/// Numbers of images by outcome.
pub(super) struct Run {
    pub(super) workers: usize,
    pub(super) errors: usize,
    pub(super) done: usize,
    pub(super) own: usize,
    pub(super) shard: Option<ShardRecord>,
    pub(super) seconds: Seconds,
    pub(super) stopped: bool,
}

/// A line of `--predictions`. Field names are API; `docs/segmentation.md` describes them.
#[derive(Serialize)]
pub(super) struct ImageLine<'a> {
    file: &'a str,
    mean_iou: f64,
    pixel_accuracy: f64,
    pixels: u64,
    correct: u64,
    iou: Vec<f64>,
}

impl<'a> ImageLine<'a> {
    pub(super) fn new(file: &'a str, confusion: &Confusion) -> Self {
        let Figures { mean_iou, pixel_accuracy, iou, .. } = confusion.figures();
        Self { file, mean_iou, pixel_accuracy, pixels: confusion.total(), correct: confusion.correct(), iou }
    }

    pub(super) fn bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

impl SegmentationReport {
    pub(super) fn new(model: &SegmentationModel, images: &Images, confusion: &Confusion, run: Run) -> Self {
        let names = &model.segmenter.classes().names;
        let row = |(class, name): (usize, &String)| ClassRow {
            class,
            name: name.clone(),
            iou: f64::NAN,
            accuracy: f64::NAN,
            pixels: 0,
            predicted: 0,
        };
        let mut report = Self {
            schema_version: 1,
            tool: report::tool(),
            task: TASK.into(),
            model: model.name.clone(),
            weights: model.weights.clone(),
            engine: model.segmenter.engine().into(),
            threads: crate::knobs::threads(),
            workers: run.workers,
            data: images.data.clone(),
            shard: run.shard,
            preprocessing: model.protocol_record(),
            classes: names.iter().enumerate().map(row).collect(),
            figures: Shares::default(),
            pixels: 0,
            correct: 0,
            confusion: Vec::new(),
            errors: 0,
            page: None,
            images_per_second: None,
            seconds: Seconds::default(),
            partial: run.stopped,
            done: run.done,
            own: run.own,
        };
        report.count(confusion, (run.done - run.errors, run.errors), run.seconds);
        report
    }

    /// The number of classes.
    pub(crate) fn classes(&self) -> usize {
        self.classes.len()
    }

    /// Mean IoU, 0 to 1; NaN if nothing was counted.
    pub(crate) fn mean_iou(&self) -> f64 {
        self.figures.mean_iou
    }

    /// The number of pixels that were counted.
    pub(crate) fn pixels(&self) -> u64 {
        self.pixels
    }

    /// Sets all numbers to those of `confusion`, which was counted over so many images in `seconds`, apart from others
    /// that could not be read.
    pub(crate) fn count(&mut self, confusion: &Confusion, (images, errors): (usize, usize), seconds: Seconds) {
        let figures = confusion.figures();
        let (truth, predicted) = (confusion.true_pixels(), confusion.predicted_pixels());
        for (class, row) in self.classes.iter_mut().enumerate().take(confusion.classes()) {
            (row.iou, row.accuracy) = (figures.iou[class], figures.accuracy[class]);
            (row.pixels, row.predicted) = (truth[class], predicted[class]);
        }
        self.figures = Shares {
            mean_iou: figures.mean_iou,
            pixel_accuracy: figures.pixel_accuracy,
            mean_accuracy: figures.mean_accuracy,
            frequency_weighted_iou: figures.frequency_weighted_iou,
        };
        (self.pixels, self.correct) = (confusion.total(), confusion.correct());
        self.confusion = confusion.rows().map(<[u64]>::to_vec).collect();
        (self.done, self.errors) = (images + errors, errors);
        self.images_per_second = (seconds.total > 0.0).then(|| images as f64 / seconds.total);
        self.seconds = seconds;
    }

    /// The result as lines of text.
    pub(super) fn lines(&self) -> Vec<String> {
        let Shares { mean_iou, pixel_accuracy, mean_accuracy, frequency_weighted_iou } = self.figures;
        let counted = self.classes.iter().filter(|row| !row.iou.is_nan()).count();
        let mut lines = vec![
            format!("mean IoU            {}  ({counted} of {} classes)", percent(mean_iou), self.classes.len()),
            format!("pixel accuracy      {}  ({} of {})", percent(pixel_accuracy), self.correct, self.pixels),
            format!("mean accuracy       {}", percent(mean_accuracy)),
            format!("weighted by pixels  {}", percent(frequency_weighted_iou)),
            String::new(),
        ];
        let width = self.classes.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).max(5);
        lines.push(format!("{:width$}  {:>9}  {:>9}  {:>12}", "class", "IoU", "accuracy", "pixels"));
        for ClassRow { name, iou, accuracy, pixels, .. } in &self.classes {
            lines.push(format!("{name:width$}  {:>9}  {:>9}  {pixels:>12}", percent(*iou), percent(*accuracy)));
        }
        lines.push(String::new());
        lines.push(report::speed(self.images_per_second, self.seconds));
        if self.errors > 0 {
            lines.push(format!("errors {} images could not be read and are not included above", self.errors));
        }
        if self.partial {
            lines.push(format!("partial: stopped after {} of {} images", self.done, self.own));
        }
        lines
    }

    /// The classes as CSV. Names of the columns are API.
    pub(crate) fn csv(&self) -> String {
        let number = |share: f64| if share.is_nan() { String::new() } else { format!("{:.4}", 100.0 * share) };
        let row = |row: &ClassRow| {
            let name = row.name.replace('"', "\"\"");
            let name = if name.contains([',', '"', '\n', '\r']) { format!("\"{name}\"") } else { name };
            let (iou, accuracy) = (number(row.iou), number(row.accuracy));
            format!("{},{name},{iou},{accuracy},{},{}\n", row.class, row.pixels, row.predicted)
        };
        let rows: String = self.classes.iter().map(row).collect();
        format!("class,name,iou_percent,accuracy_percent,pixels,predicted_pixels\n{rows}")
    }
}

/// A share in percent; a dash if there is none.
fn percent(share: f64) -> String {
    if share.is_nan() { "-".into() } else { format!("{:.2} %", 100.0 * share) }
}
