//! `hardnet bench`.

mod data;
mod network;

use clap::Args;

use crate::failure::{Exit, Result};
use crate::network::NetworkName;
use crate::printer::Printer;

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hardnet bench hardnet68
  hardnet bench hardnet68 --batch-size 8 --threads 1 --profile
  hardnet bench --data photos/
  hardnet bench --data ILSVRC2012_img_val.tar --num-samples 500 --weights hardnet68.safetensors")]
pub(crate) struct BenchArgs {
    /// Network to measure, or a file in TOML; its weights are synthetic unless --weights is given.
    /// Images are synthetic: of the size of --img-size, of the weights file, or 224 pixels
    #[arg(id = "network", value_name = "MODEL", conflicts_with = "data")]
    network: Option<NetworkName>,
    #[command(flatten)]
    speed: network::NetworkArgs,
    #[command(flatten)]
    data: data::DataArgs,
}

pub(crate) fn run(args: &BenchArgs, printer: &Printer) -> Result<Exit> {
    if args.data.data.is_empty() {
        return network::run(&args.speed, args.network.as_ref(), &args.data, printer);
    }
    data::run(&args.data, printer)
}
