//! The result of `hardnet quantize`.

use hardnet_eval::ToolRecord;
use hardnet_params::{Metadata, WeightsFile};
use hardnet_quantize::{Agreement, LayerErrors, LayerReport, Quantized};
use serde::Serialize;

use super::QuantizeArgs;
use crate::format::counted;
use crate::model::name_of;

/// Result of a quantization. Field names are API.
#[derive(Serialize)]
pub(super) struct QuantizeReport {
    pub(super) schema_version: u32,
    pub(super) tool: ToolRecord,
    /// Path, tag or address of the weights in f32, as the user gave it.
    pub(super) weights: String,
    pub(super) sha256: String,
    pub(super) model: String,
    pub(super) classes: usize,
    /// How ranges were found.
    pub(super) method: String,
    /// Images whose maps were measured for ranges and means.
    pub(super) calibration_images: usize,
    pub(super) equalized: bool,
    /// Bytes of the file, and of the file in f32 or what it was.
    pub(super) bytes: usize,
    pub(super) source_bytes: usize,
    pub(super) layers: Vec<Layer>,
    /// Against f32, on the images of `--images`.
    pub(super) agreement: Option<Measured>,
    /// The same, of a segmentation network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pixels: Option<PixelAgreement>,
    pub(super) written: String,
}

/// A layer with a map of bytes.
#[derive(Serialize)]
pub(super) struct Layer {
    #[serde(flatten)]
    pub(super) report: LayerReport,
    /// Signal to noise of its map against f32 in dB, on the images of `--images`.
    pub(super) map_db: Option<f64>,
}

/// Agreement of a segmentation network in integers with f32.
#[derive(Clone, Serialize)]
pub(super) struct PixelAgreement {
    pub(super) path: String,
    pub(super) images: usize,
    /// Images that could not be read.
    pub(super) errors: usize,
    pub(super) pixels: u64,
    /// Pixels of the same class.
    pub(super) same_class: u64,
    /// The percentage of them in the image where it is least.
    pub(super) least_percent: f64,
}

impl PixelAgreement {
    pub(super) fn new(path: &str) -> Self {
        Self { path: path.into(), images: 0, errors: 0, pixels: 0, same_class: 0, least_percent: 100.0 }
    }

    /// Adds the classes of an image's pixels.
    pub(super) fn add(&mut self, original: &[u8], other: &[u8]) {
        let same = original.iter().zip(other).filter(|(a, b)| a == b).count();
        self.images += 1;
        self.pixels += original.len() as u64;
        self.same_class += same as u64;
        self.least_percent = self.least_percent.min(100.0 * same as f64 / original.len().max(1) as f64);
    }

    pub(super) fn percent(&self) -> f64 {
        100.0 * self.same_class as f64 / self.pixels.max(1) as f64
    }
}

/// Agreement of integers with f32.
#[derive(Clone, Serialize)]
pub(super) struct Measured {
    pub(super) path: String,
    pub(super) images: usize,
    /// Images that could not be read.
    pub(super) errors: usize,
    /// Images of the same most probable class.
    pub(super) same_class: usize,
    pub(super) same_class_percent: Option<f64>,
    /// Mean and greatest Kullback-Leibler divergence of the probabilities from those in f32, in nats.
    pub(super) mean_kl: Option<f64>,
    pub(super) greatest_kl: f64,
    /// Signal to noise of the logits in dB.
    pub(super) logits_db: Option<f64>,
    /// Images whose maps were compared.
    pub(super) images_with_maps: usize,
    #[serde(skip)]
    layers: Vec<(String, Option<f64>)>,
}

impl Measured {
    pub(super) fn new(path: &str, agreement: &Agreement, layers: &LayerErrors, errors: usize) -> Self {
        Self {
            path: path.into(),
            images: agreement.images,
            errors,
            same_class: agreement.same_class,
            same_class_percent: agreement.same_share().map(|share| 100.0 * share),
            mean_kl: agreement.mean_kl(),
            greatest_kl: agreement.greatest_kl,
            logits_db: agreement.decibels(),
            images_with_maps: layers.images(),
            layers: layers.decibels(),
        }
    }
}

impl QuantizeReport {
    pub(super) fn new(
        args: &QuantizeArgs,
        weights: &WeightsFile,
        metadata: &Metadata,
        quantized: &Quantized,
        bytes: usize,
        agreement: Option<Measured>,
    ) -> Self {
        let made = metadata.quantization.as_ref();
        let measured = |name: &str| {
            let layers = agreement.iter().flat_map(|measured| &measured.layers);
            layers.into_iter().find(|(layer, _)| layer == name).and_then(|(_, decibels)| *decibels)
        };
        let layer = |report: &LayerReport| Layer { report: report.clone(), map_db: measured(&report.name) };
        Self {
            schema_version: 1,
            tool: crate::report::tool(),
            weights: args.weights.to_string(),
            sha256: metadata.source.as_ref().map_or(String::new(), |source| source.sha256.clone()),
            model: name_of(weights.config()),
            classes: weights.config().classes(),
            method: made.map_or(String::new(), |made| made.method.clone()),
            calibration_images: made.map_or(0, |made| made.images),
            equalized: !args.no_equalize,
            bytes,
            source_bytes: weights.checkpoint().byte_count(),
            layers: quantized.report().iter().map(layer).collect(),
            agreement,
            pixels: None,
            written: args.output.display().to_string(),
        }
    }

    /// The integer layer whose weights suffer most from rounding.
    pub(super) fn worst(&self) -> Option<(&Layer, f64)> {
        let layers = self.layers.iter().filter_map(|layer| Some((layer, layer.report.weights_db?)));
        layers.min_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// The result as lines of text.
    pub(super) fn lines(&self) -> Vec<String> {
        let share = 100.0 * self.bytes as f64 / (self.source_bytes.max(1)) as f64;
        let mut lines =
            vec![format!("{} bytes, {share:.0} % of {}; ranges: {}", self.bytes, self.source_bytes, self.method)];
        let integer = self.layers.iter().filter(|layer| layer.report.integer).count();
        if let Some((layer, decibels)) = self.worst() {
            let name = &layer.report.name;
            lines.push(format!("{integer} integer layers; rounded weights: {decibels:.1} dB at least, in `{name}`"));
        }
        if let Some(measured) = &self.agreement {
            lines.push(format!(
                "same class as f32: {} of {} images ({:.2} %)",
                measured.same_class,
                measured.images,
                measured.same_class_percent.unwrap_or(0.0)
            ));
            lines.push(format!(
                "divergence of probabilities: {:.5} nats in the mean, {:.3} at most; logits {:.1} dB",
                measured.mean_kl.unwrap_or(0.0),
                measured.greatest_kl,
                measured.logits_db.unwrap_or(f64::INFINITY)
            ));
        }
        if let Some(pixels) = &self.pixels {
            lines.push(format!(
                "same class as f32: {:.2} % of the pixels of {}, {:.2} % of those of the worst",
                pixels.percent(),
                counted(pixels.images, "image"),
                pixels.least_percent
            ));
        }
        lines
    }
}
