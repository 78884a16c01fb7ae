//! `hardnet info MODEL`: every layer and its cost.

use std::fmt::Write;

use hardnet_complexity::{BlockMemory, Figures, LayerFigures, Totals};
use hardnet_model::{Config, ModuleKind, NodeId, ParamInfo, Shape};
use serde::Serialize;

use super::Format;
use super::measure::{LayerMeasurement, Measurement};
use super::subject::Subject;
use crate::failure::Result;
use crate::size::ImageSize;

/// A network at one input size. Field names are API.
#[derive(Serialize)]
struct Description<'a> {
    schema_version: u32,
    model: &'a str,
    img_size: ImageSize,
    parameters: u64,
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    details: Option<HarDNetDetails<'a>>,
    totals: Sums,
    layers: Vec<LayerRow<'a>>,
    /// Memory of the feature maps of every block, in bytes.
    blocks: &'a [BlockMemory],
    #[serde(skip_serializing_if = "Option::is_none")]
    measured: Option<&'a Measurement>,
}

/// Details that only a HarDNet has.
#[derive(Serialize)]
struct HarDNetDetails<'a> {
    classes: usize,
    tensors: usize,
    config: &'a Config,
    modules: Vec<Module>,
}

/// One entry of `base`.
#[derive(Serialize)]
struct Module {
    module: String,
    kind: &'static str,
    layers: usize,
    channels: usize,
    height: usize,
    width: usize,
    stride: usize,
    parameters: u64,
}

/// Totals over all layers.
#[derive(Serialize)]
pub(super) struct Sums {
    parameters: u64,
    macs: u64,
    conv_macs: u64,
    linear_macs: u64,
    macs_and_pointwise: u64,
    cio: u64,
    cio_in: u64,
    cio_out: u64,
    cio_without_strided_depthwise: u64,
    moc: f64,
    convolutions: u64,
    peak_live_bytes: u64,
    peak_kept_bytes: u64,
}

impl From<&Totals> for Sums {
    fn from(totals: &Totals) -> Self {
        Self {
            parameters: totals.params,
            macs: totals.macs(),
            conv_macs: totals.conv_macs,
            linear_macs: totals.linear_macs,
            macs_and_pointwise: totals.macs_and_pointwise(),
            cio: totals.cio(),
            cio_in: totals.cio_in,
            cio_out: totals.cio_out,
            cio_without_strided_depthwise: totals.cio() - totals.cio_strided_depthwise,
            moc: totals.moc(),
            convolutions: totals.convs,
            peak_live_bytes: totals.peak_live_bytes,
            peak_kept_bytes: totals.peak_kept_bytes,
        }
    }
}

/// One layer.
#[derive(Serialize)]
struct LayerRow<'a> {
    layer: NodeId,
    name: &'a str,
    kind: String,
    /// Indices of the layers that it reads.
    links: &'a [NodeId],
    input: Shape,
    output: Shape,
    parameters: u64,
    macs: u64,
    cio: u64,
    moc: Option<f64>,
    live_bytes: u64,
    kept_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    measured: Option<&'a LayerMeasurement>,
}

/// The layers of `subject` for images of `size`.
pub(super) fn text(
    subject: &Subject,
    size: ImageSize,
    measured: Option<&Measurement>,
    format: Format,
) -> Result<String> {
    let figures = Figures::new(subject.graph(), size.height, size.width)?;
    let network = &figures.graph;
    let layer = |(id, figures): (NodeId, &LayerFigures)| {
        let layer = &network.nodes()[id];
        LayerRow {
            layer: id,
            name: &layer.name,
            kind: layer.op.to_string(),
            links: &layer.inputs,
            input: figures.input,
            output: figures.output,
            parameters: figures.params,
            macs: figures.macs,
            cio: figures.cio,
            moc: figures.moc(),
            live_bytes: figures.live_bytes,
            kept_bytes: figures.kept_bytes,
            measured: measured.and_then(|measured| measured.layer(&layer.name)),
        }
    };
    let rows = figures.layers.iter().enumerate().map(layer).collect();
    match format {
        Format::Csv => csv(&rows),
        Format::Table => table(subject, &figures, &rows, measured),
        Format::Json => {
            let description = Description {
                schema_version: 1,
                model: subject.name(),
                img_size: size,
                parameters: figures.totals.params,
                details: details(subject, &figures),
                totals: (&figures.totals).into(),
                layers: rows,
                blocks: &figures.blocks,
                measured,
            };
            Ok(serde_json::to_string_pretty(&description)?)
        }
    }
}

fn details<'a>(subject: &'a Subject, figures: &Figures) -> Option<HarDNetDetails<'a>> {
    let (graph, config) = (subject.graph(), subject.config()?);
    let shapes = graph.shapes(figures.height, figures.width).ok()?;
    let params = graph.params();
    let modules = graph.modules().iter().map(|module| {
        let own = params.iter().filter(|param| param.kind.is_trained() && module.nodes.contains(&param.node));
        let output = module.outputs.first().map_or(shapes[0], |&node| shapes[node]);
        Module {
            module: module.name.clone(),
            kind: kind(module.kind),
            layers: module.nodes.len(),
            channels: module.channels,
            height: output.height,
            width: output.width,
            stride: module.stride,
            parameters: own.map(ParamInfo::count).sum::<usize>() as u64,
        }
    });
    Some(HarDNetDetails { classes: config.classes(), tensors: params.len(), config, modules: modules.collect() })
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

fn csv(rows: &Vec<LayerRow<'_>>) -> Result<String> {
    let mut text = String::from(
        "layer,name,kind,links,in_channels,in_height,in_width,channels,height,width,parameters,macs,cio,moc,live_bytes,kept_bytes",
    );
    let measured = rows.iter().any(|row| row.measured.is_some());
    text.push_str(if measured { ",kernel,ms,map_bytes,weight_bytes\n" } else { "\n" });
    for row in rows {
        let Shape { channels, height, width } = row.input;
        let output = row.output;
        let moc = row.moc.map_or(String::new(), |moc| format!("{moc:.3}"));
        write!(
            text,
            "{},{},{},{},{channels},{height},{width},{},{},{},{},{},{},{moc},{},{}",
            row.layer,
            row.name,
            row.kind,
            links(row.links),
            output.channels,
            output.height,
            output.width,
            row.parameters,
            row.macs,
            row.cio,
            row.live_bytes,
            row.kept_bytes
        )?;
        if let Some(LayerMeasurement { kernel, ms, map_bytes, weight_bytes, .. }) = row.measured {
            write!(text, ",{kernel},{ms:.4},{map_bytes},{weight_bytes}")?;
        } else if measured {
            text.push_str(",,,,");
        }
        text.push('\n');
    }
    Ok(text)
}

/// Indices of layers, separated by spaces.
fn links(links: &[NodeId]) -> String {
    links.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn table(
    subject: &Subject,
    figures: &Figures,
    rows: &Vec<LayerRow<'_>>,
    measured: Option<&Measurement>,
) -> Result<String> {
    let mut text = String::new();
    let totals = &figures.totals;
    let size = ImageSize { height: figures.height, width: figures.width };
    let details = details(subject, figures);
    let classes =
        details.map_or(String::new(), |details| format!("{} classes, {} tensors, ", details.classes, details.tensors));
    writeln!(text, "{}: {classes}input {size}\n", subject.name())?;
    let name_width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0).max("layer".len());
    write!(
        text,
        "  #  {:<name_width$}  {:<16} {:>12} {:>12} {:>11} {:>8} {:>9} {:>7} {:>9}",
        "layer", "kind", "input", "output", "parameters", "MMACs", "CIO", "MoC", "live KiB"
    )?;
    text.push_str(if measured.is_some() { "        ms   maps KiB  kernel        reads\n" } else { "  reads\n" });
    for row in rows {
        let or_dash = |shown: bool, value: String| if shown { value } else { "-".into() };
        write!(
            text,
            "{:>3}  {:<name_width$}  {:<16} {:>12} {:>12} {:>11} {:>8} {:>9} {:>7} {:>9}",
            row.layer,
            row.name,
            row.kind,
            row.input,
            row.output,
            or_dash(row.parameters > 0, row.parameters.to_string()),
            or_dash(row.macs > 0, format!("{:.2}", row.macs as f64 / 1e6)),
            or_dash(row.cio > 0, row.cio.to_string()),
            row.moc.map_or("-".into(), |moc| format!("{moc:.1}")),
            row.live_bytes / 1024
        )?;
        match (measured, row.measured) {
            (None, _) => {}
            (Some(_), Some(LayerMeasurement { kernel, ms, map_bytes, .. })) => {
                write!(text, "  {ms:>8.3} {:>10}  {kernel:<12}", map_bytes / 1024)?;
            }
            (Some(_), None) => write!(text, "  {:>8} {:>10}  {:<12}", "-", "-", "-")?,
        }
        let links = links(row.links);
        writeln!(text, "{}{links}", if links.is_empty() { "" } else { "  " })?;
    }
    let millions = |value: u64| value as f64 / 1e6;
    writeln!(
        text,
        "\ntotal   {:.2} M parameters, {:.2} MMACs, {:.2} M CIO ({:.2} read, {:.2} written), MoC {:.1}",
        millions(totals.params),
        millions(totals.macs()),
        millions(totals.cio()),
        millions(totals.cio_in),
        millions(totals.cio_out),
        totals.moc()
    )?;
    if totals.cio_strided_depthwise > 0 {
        let without = totals.cio() - totals.cio_strided_depthwise;
        writeln!(text, "        {:.2} M CIO without strided depthwise convolutions", millions(without))?;
    }
    memory(&mut text, figures)?;
    if let Some(measured) = measured {
        measured.print(&mut text, totals)?;
    }
    Ok(text)
}

fn memory(text: &mut String, figures: &Figures) -> Result<()> {
    let kib = |bytes: u64| bytes / 1024;
    let totals = &figures.totals;
    write!(text, "memory  {} KiB of feature maps at peak", kib(totals.peak_live_bytes))?;
    if figures.blocks.is_empty() {
        text.push('\n');
        return Ok(());
    }
    writeln!(
        text,
        ", {} if all layers of a block were kept until its end\n\nlive KiB             peak     kept    reduction       at end     kept    reduction",
        kib(totals.peak_kept_bytes)
    )?;
    for block in &figures.blocks {
        writeln!(
            text,
            "{:<14} {:>10} {:>8} {:>12.2} {:>12} {:>8} {:>12.2}",
            block.name,
            kib(block.live_bytes),
            kib(block.kept_bytes),
            block.peak_saving(),
            kib(block.output_live_bytes),
            kib(block.output_kept_bytes),
            block.output_saving()
        )?;
    }
    Ok(())
}
