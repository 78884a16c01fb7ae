//! Options of segmentation networks, and what they build.

use std::borrow::Cow;
use std::path::PathBuf;

use clap::Args;
use hardnet_data::{Exif, JPEG_DECODER};
use hardnet_eval::ToolRecord;
use hardnet_segmentation::{ClassNames, InputSize, LoadError, Palette, Protocol, Segmenter, Views, protocol_of};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Hinted, Result};
use crate::model::{EngineChoice, ModelArgs, OpenedModel, WeightsOrigin};
use crate::printer::Printer;
use crate::shards::{ShardRecord, ShardSettings};

/// Options of a segmentation network's input and classes.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Segmentation")]
pub(crate) struct ViewArgs {
    /// Size of the network's input: WIDTHxHEIGHT, or image for that of each image [default: from the preprocessing]
    #[arg(long, value_name = "SIZE")]
    input_size: Option<InputSize>,
    /// Sizes relative to that, separated by commas, whose results are averaged, such as 0.75,1,1.25
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    scales: Vec<f64>,
    /// Average with the results of the mirrored image
    #[arg(long)]
    flip: bool,
    /// Colors of the classes: lines `RED GREEN BLUE CLASS` [default: Cityscapes' or PASCAL VOC's]
    #[arg(long, value_name = "FILE")]
    colors: Option<PathBuf>,
}

/// A segmentation network that is ready to run.
pub(crate) struct SegmentationModel {
    pub(crate) segmenter: Segmenter,
    /// Name of the published network, or `custom`.
    pub(crate) name: String,
    pub(crate) weights: WeightsOrigin,
}

/// Returns an error if an option of segmentation networks is `given` for a classifier; `remedy` says how it is not one.
pub(crate) fn refuse_for_classifiers(given: Option<&'static str>, remedy: &'static str) -> Result<()> {
    match given {
        Some(option) => Err(Failure::message(format!("{option} is for segmentation networks")).hint(remedy)),
        None => Ok(()),
    }
}

/// The remedy for images that are too small for the network, said once.
#[derive(Default)]
pub(crate) struct TooSmall(Option<usize>);

impl TooSmall {
    /// Looks at the error of an image.
    pub(crate) fn add(&mut self, error: &LoadError) {
        if let LoadError::Prepare { source, .. } = error {
            self.0 = source.least_side().or(self.0);
        }
    }

    pub(crate) fn tell(&self, printer: &Printer) {
        if let Some(side) = self.0 {
            printer.note(format_args!("hint: --input-size WIDTHxHEIGHT resizes all images, to at least {side}x{side}"));
        }
    }
}

/// Preprocessing in JSON. Field names are API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProtocolRecord {
    /// One of the published protocols, unless settings were changed.
    pub(crate) name: Option<Cow<'static, str>>,
    #[serde(flatten)]
    pub(crate) protocol: Protocol,
    pub(crate) scales: Vec<f64>,
    pub(crate) flip: bool,
    pub(crate) decoder: Cow<'static, str>,
    pub(crate) exif: Exif,
}

/// The last line of a shard's JSON lines. Field names are API.
#[derive(Serialize)]
pub(crate) struct LinesEnd<'a> {
    shard: &'a ShardRecord,
    /// Lines before this one.
    rows: usize,
    /// Images that could not be read and have none.
    errors: usize,
    /// A run that was stopped has no such line.
    partial: bool,
    settings: LinesSettings<'a>,
}

/// The settings that lines depend on, besides those of the shard.
#[derive(Serialize)]
struct LinesSettings<'a> {
    tool: ToolRecord,
    model: &'a str,
    weights: &'a WeightsOrigin,
    preprocessing: ProtocolRecord,
}

impl SegmentationModel {
    /// The settings that decide the results of a shard; `output` is their form in words.
    pub(crate) fn shard_settings(&self, args: &ModelArgs, output: String) -> Result<ShardSettings> {
        let names = self.segmenter.classes().names.iter().cloned();
        // Images are computed one by one, on the native engine.
        ShardSettings::new(args, &self.weights, (self.segmenter.engine(), "cpu"), 1, output, names)
    }

    /// The last of the lines of a shard.
    pub(crate) fn end_of_lines<'a>(&'a self, shard: &'a ShardRecord, rows: usize, errors: usize) -> LinesEnd<'a> {
        let settings = LinesSettings {
            tool: crate::report::tool(),
            model: &self.name,
            weights: &self.weights,
            preprocessing: self.protocol_record(),
        };
        LinesEnd { shard, rows, errors, partial: false, settings }
    }
}

impl ViewArgs {
    /// Whether any option is given.
    pub(crate) fn is_given(&self) -> bool {
        let Self { input_size, scales, flip, colors } = self;
        input_size.is_some() || !scales.is_empty() || *flip || colors.is_some()
    }

    /// The file of colors, if there is one.
    pub(crate) fn colors_in_words(&self) -> String {
        self.colors.as_ref().map_or(String::new(), |path| path.display().to_string())
    }

    fn views(&self) -> Views {
        let views = Views::default().flip(self.flip);
        if self.scales.is_empty() { views } else { views.scales(self.scales.iter().copied()) }
    }

    /// Builds the segmenter of `model` with preprocessing by the protocol called `pipeline`, if one is named, and
    /// classes called `names`, if names are given.
    pub(crate) fn build(
        &self,
        model: OpenedModel,
        pipeline: Option<&str>,
        names: Option<Vec<String>>,
        printer: &Printer,
    ) -> Result<SegmentationModel> {
        if let Some(EngineChoice::Candle) = model.engine() {
            return Err(Failure::message("segmentation runs on the native engine").hint("drop --engine candle"));
        }
        let config = model.config().clone();
        let of_file = model.pipeline().cloned();
        let (protocol, why) = match pipeline {
            Some(name) => (name.parse::<Protocol>()?, "--pipeline"),
            None => {
                let protocol = protocol_of(&config, of_file.as_ref());
                let why = if of_file.is_some() { "from the weights file" } else { "default for these weights" };
                (protocol.hint(|| "pass --pipeline to choose another".into())?, why)
            }
        };
        let protocol = self.input_size.map_or(protocol.clone(), |size| protocol.with_size(size));
        let names = names.or_else(|| model.labels().map(<[String]>::to_vec));
        let name = crate::model::name_of(&config);
        let precision = model.precision();
        let (file, weights, device) = model.into_file();
        let mut builder = Segmenter::builder()
            .threads(crate::knobs::threads())
            .isa(crate::knobs::isa()?)
            .protocol(protocol.clone())
            .views(self.views());
        if let Some(precision) = precision {
            builder = builder.precision(precision);
        }
        let classes = names.map_or_else(|| ClassNames::guess(config.classes()), ClassNames::new);
        if let Some(path) = &self.colors {
            builder = builder.palette(Palette::read(path, &classes.names)?);
        }
        let segmenter = builder.names(classes.names).from_weights(file)?;
        let of = format!("{name} with {} classes", config.classes());
        crate::model::print_origin(&of, segmenter.engine(), &device, &weights, printer);
        printer.note(format_args!("preprocessing: {} ({why})", describe(&protocol)));
        Ok(SegmentationModel { segmenter, name, weights })
    }
}

impl SegmentationModel {
    /// The preprocessing as JSON.
    pub(crate) fn protocol_record(&self) -> ProtocolRecord {
        let (protocol, views) = (self.segmenter.protocol(), self.segmenter.views());
        ProtocolRecord {
            name: protocol.name().map(Cow::Borrowed),
            protocol: protocol.clone(),
            scales: views.scales.clone(),
            flip: views.flip,
            decoder: JPEG_DECODER.into(),
            exif: protocol.decode_options().exif,
        }
    }
}

/// A protocol on one line.
fn describe(protocol: &Protocol) -> String {
    let size = match protocol.size {
        InputSize::Image => "the size of each image".into(),
        size => format!("{size} ({})", protocol.interpolation),
    };
    format!("{}: {size}", protocol.name().unwrap_or("custom"))
}
