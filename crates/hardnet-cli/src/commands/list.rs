//! `hardnet list`.

mod weights;

use clap::Args;
use hardnet_model::{Config, Graph, SegmentationVariant, Variant};
use hardnet_weights::published;
use serde::Serialize;

use crate::failure::{Exit, Result};
use crate::printer::Printer;

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// List published weights by tag, and which of them are cached
    #[arg(long)]
    weights: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One network.
#[derive(Serialize)]
struct NetworkRow {
    model: &'static str,
    parameters: usize,
    published_top1: Option<f64>,
    published_top5: Option<f64>,
}

pub(crate) fn run(args: &ListArgs, printer: &Printer) -> Result<Exit> {
    if args.weights {
        return weights::run(args.json, printer);
    }
    let mut rows = Vec::new();
    let classifiers = Variant::ALL.map(|variant| (variant.name(), Config::from(variant)));
    let segmentation = SegmentationVariant::ALL.map(|variant| (variant.name(), Config::from(variant)));
    for (model, config) in classifiers.into_iter().chain(segmentation) {
        let published = published(model);
        rows.push(NetworkRow {
            model,
            parameters: Graph::new(&config)?.param_count(),
            published_top1: published.map(|published| published.top1),
            published_top5: published.and_then(|published| published.top5),
        });
    }
    if args.json {
        printer.json(&rows)?;
        return Ok(Exit::Success);
    }
    printer.line("model                   parameters   published top-1   top-5")?;
    let percent = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.2} %"));
    for row in &rows {
        let (top1, top5) = (percent(row.published_top1), percent(row.published_top5));
        let parameters = row.parameters as f64 / 1e6;
        printer.line(format_args!("{:<23} {parameters:>8.2} M {top1:>17} {top5:>9}", row.model))?;
    }
    printer.note(
        "\nTop-1 and top-5: published by the authors for the ImageNet validation set; Pillow, bilinear, 256 to 224.",
    );
    Ok(Exit::Success)
}
