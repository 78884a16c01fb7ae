//! The command line as it is typed.

use clap::{Args, Parser, Subcommand};

use crate::commands::{bench, completions, convert, env, eval, info, inspect, list, predict, trace, train};

/// Evaluate and run HarDNet image classifiers.
#[derive(Parser, Debug)]
#[command(name = "hardnet", version, long_version = LONG_VERSION, propagate_version = true, max_term_width = 110)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
}

const LONG_VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (commit ", env!("HARDNET_COMMIT"), ", ", env!("HARDNET_TARGET"), ")");

/// Flags of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct GlobalArgs {
    /// Threads of the network; by default one for each physical core
    #[arg(long, global = true, value_name = "N", env = crate::knobs::THREADS, value_parser = crate::format::at_least_one)]
    pub(crate) threads: Option<usize>,
    /// No notes and no progress; twice: no warnings either
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) quiet: u8,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Measure accuracy on labelled images
    #[command(visible_alias = "val")]
    Eval(eval::EvalArgs),
    /// Name what images show
    Predict(predict::PredictArgs),
    /// Train a network
    Train(Box<train::TrainArgs>),
    /// Measure speed
    Bench(bench::BenchArgs),
    /// List the networks
    #[command(visible_alias = "models")]
    List(list::ListArgs),
    /// Describe a network layer by layer
    Info(info::InfoArgs),
    /// Write a model file as safetensors
    Convert(convert::ConvertArgs),
    /// Fetch weights into the cache and print where they are
    #[cfg(feature = "hub")]
    Download(crate::commands::download::DownloadArgs),
    /// Say what a model file holds
    Inspect(inspect::InspectArgs),
    /// Print every stage of one image: pixels, tensor, maps of each module, logits
    Trace(trace::TraceArgs),
    /// Print version, processor, devices and settings
    Env(env::EnvArgs),
    /// Print a completion script for a shell
    #[command(hide = true)]
    Completions(completions::CompletionsArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }
}
