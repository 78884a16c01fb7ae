//! Which preprocessing runs, and why.

use clap::Args;
use hardnet_classifier::{PipelineOrigin, pipeline_of};
use hardnet_data::{Interpolation, Pipeline};
use hardnet_model::Config;

use crate::failure::{Failure, Hinted, Result};
use crate::printer::Printer;

/// Preprocessing flags.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Preprocessing")]
pub(crate) struct PipelineArgs {
    /// Named preprocessing: pil-bilinear (PyTorch) or pil-bicubic (the Paddle notebook); by default what the weights say
    #[arg(long, value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(Pipeline::NAMES))]
    pipeline: Option<String>,
    /// Side of the square that the network sees, in pixels; the share of the image it shows stays the same
    #[arg(long, value_name = "PIXELS")]
    img_size: Option<u32>,
    /// Share of the resized image's short side that the crop keeps, as 0.875
    #[arg(long, value_name = "FRACTION")]
    crop_pct: Option<f64>,
    /// Filter of the resize: bilinear, bicubic, ...
    #[arg(long, value_name = "FILTER")]
    interpolation: Option<Interpolation>,
}

impl PipelineArgs {
    /// `--img-size`.
    pub(crate) fn img_size(&self) -> Option<u32> {
        self.img_size
    }

    /// Whether any flag is given.
    pub(crate) fn is_given(&self) -> bool {
        let Self { pipeline, img_size, crop_pct, interpolation } = self;
        pipeline.is_some() || img_size.is_some() || crop_pct.is_some() || interpolation.is_some()
    }

    /// The pipeline for the network of `config`, if one is known, of whose weights file `of_file` is the pipeline; what
    /// decided it is said.
    pub(crate) fn resolve(
        &self,
        config: Option<&Config>,
        of_file: Option<&serde_json::Value>,
        printer: &Printer,
    ) -> Result<Pipeline> {
        let (mut pipeline, why) = match &self.pipeline {
            Some(name) => (named(name)?, "--pipeline"),
            None => default_pipeline(config, of_file)?,
        };
        let mut by = vec![why];
        if let Some(crop) = self.img_size {
            pipeline = pipeline.with_img_size(crop);
            by.push("--img-size");
        }
        if let Some(fraction) = self.crop_pct {
            pipeline = pipeline.with_crop_pct(fraction)?;
            by.push("--crop-pct");
        }
        if let Some(interpolation) = self.interpolation {
            pipeline = pipeline.with_interpolation(interpolation);
            by.push("--interpolation");
        }
        pipeline.validate()?;
        printer.note(format_args!("pipeline: {} (by {})", describe(&pipeline), by.join(", ")));
        Ok(pipeline)
    }
}

/// A pipeline as a weights file holds it: its name, or a table if it has none.
pub(crate) fn to_value(pipeline: &Pipeline) -> Result<serde_json::Value> {
    Ok(match pipeline.name() {
        Some(name) => name.into(),
        // By way of text, which has the shortest digits of an f32 where a value would have those of its f64.
        None => serde_json::from_str(&serde_json::to_string(pipeline)?)?,
    })
}

/// One line on a pipeline.
pub(crate) fn describe(pipeline: &Pipeline) -> String {
    format!(
        "{}: short side to {} ({}), centre crop {}",
        pipeline.name().unwrap_or("custom"),
        pipeline.resize,
        pipeline.interpolation,
        pipeline.crop
    )
}

fn named(name: &str) -> Result<Pipeline> {
    Pipeline::named(name).ok_or_else(|| {
        Failure::message(format!("unknown pipeline `{name}`, expected one of {}", Pipeline::NAMES.join(", ")))
    })
}

/// The pipeline that the weights file or the network asks for, and how it is called.
fn default_pipeline(config: Option<&Config>, of_file: Option<&serde_json::Value>) -> Result<(Pipeline, &'static str)> {
    let (pipeline, origin) = pipeline_of(config, of_file).hint(|| "pass --pipeline to use another".into())?;
    let why = match origin {
        PipelineOrigin::Weights => "the weights file",
        PipelineOrigin::Notebook => "the default for the notebook's weights",
        _ => "the default",
    };
    Ok((pipeline, why))
}
