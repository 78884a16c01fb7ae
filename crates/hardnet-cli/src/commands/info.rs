//! `hardnet info`.

use clap::Args;
use hardnet_model::{Config, Graph, ModuleKind, Shape, Variant};
use hardnet_weights::Source;
use serde::Serialize;

use crate::failure::{Exit, Failure, Result};
use crate::model::{name_of, open_weights};
use crate::printer::Printer;
use crate::weights::{FetchArgs, locate};

#[derive(Args, Debug)]
pub(crate) struct InfoArgs {
    /// Network: hardnet39ds, hardnet68ds, hardnet68 or hardnet85
    #[arg(value_name = "MODEL", required_unless_present = "weights")]
    model: Option<Variant>,
    /// Describe what this weights file holds
    #[arg(long, visible_alias = "checkpoint", value_name = "FILE")]
    weights: Option<Source>,
    #[command(flatten)]
    fetch: FetchArgs,
    /// Side of the input in pixels
    #[arg(long, value_name = "PIXELS", default_value = "224")]
    img_size: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A network at one size of input.
#[derive(Serialize)]
struct Description {
    schema_version: u32,
    model: String,
    classes: usize,
    img_size: usize,
    parameters: usize,
    tensors: usize,
    config: Config,
    modules: Vec<Row>,
}

/// One entry of `base`.
#[derive(Serialize)]
struct Row {
    module: String,
    kind: &'static str,
    layers: usize,
    channels: usize,
    height: usize,
    width: usize,
    stride: usize,
    parameters: usize,
}

pub(crate) fn run(args: &InfoArgs, printer: &Printer) -> Result<Exit> {
    let config = match (&args.weights, args.model) {
        (Some(source), model) => open_weights(&locate(source, &args.fetch, printer)?.path, model)?.config().clone(),
        (None, Some(variant)) => Config::from(variant),
        (None, None) => return Err(Failure::message("no network named")),
    };
    let description = describe(config, args.img_size)?;
    if args.json {
        printer.json(&description)?;
        return Ok(Exit::Success);
    }
    printer.line(format_args!(
        "{}: {} classes, {:.2} M parameters in {} tensors, input {4}x{4}\n",
        description.model,
        description.classes,
        description.parameters as f64 / 1e6,
        description.tensors,
        description.img_size,
    ))?;
    printer.line("module    kind         layers          output  stride  parameters")?;
    for row in &description.modules {
        let output = format!("{}x{}x{}", row.channels, row.height, row.width);
        printer.line(format_args!(
            "{:<9} {:<12} {:>6} {output:>15} {:>7} {:>11}",
            row.module, row.kind, row.layers, row.stride, row.parameters
        ))?;
    }
    Ok(Exit::Success)
}

fn describe(config: Config, img_size: usize) -> Result<Description> {
    let graph = Graph::new(&config)?;
    let shapes = graph.shapes(img_size, img_size)?;
    let params = graph.params();
    let modules = graph.modules().iter().map(|module| {
        let own = params.iter().filter(|param| param.kind.is_trained() && module.nodes.contains(&param.node));
        let Shape { height, width, .. } = module.outputs.first().map_or(shapes[0], |&node| shapes[node]);
        Row {
            module: module.name.clone(),
            kind: kind(module.kind),
            layers: module.nodes.len(),
            channels: module.channels,
            height,
            width,
            stride: module.stride,
            parameters: own.map(|param| param.count()).sum(),
        }
    });
    Ok(Description {
        schema_version: 1,
        model: name_of(&config),
        classes: config.classes(),
        img_size,
        parameters: graph.param_count(),
        tensors: params.len(),
        modules: modules.collect(),
        config,
    })
}

fn kind(kind: ModuleKind) -> &'static str {
    match kind {
        ModuleKind::Stem => "stem",
        ModuleKind::Downsample => "downsample",
        ModuleKind::Block => "block",
        ModuleKind::Dropout => "dropout",
        ModuleKind::Transition => "transition",
        ModuleKind::Head => "head",
        _ => "other",
    }
}
