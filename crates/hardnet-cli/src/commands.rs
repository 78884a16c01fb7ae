//! The commands, one module each.

pub(crate) mod bench;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod convert;
#[cfg(feature = "hub")]
pub(crate) mod download;
pub(crate) mod embed;
pub(crate) mod env;
pub(crate) mod eval;
pub(crate) mod export;
pub(crate) mod info;
pub(crate) mod inspect;
pub(crate) mod list;
pub(crate) mod merge;
pub(crate) mod predict;
pub(crate) mod quantize;
pub(crate) mod segment;
pub(crate) mod serve;
pub(crate) mod trace;
pub(crate) mod train;

use crate::args::{Arguments, Command};
use crate::failure::{Exit, Result};
use crate::printer::Printer;

/// Runs the command.
pub(crate) fn run(arguments: Arguments, printer: &Printer) -> Result<Exit> {
    match arguments.command {
        Command::Eval(args) => eval::run(&args, printer),
        Command::Predict(args) => predict::run(&args, printer),
        Command::Merge(args) => merge::run(&args, printer),
        Command::Compare(args) => compare::run(&args, printer),
        Command::Segment(args) => segment::run(&args, printer),
        Command::Serve(args) => serve::run(&args, printer),
        Command::Embed(args) => embed::run(&args, printer),
        Command::Train(args) => train::run(&args, printer),
        Command::Bench(args) => bench::run(&args, printer),
        Command::Trace(args) => trace::run(&args, printer),
        Command::List(args) => list::run(&args, printer),
        Command::Info(args) => info::run(&args, printer),
        Command::Convert(args) => convert::run(&args, printer),
        Command::Export(args) => export::run(&args, printer),
        Command::Quantize(args) => quantize::run(&args, printer),
        #[cfg(feature = "hub")]
        Command::Download(args) => download::run(&args, printer),
        Command::Inspect(args) => inspect::run(&args, printer),
        Command::Env(args) => env::run(&args, printer),
        Command::Completions(args) => completions::run(&args),
    }
}
