//! `hardnet compare`: how the predictions of two or more runs differ.

mod page;
mod report;
mod settings;
mod table;

use std::path::PathBuf;

use clap::Args;
use hardnet_eval::compare::{MatchedRuns, Predictions};

use crate::failure::{Exit, Failure, Result};
use crate::format::at_least_one;
use crate::printer::Printer;
use page::PageArgs;
use report::CompareReport;

#[derive(Args, Debug)]
#[command(after_help = "\
The first file is the reference. For each other file: how often both runs agree, how the accuracies differ \
and whether chance explains it, which images become right or wrong, and which classes and image sizes they \
are of.

Examples:
  hardnet compare val.pil-bilinear.jsonl val.paddleclas.jsonl
  hardnet compare a.jsonl b.jsonl --page flips.html --data-dir ILSVRC2012_img_val.tar
  hardnet compare a.jsonl b.jsonl c.jsonl --json
  hardnet compare before.jsonl after.jsonl --min-agreement 99.9")]
pub(crate) struct CompareArgs {
    /// Predictions, as `hardnet eval --predictions` writes them; the first file is the reference
    #[arg(value_name = "FILE", required = true, num_args = 2..)]
    files: Vec<PathBuf>,
    /// Compare the images that all files have, and leave out the others
    #[arg(long)]
    common: bool,
    /// Number of classes, and of images that become wrong or right, to print
    #[arg(short = 'n', long, value_name = "N", default_value = "10", value_parser = at_least_one)]
    show: usize,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
    /// Exit with code 1 if a run agrees with the first on fewer images than this percentage
    #[arg(long, value_name = "PERCENT")]
    min_agreement: Option<f64>,
    #[command(flatten)]
    page: PageArgs,
}

pub(crate) fn run(args: &CompareArgs, printer: &Printer) -> Result<Exit> {
    check_minimum(args.min_agreement)?;
    let page = args.page.open()?;
    let runs = args.files.iter().map(|path| Predictions::read(path)).collect::<std::result::Result<Vec<_>, _>>()?;
    let runs = if args.common { MatchedRuns::common(runs)? } else { MatchedRuns::new(runs)? };
    let report = CompareReport::new(&runs);
    for note in &report.notes {
        printer.note(note);
    }
    if let Some(page) = page {
        page.finish(&report, &args.page, printer)?;
    }
    if args.json {
        printer.json(&report)?;
    } else {
        for line in table::lines(&report, args.show) {
            printer.line(line)?;
        }
    }
    Ok(exit_code(args, &report, printer))
}

fn check_minimum(percent: Option<f64>) -> Result<()> {
    match percent {
        Some(percent) if !(0.0..=100.0).contains(&percent) => {
            Err(Failure::message(format!("--min-agreement is {percent}, expected a percentage from 0 to 100")))
        }
        _ => Ok(()),
    }
}

fn exit_code(args: &CompareArgs, report: &CompareReport, printer: &Printer) -> Exit {
    let Some(least) = args.min_agreement else { return Exit::Success };
    let mut exit = Exit::Success;
    for comparison in &report.comparisons {
        let found = comparison.agreement.percent.unwrap_or(0.0);
        if found < least {
            let (file, reference) = (&comparison.file, &comparison.reference);
            printer.error(format_args!(
                "`{file}` agrees with `{reference}` on {found:.2} % of the images, below --min-agreement {least}"
            ));
            exit = Exit::CheckFailed;
        }
    }
    exit
}
