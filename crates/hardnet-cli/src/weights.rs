//! From what names weights to a file on this machine, and what is said on the way.

use std::path::{Path, PathBuf};

use clap::Args;
use hardnet_model::{Variant, WeightsFile};
use hardnet_weights::{Entry, Source};

use crate::failure::{Hinted, Result};
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
    place: Place,
    /// How far it was checked when it was fetched, for a tag.
    pub(crate) check: Option<&'static str>,
}

enum Place {
    File(PathBuf),
    /// In the program.
    Bundled(&'static Entry),
}

impl Located {
    /// Reads the weights, which must be those of `variant` if one is given.
    pub(crate) fn open(&self, variant: Option<Variant>) -> Result<WeightsFile> {
        let entry = match &self.place {
            Place::File(path) => return open_weights(path, variant),
            Place::Bundled(entry) => entry,
        };
        let content = entry.content()?.to_vec();
        let file = match variant {
            None => WeightsFile::from_bytes(&entry.tag, content),
            Some(variant) => WeightsFile::from_bytes_as(&entry.tag, content, variant),
        };
        explained(file, Path::new(&entry.tag))
    }
}

/// Reads a weights file, which must hold `variant` if one is given.
pub(crate) fn open_weights(path: &Path, variant: Option<Variant>) -> Result<WeightsFile> {
    let file = match variant {
        None => WeightsFile::open(path),
        Some(variant) => WeightsFile::open_as(path, variant),
    };
    explained(file, path)
}

/// The file, or what to do where it does not fit.
fn explained(file: hardnet_params::Result<WeightsFile>, path: &Path) -> Result<WeightsFile> {
    match file {
        Err(error @ hardnet_params::Error::OtherNetwork { .. }) => {
            Err(error).hint(|| "drop --model: the file says which network it holds".into())
        }
        Err(error @ hardnet_params::Error::Mismatch { .. }) => {
            Err(error).hint(|| format!("hardnet inspect --tensors {} lists what it holds", path.display()))
        }
        // A bare name may have been meant for a tag.
        Err(error) if path.parent() == Some(Path::new("")) && !path.exists() => {
            Err(error).hint(|| "it is no tag either: `hardnet list --weights` shows them".into())
        }
        other => Ok(other?),
    }
}

/// The weights at `source`, fetched first where no cache has them.
pub(crate) fn locate(source: &Source, args: &FetchArgs, printer: &Printer) -> Result<Located> {
    if let Source::Tag(entry) = source
        && entry.bundled
    {
        return Ok(Located { place: Place::Bundled(entry), check: None });
    }
    #[cfg(feature = "hub")]
    let (path, check) = fetch(source, args, false, printer)?;
    #[cfg(not(feature = "hub"))]
    let (path, check) = {
        let _ = (args, printer);
        (source.locate()?, None)
    };
    Ok(Located { place: Place::File(path), check })
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

/// The file at `source`, fetched first where no cache has it, or with `force` in any case; and how far it was checked.
#[cfg(feature = "hub")]
pub(crate) fn fetch(
    source: &Source,
    args: &FetchArgs,
    force: bool,
    printer: &Printer,
) -> Result<(PathBuf, Option<&'static str>)> {
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
    Ok((fetched.path, check))
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
