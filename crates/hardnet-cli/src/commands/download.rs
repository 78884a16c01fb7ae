//! `hardnet download`.

use clap::Args;
use hardnet_weights::{HashKind, Place, Source};

use crate::failure::{Exit, Failure, Result};
use crate::printer::Printer;
use crate::weights::{FetchArgs, fetch, megabytes, preview};

/// Fetch weights into the cache and print where they are.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hardnet download hardnet68.upstream_in1k
  hardnet download --dry-run hardnet68.upstream_in1k
  hardnet download hf://owner/name@v1/model.safetensors

`hardnet list --weights` prints the tags.")]
pub(crate) struct DownloadArgs {
    // Not a doc comment: brackets there are links.
    #[arg(help = "Tag, or hf://owner/name[@revision][/file]", value_name = "WEIGHTS")]
    source: Source,
    /// Ask for it even where the cache has it
    #[arg(long)]
    force: bool,
    /// Say what is cached, which places would be asked and how much would come; fetch nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    fetch: FetchArgs,
}

pub(crate) fn run(args: &DownloadArgs, printer: &Printer) -> Result<Exit> {
    if let Source::Path(path) = &args.source {
        return Err(Failure::message(format!("no weights are called `{}`", path.display()))
            .hint("`hardnet list --weights` prints the tags; a file on the Hub is hf://owner/name"));
    }
    if args.dry_run {
        return foresee(args, printer);
    }
    let (path, _) = fetch(&args.source, &args.fetch, args.force, printer)?;
    printer.line(path.display())?;
    Ok(Exit::Success)
}

/// Prints what the cache has, or the places that would be asked, in that order.
fn foresee(args: &DownloadArgs, printer: &Printer) -> Result<Exit> {
    let preview = preview(&args.source, &args.fetch, args.force, printer)?;
    if let Some(fetched) = preview.cached {
        printer.note(format_args!("{} is cached", args.source));
        printer.line(fetched.path.display())?;
    }
    if let [first, ..] = &preview.places[..] {
        printer.note(format_args!(
            "{} is not cached; it would be fetched from the first of these that has it:",
            args.source
        ));
        for place in &preview.places {
            printer.line(describe(place))?;
        }
        let about = if matches!(args.source, Source::Tag(_)) { "about " } else { "" };
        let size = first.size.map_or("a file of unknown length".into(), |size| format!("{about}{}", megabytes(size)));
        printer.note(format_args!("{size} would come"));
    }
    printer.note("dry run: nothing is fetched");
    Ok(Exit::Success)
}

fn describe(place: &Place) -> String {
    let hash = match place.hash_kind {
        HashKind::Verified => "its hash is known",
        HashKind::Inferred => "its hash is inferred from its name",
        _ => "no hash is known: unverified",
    };
    format!("{}  ({hash})", place.address)
}
