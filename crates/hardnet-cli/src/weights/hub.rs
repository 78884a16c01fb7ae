//! Weights by tag and `hf://` address: downloads with progress. The program's side of the feature `hub`.

use std::path::PathBuf;

use hardnet_weights::{FetchOptions, Fetched, Preview, RegistryEntry, Verification, WeightsSource};

use super::FetchArgs;
use crate::failure::Result;
use crate::printer::Printer;
use crate::progress::DownloadProgress;

/// Returns what [`fetch`] would do.
pub(crate) fn preview(source: &WeightsSource, args: &FetchArgs, force: bool, printer: &Printer) -> Result<Preview> {
    let mut progress = DownloadProgress::new(*printer);
    Ok(source.preview(&args.options(force), &mut |event| progress.show(&event))?)
}

/// Returns the path of the file at `source` and how it was verified. Downloads it if it is not cached, or with `force`.
pub(crate) fn fetch(
    source: &WeightsSource,
    args: &FetchArgs,
    force: bool,
    printer: &Printer,
) -> Result<(PathBuf, Option<&'static str>)> {
    let mut progress = DownloadProgress::new(*printer);
    let fetched = source.fetch(&args.options(force), &mut |event| progress.show(&event));
    progress.finish();
    let Fetched { path, provenance, .. } = fetched?;
    let verification = provenance.as_ref().map(|provenance| provenance.verification.as_str());
    if let Some(provenance) = provenance.filter(|provenance| provenance.verification == Verification::Unverified) {
        printer.warn(format_args!(
            "{source} is unverified: no hash of {} is known; its SHA-256 is {}",
            provenance.address, provenance.sha256
        ));
    }
    Ok((path, verification))
}

/// Returns the path of cached weights and how they were verified.
pub(crate) fn cached(entry: &'static RegistryEntry) -> Option<(PathBuf, Option<&'static str>)> {
    let fetched = WeightsSource::Tag(entry).cached(&FetchOptions::from_env())?;
    Some((fetched.path, fetched.provenance.map(|provenance| provenance.verification.as_str())))
}

impl FetchArgs {
    /// The options that the environment and these flags give.
    fn options(&self, force: bool) -> FetchOptions {
        let mut options = FetchOptions::from_env().force(force);
        if self.offline {
            options = options.offline("--offline was given");
        }
        match &self.accept_sha256 {
            Some(digest) => options.accept_sha256(digest),
            None => options,
        }
    }
}
