//! `hardnet download`.

use clap::Args;
use hardnet_weights::{Candidate, HashKind, WeightsSource};

use crate::failure::{Exit, Failure, Result};
use crate::format::megabytes;
use crate::printer::Printer;
use crate::weights::{FetchArgs, fetch, meant, preview};

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hardnet download hardnet68.upstream_in1k
  hardnet download --dry-run hardnet68.upstream_in1k
  hardnet download hf://owner/name@v1/model.safetensors

`hardnet list --weights` lists the tags.")]
pub(crate) struct DownloadArgs {
    // Not a doc comment: brackets there are links.
    #[arg(help = "Tag, or hf://owner/name[@revision][/file]", value_name = "WEIGHTS")]
    source: WeightsSource,
    /// Download even if the weights are cached
    #[arg(long)]
    force: bool,
    /// Show what is cached, or which sources would be tried and the size of the download; download nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    fetch: FetchArgs,
}

pub(crate) fn run(args: &DownloadArgs, printer: &Printer) -> Result<Exit> {
    if let WeightsSource::Path(path) = &args.source {
        let hint = match path.exists() {
            true => "it is a file, which --weights takes as it is".into(),
            false => format!("{}; a file on the Hub is hf://owner/name", meant(&path.to_string_lossy())),
        };
        return Err(Failure::message(format!("no weights named `{}`", path.display())).hint(hint));
    }
    if args.dry_run {
        return dry_run(args, printer);
    }
    let (path, _) = fetch(&args.source, &args.fetch, args.force, printer)?;
    printer.line(path.display())?;
    Ok(Exit::Success)
}

/// Prints the path of the cached file, or the sources that would be tried, in order.
fn dry_run(args: &DownloadArgs, printer: &Printer) -> Result<Exit> {
    let preview = preview(&args.source, &args.fetch, args.force, printer)?;
    if let Some(fetched) = preview.cached {
        printer.note(format_args!("{} is cached", args.source));
        printer.line(fetched.path.display())?;
    }
    if let [first, ..] = &preview.candidates[..] {
        printer.note(format_args!("{} is not cached; these sources would be tried in order:", args.source));
        for candidate in &preview.candidates {
            printer.line(describe(candidate))?;
        }
        let about = if matches!(args.source, WeightsSource::Tag(_)) { "about " } else { "" };
        let size = first.size.map_or("a file of unknown length".into(), |size| format!("{about}{}", megabytes(size)));
        printer.note(format_args!("download size: {size}"));
    }
    printer.note("dry run: nothing was downloaded");
    Ok(Exit::Success)
}

fn describe(candidate: &Candidate) -> String {
    let hash = match candidate.hash_kind {
        HashKind::Verified => "hash is known",
        HashKind::Inferred => "hash is inferred from the file name",
        _ => "hash is unknown",
    };
    format!("{}  ({hash})", candidate.address)
}
