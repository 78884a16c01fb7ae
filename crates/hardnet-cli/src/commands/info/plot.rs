//! `hardnet info --plot`: plots of links, density, memory and efficiency.

use clap::ValueEnum;
use hardnet_complexity::Figures;
use hardnet_complexity::paper::{HARDNET_85, PaperRow, Quantity, TABLE_4, compare};
use hardnet_complexity::plot::{self, Point};
use hardnet_model::{Block, Graph, Variant};

use super::measure::Measurement;
use super::subject::Subject;
use crate::failure::{Failure, Result};
use crate::size::ImageSize;

/// Kind of plot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Plot {
    /// Links of a block, and the lifetimes of its layers
    Links,
    /// MACs per element moved, for every convolution
    Density,
    /// Live memory over the layers
    Memory,
    /// Accuracy of the paper's networks against CIO, MACs and time
    Efficiency,
}

/// Plot of one network, as SVG.
pub(super) fn network(plot: Plot, subject: &Subject, size: ImageSize, block: Option<&str>) -> Result<String> {
    let figures = Figures::new(subject.graph(), size.height, size.width)?;
    Ok(match plot {
        Plot::Links => plot::links(&figures, choose(&figures.graph, block)?),
        Plot::Density => plot::density(&figures),
        Plot::Memory => plot::memory(&figures),
        Plot::Efficiency => {
            return Err(Failure::message("--plot efficiency compares all networks").hint("drop the network"));
        }
    })
}

/// The block of that name, or the first of those with the most layers.
fn choose<'a>(network: &'a Graph, name: Option<&str>) -> Result<&'a Block> {
    let blocks = network.blocks();
    let found = match name {
        Some(name) => blocks.iter().find(|block| block.name == name),
        None => blocks.iter().rev().max_by_key(|block| block.layers.len()),
    };
    found.ok_or_else(|| {
        let names: Vec<String> = blocks.iter().map(|block| format!("`{}`", block.name)).collect();
        match name {
            _ if blocks.is_empty() => Failure::message(format!("`{}` has no blocks", network.name())),
            name => Failure::message(format!("no block `{}`, expected {}", name.unwrap_or_default(), names.join(", "))),
        }
    })
}

/// Plot of accuracy against cost for the paper's networks and HarDNet-85, with measured times if there are any.
pub(super) fn efficiency(measured: &[(Variant, Measurement)], side: usize) -> Result<String> {
    let rows = TABLE_4.iter().chain([&HARDNET_85]);
    let points = rows.map(|row| point(row, measured)).collect::<Result<Vec<_>>>()?;
    let caption = measured.first().map_or(String::new(), |(_, first)| {
        let threads = if first.threads == 1 { "one thread".into() } else { format!("{} threads", first.threads) };
        format!("this machine: {}, {threads}, {side}x{side}", first.isa)
    });
    Ok(plot::efficiency(&points, "GTX 1080, PyTorch 1.1.0, 1024x1024", &caption))
}

/// A row with computed costs, or with printed ones that cannot be computed.
fn point(row: &PaperRow, measured: &[(Variant, Measurement)]) -> Result<Point> {
    let variant = |name: &str| name.parse::<Variant>().ok();
    let cost = |quantity: Quantity, printed: Option<&'static str>| -> Result<Option<f64>> {
        let computed = compare(row, quantity)?.map(|figure| figure.computed as f64 / quantity.unit());
        Ok(computed.or_else(|| printed?.parse().ok()))
    };
    let (family, label) = row.model.split_once(['-', ' ']).unwrap_or((row.model, "1.0"));
    let time = measured.iter().find(|(measured, _)| row.network.and_then(variant) == Some(*measured));
    Ok(Point {
        family: family.into(),
        label: label.into(),
        top1: row.top1,
        cio: cost(Quantity::Cio, row.cio.map(|printed| printed.text))?,
        macs: cost(Quantity::Macs, row.macs.map(|printed| printed.text))?,
        gpu_ms: row.gpu_ms,
        measured_ms: time.map(|(_, measurement)| measurement.ms),
    })
}
