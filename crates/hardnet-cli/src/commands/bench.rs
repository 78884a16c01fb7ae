//! `hardnet bench`.

mod data;

use clap::Args;

use crate::failure::{Exit, Result};
use crate::printer::Printer;

/// Measure speed.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hardnet bench --data photos/
  hardnet bench --data ILSVRC2012_img_val.tar --num-samples 500 --weights hardnet68.safetensors")]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    data: data::DataArgs,
}

pub(crate) fn run(args: &BenchArgs, printer: &Printer) -> Result<Exit> {
    data::run(&args.data, printer)
}
