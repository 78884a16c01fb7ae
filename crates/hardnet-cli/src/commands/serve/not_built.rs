//! A build without the feature `serve`.

use clap::Args;

use crate::failure::{Exit, Failure, Result};
use crate::printer::Printer;

#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    /// Arguments of the command
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    _arguments: Vec<std::ffi::OsString>,
}

pub(crate) fn run(_: &ServeArgs, _: &Printer) -> Result<Exit> {
    Err(Failure::message("this build has no server")
        .hint("build with it: cargo run --release -p hardnet-cli --features serve -- serve ..."))
}
