//! `hardnet info`.

mod layers;
mod measure;
mod paper;
mod plot;
mod subject;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use hardnet_weights::WeightsSource;

use crate::failure::{Exit, Failure, Hinted, Result};
use crate::format::at_least_one;
use crate::output::OutputFile;
use crate::printer::Printer;
use crate::size::ImageSize;
use crate::weights::{FetchArgs, PartArgs};
use measure::Measurement;
use plot::Plot;
use subject::{Name, Subject};

#[derive(Args, Debug)]
#[command(after_help = "\
CIO is the HarDNet paper's estimate of memory traffic: the elements that convolutions read and write. MoC is \
MACs divided by CIO. Live memory is the size of the feature maps that exist while a layer runs. All are for \
one image.

Examples:
  hardnet info hardnet68
  hardnet info hardnet68ds --img-size 320 --format csv -o layers.csv
  hardnet info fc-hardnet70 --img-size 1024x2048
  hardnet info --paper
  hardnet info hardnet68 --measure
  hardnet info --measure
  hardnet info hardnet68 --write-config net.toml
  hardnet info net.toml
  hardnet info hardnet68 --plot links -o links.svg
  hardnet info --plot efficiency --measure -o efficiency.svg")]
pub(crate) struct InfoArgs {
    /// Network: hardnet39ds, hardnet68ds, hardnet68, hardnet85, fc-hardnet70, fc-hardnet70-paddleseg, one from the
    /// paper, such as resnet50, or a file in TOML
    #[arg(value_name = "MODEL", required_unless_present_any = ["weights", "paper", "measure", "plot"])]
    model: Option<Name>,
    /// Describe the network in this weights file
    #[arg(long, visible_alias = "checkpoint", value_name = "FILE")]
    weights: Option<WeightsSource>,
    #[command(flatten)]
    part: PartArgs,
    /// Input size in pixels, a side or ROWSxCOLUMNS [default: the weights file's, or 224; 1024x2048 for segmentation]
    #[arg(long, value_name = "PIXELS")]
    img_size: Option<ImageSize>,
    /// Compare with Table 4 of the paper
    #[arg(long, conflicts_with_all = ["model", "weights", "img_size", "measure"])]
    paper: bool,
    /// Measure each layer on this machine; without MODEL, summarize all four HarDNets
    #[arg(long)]
    measure: bool,
    /// Timed iterations
    #[arg(long, value_name = "N", default_value = "30", value_parser = at_least_one, requires = "measure")]
    iters: usize,
    /// Draw a plot as SVG
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with_all = ["paper", "format", "json"])]
    plot: Option<Plot>,
    /// Block of --plot links, such as base.6 [default: the block with the most layers, the first of several]
    #[arg(long, value_name = "NAME", requires = "plot")]
    block: Option<String>,
    /// Output format
    #[arg(long, value_enum, default_value = "table", conflicts_with = "json")]
    format: Format,
    /// Print JSON; same as --format json
    #[arg(long)]
    json: bool,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE", group = "written")]
    output: Option<PathBuf>,
    /// Write the network to this file in TOML, for --model, and print nothing else
    #[arg(long, value_name = "FILE", group = "written", conflicts_with_all = ["paper", "measure", "plot", "format", "json", "img_size"])]
    write_config: Option<PathBuf>,
    /// Overwrite an existing file
    #[arg(long, requires = "written")]
    force: bool,
    // The heading of this group applies to all that follows, so it comes last.
    #[command(flatten)]
    fetch: FetchArgs,
}

/// Output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Text
    Table,
    /// One JSON document
    Json,
    /// CSV, one line for each layer or network
    Csv,
}

pub(crate) fn run(args: &InfoArgs, printer: &Printer) -> Result<Exit> {
    if let Some(path) = &args.write_config {
        return write_config(args, path, printer);
    }
    if let Some(path) = &args.output {
        crate::output::check_free(path, args.force)?;
    }
    let text = text(args, printer)?;
    match &args.output {
        None => printer.line(text.trim_end())?,
        Some(path) => {
            let mut file = OutputFile::create(path, args.force)?;
            file.writer().write_all(text.as_bytes())?;
            file.finish()?;
            printer.line(path.display())?;
        }
    }
    Ok(Exit::Success)
}

fn text(args: &InfoArgs, printer: &Printer) -> Result<String> {
    let format = if args.json { Format::Json } else { args.format };
    if args.paper {
        return paper::text(format);
    }
    let Some(subject) = subject(args, printer)? else {
        let size = args.img_size.unwrap_or(ImageSize::square(hardnet_complexity::paper::IMAGE_SIDE));
        if size.height != size.width {
            return Err(Failure::message(format!("all networks at {size}, expected one side")));
        }
        return for_all_networks(args, size.height, format);
    };
    let size = args.img_size.unwrap_or_else(|| subject.size());
    subject.check_size(size)?;
    if let Some(plot) = args.plot {
        return plot::network(plot, &subject, size, args.block.as_deref());
    }
    let measurement = args.measure.then(|| measure_subject(&subject, size, args.iters)).transpose()?;
    layers::text(&subject, size, measurement.as_ref(), format)
}

/// The network that the arguments name, if they name one.
fn subject(args: &InfoArgs, printer: &Printer) -> Result<Option<Subject>> {
    let registered = match (&args.weights, &args.model) {
        (Some(WeightsSource::Tag(entry)), _) => Some(*entry),
        (None, Some(name)) => name.registered(),
        _ => None,
    };
    if let Some(entry) = registered {
        crate::published::tell(entry, printer);
    }
    match (&args.weights, &args.model) {
        (Some(source), name) => {
            Subject::from_weights(source, name.as_ref(), (&args.fetch, &args.part), printer).map(Some)
        }
        (None, Some(name)) => Subject::from_name(name).map(Some),
        (None, None) => Ok(None),
    }
}

/// Writes the network as TOML.
fn write_config(args: &InfoArgs, path: &Path, printer: &Printer) -> Result<Exit> {
    crate::output::check_free(path, args.force)?;
    let subject = subject(args, printer)?.ok_or_else(|| Failure::message("no network given"));
    let subject = subject.hint(|| "name one, such as hardnet68, or pass --weights".into())?;
    let config = subject.config().ok_or_else(|| Failure::message(format!("`{}` is not a HarDNet", subject.name())));
    let config = config.hint(|| "--write-config works for HarDNets".into())?;
    let mut file = OutputFile::create(path, args.force)?;
    file.append(
        format!("# {}, for --model of hardnet; docs/adding-a-variant.md describes the fields.\n", subject.name())
            .as_bytes(),
    )?;
    file.append(config.to_toml().as_bytes())?;
    file.finish()?;
    printer.line(path.display())?;
    Ok(Exit::Success)
}

/// The outputs for all networks.
fn for_all_networks(args: &InfoArgs, side: usize, format: Format) -> Result<String> {
    match args.plot {
        None => measure::summary(side, args.iters, format),
        Some(Plot::Efficiency) => {
            let measured = if args.measure { measure::all(side, args.iters)? } else { vec![] };
            plot::efficiency(&measured, side)
        }
        Some(_) => Err(Failure::message("no network given").hint("name one, such as hardnet68")),
    }
}

fn measure_subject(subject: &Subject, size: ImageSize, iters: usize) -> Result<Measurement> {
    let config = subject
        .config()
        .ok_or_else(|| Failure::message(format!("`{}` cannot be measured, only described", subject.name())));
    Measurement::take(config.hint(|| "--measure works for HarDNets".into())?, size, iters)
}
