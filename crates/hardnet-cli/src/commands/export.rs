//! `hardnet export`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use hardnet_classifier::Stage;
use hardnet_data::Pipeline;
use hardnet_graph::{Graph, Op};
use hardnet_model::{Conversion, ConversionOptions, Metadata};
use hardnet_onnx::{Batch, Export, ExportOptions, Image, IntegerLayer, Norm, Opset, Precision, Quantization};
use hardnet_params::{FEATURES_KEY, Parameters, QuantizedParameters, UNITS_KEY};
use hardnet_quantize::QuantizeOptions;
use hardnet_segmentation::{InputSize, protocol_of};
use hardnet_weights::WeightsSource;
use serde::Serialize;

use crate::failure::{Exit, Failure, Hinted, Result};
use crate::labels::read_names;
use crate::model::{WEIGHTS_HELP, check_side, name_of};
use crate::network::NetworkName;
use crate::output::{OutputFile, check_format, check_free};
use crate::pipeline::{self, PipelineArgs};
use crate::printer::Printer;
use crate::size::ImageSize;
use crate::weights::{FetchArgs, PartArgs, locate, tell};

#[derive(Args, Debug)]
#[command(after_help = "\
The input `input` is a batch of normalized images, the output `logits`. Nodes and initializers have \
PyTorch's names. The metadata say which weights the file is made from and how images are prepared for it. \
docs/onnx.md lists them, and which programs read which form.

Examples:
  hardnet export hardnet68.pth hardnet68.onnx
  hardnet export hardnet68.pth hardnet68.onnx --batch dynamic --dynamic-size
  hardnet export flowers.safetensors flowers.onnx --with-preprocessing --softmax
  hardnet export fc-hardnet70.safetensors fc-hardnet70.onnx --size 512x1024
  hardnet export hardnet85.pth backbone.onnx --features stride4,stride8,stride16,stride32 --img-size 512")]
pub(crate) struct ExportArgs {
    #[arg(value_name = "WEIGHTS", help = WEIGHTS_HELP)]
    weights: WeightsSource,
    /// ONNX file to write
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// Network of the weights, a name from `hardnet list` or a file in TOML [default: detected]
    #[arg(short, long, value_name = "NAME")]
    model: Option<NetworkName>,
    #[command(flatten)]
    part: PartArgs,
    /// Rows and columns of images [default: those of the preprocessing, or 1024x2048 if it takes images of any size]
    #[arg(long, value_name = "ROWSxCOLUMNS", conflicts_with = "img_size")]
    size: Option<ImageSize>,
    /// Version of ONNX's operators, 13 to 21
    #[arg(long, value_name = "N", default_value_t)]
    opset: Opset,
    /// Images of a run: a number, or dynamic
    #[arg(short, long, value_name = "N", default_value_t)]
    batch: Batch,
    /// Leave rows and columns of images to each run
    #[arg(long)]
    dynamic_size: bool,
    /// Fold batch normalization into the convolutions (the default)
    #[arg(long, overrides_with = "keep_norm")]
    fold_norm: bool,
    /// Keep batch normalization as nodes of its own
    #[arg(long, overrides_with = "fold_norm")]
    keep_norm: bool,
    /// Type of weights, input and output: f32 or f16
    #[arg(long, value_name = "TYPE", default_value_t)]
    dtype: Precision,
    /// Make weights and maps 8-bit integers: those of a quantized file, others without images. qdq writes pairs of
    /// QuantizeLinear and DequantizeLinear
    #[arg(long, value_name = "FORM", value_parser = ["qdq"], conflicts_with_all = ["keep_norm", "dtype", "features"])]
    int8: Option<String>,
    /// Take images of bytes, [N, H, W, 3], of the size of the network's input, and normalize them in the model
    #[arg(long)]
    with_preprocessing: bool,
    /// Give probabilities rather than logits
    #[arg(long)]
    softmax: bool,
    /// Give feature maps rather than logits: last, strides (stride8; stride8-block is the map before the transition) or
    /// modules (9), separated by commas
    #[arg(long, value_name = "STAGES", value_delimiter = ',', conflicts_with = "softmax")]
    features: Vec<Stage>,
    /// File of class names, one on each line, for the metadata
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Overwrite an existing file
    #[arg(long)]
    force: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    // Headings of these groups hold for all that follows, so they come last.
    #[command(flatten)]
    pipeline: PipelineArgs,
    #[command(flatten)]
    fetch: FetchArgs,
}

/// Result of an export. Field names are API.
#[derive(Serialize)]
struct ExportReport<'a> {
    schema_version: u32,
    /// Path, tag or address, as the user gave it.
    weights: String,
    sha256: String,
    model: String,
    classes: usize,
    opset: u64,
    ir_version: u64,
    dtype: String,
    /// The form of integers, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    int8: Option<&'a str>,
    /// `folded` or `kept`.
    norm: &'static str,
    inputs: Vec<String>,
    outputs: Vec<String>,
    nodes: usize,
    initializers: usize,
    bytes: u64,
    pipeline: Option<&'a serde_json::Value>,
    /// Assumptions about the network, in words.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    assumed: &'a [String],
    written: String,
}

pub(crate) fn run(args: &ExportArgs, printer: &Printer) -> Result<Exit> {
    check_format(&args.output, "onnx")?;
    check_free(&args.output, args.force)?;
    let labels = args.labels.as_deref().map(read_names).transpose()?;
    let located = locate(&args.weights, &args.fetch, printer)?;
    let weights = located.open_streamed(args.model.as_ref(), &args.part)?;
    tell(&weights, printer);
    if args.int8.is_none() {
        weights.expect_floats().hint(|| "pass the file that it was quantized from, or --int8 qdq".into())?;
    }
    let of_file = weights.metadata().and_then(|metadata| metadata.pipeline.as_ref());
    let segments = weights.config().decoder.is_some();
    if segments && (args.with_preprocessing || args.pipeline.is_given()) {
        return Err(Failure::message("the preprocessing of a segmentation network is not exported")
            .hint("drop --with-preprocessing and the options of preprocessing; --size sets rows and columns"));
    }
    let pipeline = match segments {
        true => Pipeline::pil_bilinear(),
        false => args.pipeline.resolve(Some(weights.config()), of_file, printer)?,
    };
    let size = match args.size {
        Some(size) => size,
        None if segments => match protocol_of(weights.config(), of_file)?.size {
            InputSize::Fixed { width, height } => ImageSize { height: height as usize, width: width as usize },
            _ => ImageSize { height: 1024, width: 2048 },
        },
        None => {
            check_side(weights.config(), pipeline.crop as usize)?;
            ImageSize::square(pipeline.crop as usize)
        }
    };
    let known = !segments && (args.with_preprocessing || args.pipeline.is_known(&weights));
    let mut options = ConversionOptions::default();
    options.labels = labels;
    options.pipeline = known.then(|| pipeline::to_value(&pipeline)).transpose()?;
    let mut metadata = Conversion::describe(&weights, &options)
        .hint(|| "--labels needs one name for each class of the network".into())?;
    let graph = Graph::new(weights.config())?;
    // A quantized file has its integers; those of other weights are found without images.
    let parameters = weights.parameters();
    let made = (args.int8.is_some() && weights.quantization().is_none())
        .then(|| hardnet_quantize::quantize_lazily(&graph, &parameters, &QuantizeOptions::default()))
        .transpose()?;
    let quantized: Option<&dyn QuantizedParameters> = match (&made, weights.quantization()) {
        (Some(made), _) => Some(made),
        (None, Some(_)) => Some(&parameters),
        (None, None) => None,
    };
    metadata.quantization = quantized.map(|_| match weights.quantization() {
        Some(own) => hardnet_params::Quantization::new(&own.method, own.images),
        None => hardnet_params::Quantization::new("without images", 0),
    });
    let mut options = args.options(&graph, &metadata, &pipeline)?.size(size.height, size.width);
    if let Some(quantized) = quantized {
        options = options.quantization(quantization(&graph, quantized)?);
        if let Some(units) = units(&graph, quantized)? {
            options = options.metadata(UNITS_KEY, units);
        }
    }
    let export = Export::new(&graph, &options)?;
    printer.note(format_args!(
        "{}, {} with {} classes",
        args.weights,
        name_of(weights.config()),
        metadata.config.classes()
    ));
    write(args, &parameters, quantized, &export)?;
    let model = export.model();
    let shown = |values: &[hardnet_onnx::Value]| values.iter().map(ToString::to_string).collect::<Vec<_>>();
    let report = ExportReport {
        schema_version: 1,
        weights: args.weights.to_string(),
        sha256: metadata.source.as_ref().map_or(String::new(), |source| source.sha256.clone()),
        model: name_of(weights.config()),
        classes: metadata.config.classes(),
        opset: model.opset,
        ir_version: model.ir_version,
        dtype: args.dtype.to_string(),
        int8: args.int8.as_deref(),
        norm: if args.keeps_norm() { "kept" } else { "folded" },
        inputs: shown(&model.inputs),
        outputs: shown(&model.outputs),
        nodes: model.nodes.len(),
        initializers: model.initializers.len(),
        bytes: export.byte_count(),
        pipeline: metadata.pipeline.as_ref(),
        assumed: &metadata.assumed,
        written: args.output.display().to_string(),
    };
    if args.json {
        printer.json(&report)?;
    } else {
        let ExportReport { opset, ir_version, nodes, initializers, bytes, .. } = &report;
        printer
            .note(format_args!("opset {opset}, IR version {ir_version}: {nodes} nodes, {initializers} initializers"));
        for value in report.inputs.iter().chain(&report.outputs) {
            printer.note(value);
        }
        printer.note(format_args!("{bytes} bytes"));
        printer.line(&report.written)?;
    }
    Ok(Exit::Success)
}

/// Writes the file, which appears when it is complete.
fn write(
    args: &ExportArgs,
    parameters: &dyn Parameters,
    quantized: Option<&dyn QuantizedParameters>,
    export: &Export,
) -> Result<()> {
    let mut file = OutputFile::create(&args.output, args.force)?;
    match quantized {
        Some(quantized) => {
            let mut layer = |node: &str| {
                let layer = quantized.layer(node)?.ok_or("it is in f32")?;
                Ok(IntegerLayer { weights: layer.weights, scale: layer.scale, bias: layer.bias })
            };
            export.write_quantized(&mut |param| Ok(quantized.values(param)?), &mut layer, file.writer())?;
        }
        None => export.write(&mut |param| Ok(parameters.values(param)?), file.writer())?,
    }
    file.finish()
}

/// The units of the channels of maps in JSON, if there are any.
fn units(graph: &Graph, quantized: &dyn QuantizedParameters) -> Result<Option<String>> {
    let graph = graph.inference();
    // A pool's map has the units of what it reads.
    let nodes = graph.nodes().iter().filter(|node| matches!(node.op, Op::Conv(_)));
    let units = nodes.filter_map(|node| {
        let units = quantized.units(&node.name)?;
        Some((node.name.as_str(), [units.scale, units.offset]))
    });
    let units: BTreeMap<&str, [Vec<f32>; 2]> = units.collect();
    Ok(if units.is_empty() { None } else { Some(serde_json::to_string(&units)?) })
}

/// The maps and layers of integers.
fn quantization(graph: &Graph, quantized: &dyn QuantizedParameters) -> Result<Quantization> {
    let mut quantization = Quantization::default();
    for node in graph.inference().nodes() {
        if let Some(map) = quantized.map(&node.name) {
            quantization = quantization.map(&node.name, map.scale, map.zero_point);
        }
        if quantized.has_integers(&node.name)? {
            quantization = quantization.layer(&node.name);
        }
    }
    Ok(quantization)
}

impl ExportArgs {
    fn keeps_norm(&self) -> bool {
        self.keep_norm && !self.fold_norm
    }

    /// The options of the export of `graph`, which `metadata` describe.
    fn options(&self, graph: &Graph, metadata: &Metadata, pipeline: &Pipeline) -> Result<ExportOptions> {
        let mut options = ExportOptions::default()
            .opset(self.opset)
            .batch(self.batch)
            .dynamic_size(self.dynamic_size)
            .precision(self.dtype)
            .norm(if self.keeps_norm() { Norm::Kept } else { Norm::Folded })
            .softmax(self.softmax)
            .description(format!("{}, exported by hardnet {}", name_of(&metadata.config), env!("CARGO_PKG_VERSION")));
        if self.with_preprocessing {
            options = options.image(Image::new(pipeline.mean, pipeline.std));
        }
        if !self.features.is_empty() {
            let positions = self.features.iter().map(|stage| stage.position(graph));
            let positions = positions.collect::<std::result::Result<_, hardnet_graph::Error>>()?;
            options = options.features(positions);
        } else if self.softmax && metadata.config.classes() == 0 {
            return Err(Failure::message(format!("`{}` is a backbone without a classifier", self.weights))
                .hint("drop --softmax; --features chooses feature maps"));
        }
        for (name, text) in self.texts(metadata, pipeline)? {
            options = options.metadata(name, text);
        }
        Ok(options)
    }

    /// The metadata texts of the file.
    fn texts(&self, metadata: &Metadata, pipeline: &Pipeline) -> Result<Vec<(&'static str, String)>> {
        let mut texts = vec![("network", name_of(&metadata.config))];
        if let Some(source) = &metadata.source {
            texts.push(("weights.sha256", source.sha256.clone()));
            texts.push(("weights.format", source.format.clone()));
        }
        if let Some(form) = &self.int8 {
            texts.push(("int8", form.clone()));
        }
        texts.push(("program", metadata.tool.clone().unwrap_or_default()));
        if metadata.pipeline.is_some() && metadata.config.decoder.is_none() {
            texts.push(("preprocessing", pipeline::describe(pipeline)));
            texts.push(("preprocessing.mean", serde_json::to_string(&pipeline.mean)?));
            texts.push(("preprocessing.std", serde_json::to_string(&pipeline.std)?));
            texts.push(("preprocessing.channels", if pipeline.convention.is_bgr() { "BGR" } else { "RGB" }.into()));
        }
        if !self.features.is_empty() {
            let stages: Vec<_> = self.features.iter().map(ToString::to_string).collect();
            texts.push((FEATURES_KEY, stages.join(",")));
        } else {
            if let Some(labels) = &metadata.labels {
                texts.push(("labels", serde_json::to_string(labels)?));
            }
            // Describes a whole network, not a part of one.
            texts.push(("hardnet", metadata.to_json()));
        }
        Ok(texts)
    }
}
