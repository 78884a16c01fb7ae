//! The command line as it is typed.

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    bench, compare, completions, convert, embed, env, eval, export, info, inspect, list, merge, predict, quantize,
    segment, serve, trace, train,
};

/// Evaluate, run, train and serve HarDNet classifiers and segmentation networks.
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

/// Options of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Threads of the network [default: one for each physical core that the process may use]
    #[arg(long, global = true, value_name = "N", env = crate::knobs::THREADS, value_parser = crate::format::at_least_one)]
    pub(crate) threads: Option<usize>,
    /// Print no notes and no progress; repeat to print no warnings either
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) quiet: u8,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Evaluate a network on labeled images
    #[command(visible_alias = "val")]
    Eval(Box<eval::EvalArgs>),
    /// Classify images
    Predict(predict::PredictArgs),
    /// Merge the results of shards into one
    Merge(merge::MergeArgs),
    /// Compare the predictions of several runs over the same images
    Compare(compare::CompareArgs),
    /// Find the class of each pixel
    Segment(Box<segment::SegmentArgs>),
    /// Turn images into vectors
    Embed(Box<embed::EmbedArgs>),
    #[cfg_attr(feature = "serve", doc = "Serve models over HTTP and gRPC")]
    #[cfg_attr(not(feature = "serve"), doc = "Serve models over HTTP and gRPC (not in this build: --features serve)")]
    Serve(Box<serve::ServeArgs>),
    /// Train a network
    Train(Box<train::TrainArgs>),
    /// Measure speed
    Bench(bench::BenchArgs),
    /// List networks and published weights
    #[command(visible_alias = "models")]
    List(list::ListArgs),
    /// Describe a network layer by layer: parameters, MACs, memory
    Info(info::InfoArgs),
    /// Convert a model file to safetensors
    Convert(convert::ConvertArgs),
    /// Write a network as ONNX
    Export(Box<export::ExportArgs>),
    /// Quantize a network to 8-bit integers
    Quantize(Box<quantize::QuantizeArgs>),
    /// Download weights into the cache and print their path
    #[cfg(feature = "hub")]
    Download(crate::commands::download::DownloadArgs),
    /// Show the contents of a model file
    Inspect(inspect::InspectArgs),
    /// Print every stage of a prediction: pixels, tensor, feature maps, logits
    Trace(trace::TraceArgs),
    /// Print version, processor and environment variables
    Env(env::EnvArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_valid() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_help_of_a_command_explains_its_words() {
        let mut command = Arguments::command();
        for (name, word) in
            [("info", "CIO is"), ("merge", "byte for byte"), ("compare", "reference"), ("eval", "bundled")]
        {
            let help = command.find_subcommand_mut(name).unwrap().render_help().to_string();
            assert!(help.contains(word), "{name}: {help}");
        }
    }
}
