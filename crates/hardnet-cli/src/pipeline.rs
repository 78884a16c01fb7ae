//! The choice of the preprocessing pipeline: `--img-size` and its siblings change parts of what `--pipeline`, the
//! weights file's metadata or the network's default gives, in this order.

mod several;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use hardnet_classifier::{PipelineOrigin, pipeline_of};
use hardnet_data::{CropMode, Exif, Pipeline, Resampling};
use hardnet_model::{Config, WeightsFile};
use hardnet_segmentation::{Protocol, protocol_of};

use crate::failure::{Failure, Hinted, Result};
use crate::format::{fraction, positive};
use crate::printer::Printer;
pub(crate) use several::{ChosenPipeline, PipelinesArgs, path_of_pipeline};

/// Number of classes of the published networks.
const IMAGENET_CLASSES: usize = 1000;

/// Options of the preprocessing.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Preprocessing")]
pub(crate) struct PipelineArgs {
    /// Preprocessing pipeline: pil-bilinear (PyTorch), pil-bicubic (the Paddle notebook), paddleclas or paddle-cv2 (the
    /// notebook's other backend) [default: from the weights]
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(names()))]
    pipeline: Option<String>,
    #[command(flatten)]
    changes: PipelineChanges,
}

/// Options that change a pipeline.
#[derive(Args, Clone, Debug)]
pub(crate) struct PipelineChanges {
    /// Side of the network's square input, in pixels; the resize is scaled to match
    #[arg(long, value_name = "PIXELS", value_parser = positive::<u32>)]
    img_size: Option<u32>,
    /// Fraction of the resized image's short side that the crop keeps, such as 0.875
    #[arg(long, value_name = "FRACTION", value_parser = fraction)]
    crop_pct: Option<f64>,
    /// How an image becomes a square, as in timm: center crops the long side, squash ignores the ratio, border adds
    /// borders
    #[arg(long, value_name = "MODE", value_parser = PossibleValuesParser::new(CropMode::ALL.map(CropMode::name)))]
    crop_mode: Option<String>,
    /// Resize filter: bilinear, bicubic, ... as Pillow, cv2-linear, cv2-area, ... as OpenCV
    #[arg(long, value_name = "FILTER")]
    interpolation: Option<Resampling>,
    /// Orientation in the EXIF data of images: apply (OpenCV, viewers) or ignore (Pillow, torchvision)
    /// [default: from the pipeline]
    #[arg(long, value_name = "USE", value_parser = PossibleValuesParser::new(Exif::NAMES), hide_possible_values = true)]
    exif: Option<String>,
}

impl PipelineArgs {
    /// Whether any option is given.
    pub(crate) fn is_given(&self) -> bool {
        self.pipeline.is_some() || self.changes.first_given().is_some()
    }

    /// Whether the preprocessing of `weights` is known rather than assumed, so that a file made of them may state it:
    /// it is given or in the file, or the network is a published one.
    pub(crate) fn is_known(&self, weights: &WeightsFile) -> bool {
        let config = weights.config();
        let published = config.variant().is_some() && config.classes() == IMAGENET_CLASSES;
        published || self.is_given() || weights.metadata().is_some_and(|metadata| metadata.pipeline.is_some())
    }

    /// Chooses the pipeline, and prints the choice with its reason. `config` is the network, if it is known, and
    /// `of_file` the pipeline in its weights file.
    pub(crate) fn resolve(
        &self,
        config: Option<&Config>,
        of_file: Option<&serde_json::Value>,
        printer: &Printer,
    ) -> Result<Pipeline> {
        let (pipeline, reasons) = self.choose(config, of_file)?;
        announce(own_name(&pipeline), &pipeline, &reasons, printer);
        Ok(pipeline)
    }

    /// Returns the name in `--pipeline`, for a segmentation network, which has no other option of this group.
    #[cfg(feature = "serve")]
    pub(crate) fn name_for_segmentation(&self) -> Result<Option<&str>> {
        match self.changes.first_given() {
            Some(option) => Err(Failure::message(format!("{option} is for classifiers"))),
            None => Ok(self.pipeline.as_deref()),
        }
    }

    /// Chooses the preprocessing of the segmentation network of `config`, and prints the choice with its reason.
    pub(crate) fn protocol(
        &self,
        config: &Config,
        of_file: Option<&serde_json::Value>,
        printer: &Printer,
    ) -> Result<Protocol> {
        if let Some(option) = self.changes.first_given() {
            return Err(Failure::message(format!("{option} is for classifiers")));
        }
        let (protocol, why) = match &self.pipeline {
            Some(name) => (name.parse::<Protocol>()?, GIVEN),
            None if of_file.is_some() => (protocol_of(config, of_file)?, "from the weights file"),
            None => (protocol_of(config, None)?, "default for this network"),
        };
        printer.note(format_args!("preprocessing: {} ({why})", protocol.name().unwrap_or("custom")));
        Ok(protocol)
    }

    /// The side of the images that the network is given, chosen in the same way.
    pub(crate) fn side(&self, config: &Config, of_file: Option<&serde_json::Value>) -> Result<usize> {
        Ok(self.choose(Some(config), of_file)?.0.crop as usize)
    }

    /// The pipeline, and the reasons for it.
    fn choose(
        &self,
        config: Option<&Config>,
        of_file: Option<&serde_json::Value>,
    ) -> Result<(Pipeline, Vec<&'static str>)> {
        let (pipeline, why) = match &self.pipeline {
            Some(name) => (named(name)?, GIVEN),
            None => default_pipeline(config, of_file)?,
        };
        self.changes.apply(pipeline, why)
    }
}

impl PipelineChanges {
    /// The first option that is given, in the order in which they are applied.
    fn first_given(&self) -> Option<&'static str> {
        let Self { img_size, crop_pct, crop_mode, interpolation, exif } = self;
        let given = [
            (img_size.is_some(), "--img-size"),
            (crop_pct.is_some(), "--crop-pct"),
            (crop_mode.is_some(), "--crop-mode"),
            (interpolation.is_some(), "--interpolation"),
            (exif.is_some(), "--exif"),
        ];
        given.into_iter().find_map(|(is_given, option)| is_given.then_some(option))
    }

    /// Changes `pipeline`, which was chosen because of `why`, and adds the reasons.
    fn apply(&self, mut pipeline: Pipeline, why: &'static str) -> Result<(Pipeline, Vec<&'static str>)> {
        let mut reasons = vec![why];
        if let Some(crop) = self.img_size {
            pipeline = pipeline.with_image_size(crop);
            reasons.push("--img-size");
        }
        if let Some(fraction) = self.crop_pct {
            pipeline = pipeline.with_crop_pct(fraction)?;
            reasons.push("--crop-pct");
        }
        if let Some(mode) = &self.crop_mode {
            pipeline = pipeline.with_crop_mode(mode.parse()?);
            reasons.push("--crop-mode");
        }
        if let Some(interpolation) = self.interpolation {
            pipeline = pipeline.with_interpolation(interpolation);
            reasons.push("--interpolation");
        }
        if let Some(exif) = &self.exif {
            pipeline = pipeline.with_exif(exif.parse()?);
            reasons.push("--exif");
        }
        pipeline.validate()?;
        Ok((pipeline, reasons))
    }
}

/// The reason for a pipeline that is named.
const GIVEN: &str = "--pipeline";

/// The names of pipelines, and what else they are called.
fn names() -> impl Iterator<Item = PossibleValue> {
    // An alias of clap's would not be listed.
    Pipeline::NAMES
        .iter()
        .flat_map(|&name| [name].into_iter().chain((name == "pil-bilinear").then_some("torchvision")))
        .map(PossibleValue::new)
        // Those of segmentation networks, which `PipelineArgs::protocol` takes.
        .chain(Protocol::NAMES.map(|name| PossibleValue::new(name).hide(true)))
}

/// The pipeline of a classifier that `--pipeline` names.
fn named(name: &str) -> Result<Pipeline> {
    if Protocol::NAMES.contains(&name) {
        return Err(Failure::message(format!("--pipeline {name} is for segmentation networks")));
    }
    Ok(name.parse()?)
}

/// Prints a pipeline under `name` with the reasons for it.
fn announce(name: &str, pipeline: &Pipeline, reasons: &[&'static str], printer: &Printer) {
    printer.note(format_args!("pipeline: {name}: {} ({})", steps(pipeline), reasons.join(", ")));
    if pipeline.convention.is_bgr() {
        printer.warn(format_args!(
            "pipeline `{name}` gives the network blue, green and red where weights expect red, green and blue"
        ));
    }
}

/// A pipeline as weights files store it: its name, or a table if it has none.
pub(crate) fn to_value(pipeline: &Pipeline) -> Result<serde_json::Value> {
    Ok(match pipeline.name() {
        Some(name) => name.into(),
        // Through text, which has the shortest digits of an f32; a value would have the digits of its f64.
        None => serde_json::from_str(&serde_json::to_string(pipeline)?)?,
    })
}

/// Describes a pipeline on one line.
pub(crate) fn describe(pipeline: &Pipeline) -> String {
    format!("{}: {}", own_name(pipeline), steps(pipeline))
}

/// The name of a pipeline, or that it has none.
fn own_name(pipeline: &Pipeline) -> &'static str {
    pipeline.name().unwrap_or("custom")
}

/// The steps of a pipeline in words.
fn steps(pipeline: &Pipeline) -> String {
    let upright = if pipeline.decode_options().exif == Exif::Apply { ", exif orientation applied" } else { "" };
    let (side, border) = match pipeline.crop_mode {
        CropMode::Squash => ("both sides", ""),
        CropMode::Border => ("long side", " with borders"),
        _ => ("short side", ""),
    };
    format!(
        "resize {side} to {} ({}), center crop {}{border}{upright}",
        pipeline.resize, pipeline.interpolation, pipeline.crop
    )
}

/// The pipeline of the weights file or the network, and the reason for the choice.
fn default_pipeline(config: Option<&Config>, of_file: Option<&serde_json::Value>) -> Result<(Pipeline, &'static str)> {
    let (pipeline, origin) = pipeline_of(config, of_file).hint(|| "pass --pipeline to choose another".into())?;
    let why = match origin {
        PipelineOrigin::Weights => "from the weights file",
        PipelineOrigin::Notebook => "default for the notebook's weights",
        _ => "default",
    };
    Ok((pipeline, why))
}
