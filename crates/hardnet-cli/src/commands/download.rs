//! `hardnet download`.

use clap::Args;
use hardnet_weights::Source;

use crate::failure::{Exit, Failure, Result};
use crate::printer::Printer;
use crate::weights::{FetchArgs, fetch};

/// Fetch weights into the cache and print where they are
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hardnet download hardnet68.upstream_in1k
  hardnet download hf://owner/name@v1/model.safetensors

`hardnet list --weights` prints the tags.")]
pub(crate) struct DownloadArgs {
    // Not a doc comment: brackets there are links.
    #[arg(help = "Tag, or hf://owner/name[@revision][/file]", value_name = "WEIGHTS")]
    source: Source,
    /// Ask for it even where the cache has it
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    fetch: FetchArgs,
}

pub(crate) fn run(args: &DownloadArgs, printer: &Printer) -> Result<Exit> {
    if let Source::Path(path) = &args.source {
        return Err(Failure::message(format!("no weights are called `{}`", path.display()))
            .hint("`hardnet list --weights` prints the tags; a file on the Hub is hf://owner/name"));
    }
    let path = fetch(&args.source, &args.fetch, args.force, printer)?;
    printer.line(path.display())?;
    Ok(Exit::Success)
}
