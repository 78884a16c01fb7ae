//! From what names weights to a file on this machine, and what is said on the way.

use std::path::PathBuf;

use clap::Args;
use hardnet_weights::Source;

use crate::failure::Result;
use crate::printer::Printer;

/// How weights that are named by a tag or an `hf://` address are had.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Download")]
pub(crate) struct FetchArgs {
    /// Make no request: take what the caches have
    #[arg(long)]
    pub(crate) offline: bool,
    /// SHA-256 of a downloaded file that is taken though its name promised another, or nothing vouches for it
    #[arg(long, value_name = "DIGEST")]
    pub(crate) accept_sha256: Option<String>,
}

/// Weights on this machine.
pub(crate) struct Located {
    /// The file.
    pub(crate) path: PathBuf,
    /// How far it was checked when it was fetched, for a tag.
    pub(crate) check: Option<&'static str>,
}

/// The file at `source`, fetched first where no cache has it.
#[cfg(not(feature = "hub"))]
pub(crate) fn locate(source: &Source, _: &FetchArgs, _: &Printer) -> Result<Located> {
    Ok(Located { path: source.locate()?, check: None })
}

/// The file at `source`, fetched first where no cache has it.
#[cfg(feature = "hub")]
pub(crate) fn locate(source: &Source, args: &FetchArgs, printer: &Printer) -> Result<Located> {
    fetch(source, args, false, printer)
}

/// What [`fetch`] would do.
#[cfg(feature = "hub")]
pub(crate) fn preview(
    source: &Source,
    args: &FetchArgs,
    force: bool,
    printer: &Printer,
) -> Result<hardnet_weights::Preview> {
    let mut transfer = crate::progress::Transfer::new(*printer);
    Ok(source.preview(&args.options(force), &mut |event| transfer.show(&event))?)
}

/// The same as [`locate`]; with `force` it is asked for though a cache has it.
#[cfg(feature = "hub")]
pub(crate) fn fetch(source: &Source, args: &FetchArgs, force: bool, printer: &Printer) -> Result<Located> {
    use crate::progress::Transfer;
    use hardnet_weights::Check;

    let options = args.options(force);
    let mut transfer = Transfer::new(*printer);
    let fetched = source.fetch(&options, &mut |event| transfer.show(&event));
    transfer.finish();
    let fetched = fetched?;
    let check = fetched.origin.as_ref().map(|origin| origin.check.name());
    if let Some(origin) = fetched.origin.filter(|origin| origin.check == Check::Unverified) {
        printer.warn(format_args!(
            "{source} is unverified: nothing is known of the file at {}; it has the SHA-256 {}",
            origin.address, origin.sha256
        ));
    }
    Ok(Located { path: fetched.path, check })
}

#[cfg(feature = "hub")]
impl FetchArgs {
    /// What the environment and these flags say.
    fn options(&self, force: bool) -> hardnet_weights::FetchOptions {
        let mut options = hardnet_weights::FetchOptions::from_env();
        if self.offline {
            options.offline = Some("--offline was given".into());
        }
        options.accept_sha256 = self.accept_sha256.clone();
        options.force = force;
        options
    }
}

/// Bytes as people read them.
#[cfg(feature = "hub")]
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
