//! Weights as the user names them: a path, a tag or an `hf://` address.

#[cfg(feature = "hub")]
mod hub;
#[cfg(not(feature = "hub"))]
#[path = "weights/no_hub.rs"]
mod hub;

use std::path::{Path, PathBuf};

use clap::Args;
use hardnet_base::excerpt;
use hardnet_checkpoint::{Checkpoint, ReadOptions};
use hardnet_model::{WeightsFile, WeightsOptions};
use hardnet_weights::{RegistryEntry, WeightsSource, registry};

use crate::failure::{Hinted, Result};
use crate::format::counted;
use crate::network::{NetworkName, nearest, quoted};
use crate::printer::Printer;

pub(crate) use hub::*;

/// Options of downloads.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Download")]
pub(crate) struct FetchArgs {
    /// Make no network requests; use cached weights only
    #[arg(long)]
    pub(crate) offline: bool,
    /// Accept a download with this SHA-256, even if no hash is published for it or the file's name states another
    #[arg(long, value_name = "DIGEST")]
    pub(crate) accept_sha256: Option<String>,
}

/// The part of a weights file to read.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PartArgs {
    /// Read the tensors whose names begin with this, such as model. [default: detected]
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
    /// Read this dictionary of a checkpoint, such as state_dict or model_ema; hardnet inspect lists them [default:
    /// averaged weights first]
    #[arg(long, value_name = "KEY")]
    entry: Option<String>,
}

impl PartArgs {
    /// How a file is opened that must hold `network`, if it is given.
    pub(crate) fn options(&self, network: Option<&NetworkName>) -> Result<WeightsOptions> {
        let mut options = WeightsOptions::default();
        options.network = network.map(NetworkName::expected).transpose()?;
        options.prefix.clone_from(&self.prefix);
        options.entry.clone_from(&self.entry);
        Ok(options)
    }
}

/// Weights on this machine.
pub(crate) struct Located {
    location: Location,
    /// How the file was verified when it was downloaded, for a tag.
    pub(crate) verification: Option<&'static str>,
}

enum Location {
    File(PathBuf),
    /// Embedded in the program.
    Bundled(&'static RegistryEntry),
}

impl Located {
    /// Opens the weights, of a file their `part`, which must be those of `network` if it is given.
    pub(crate) fn open(&self, network: Option<&NetworkName>, part: &PartArgs) -> Result<WeightsFile> {
        self.open_with(&part.options(network)?)
    }

    /// As [`open`](Self::open), with values that stay on disk until they are read.
    pub(crate) fn open_streamed(&self, network: Option<&NetworkName>, part: &PartArgs) -> Result<WeightsFile> {
        self.open_with(&part.options(network)?.streamed(true))
    }

    /// The file, unless the program embeds it.
    pub(crate) fn file(&self) -> Option<&Path> {
        match &self.location {
            Location::File(path) => Some(path),
            Location::Bundled(_) => None,
        }
    }

    /// Reads a model file of any network.
    pub(crate) fn checkpoint(
        &self,
        options: &ReadOptions,
    ) -> Result<std::result::Result<Checkpoint, hardnet_checkpoint::Error>> {
        Ok(match &self.location {
            Location::File(path) => Checkpoint::open_with(path, options),
            Location::Bundled(entry) => Checkpoint::from_bytes_with(entry.content()?.to_vec(), options),
        })
    }

    fn open_with(&self, options: &WeightsOptions) -> Result<WeightsFile> {
        let entry = match &self.location {
            Location::File(path) => return add_hint(WeightsFile::open_with(path, options), path, options),
            Location::Bundled(entry) => entry,
        };
        let file = WeightsFile::from_bytes_with(&entry.tag, entry.content()?.to_vec(), options);
        add_hint(file, Path::new(&entry.tag), options)
    }
}

/// Says which dictionary of a checkpoint is read, where it has several.
pub(crate) fn tell_entry(checkpoint: &Checkpoint, printer: &Printer) {
    for value in checkpoint.passed_over() {
        let (name, class) = (excerpt(&value.name), format!("{}.{}", value.module, value.class));
        printer.warn(format_args!("`{name}` is an object of the class `{class}` and is not read"));
    }
    let own = checkpoint.wrapper().unwrap_or(".");
    let (read, others): (Vec<_>, Vec<_>) = checkpoint.dictionaries().iter().partition(|one| one.path == own);
    if let (Some(read), false) = (read.first(), others.is_empty()) {
        let more = if others.len() > SHOWN { ", ..." } else { "" };
        let others = others.iter().take(SHOWN).map(|other| other.to_string()).collect::<Vec<_>>().join(", ");
        printer.note(format_args!("reading {read}; --entry chooses another dictionary: {others}{more}"));
    }
}

/// Says what of an opened file is not as it stands in it: names, tensors, the network.
pub(crate) fn tell(file: &WeightsFile, printer: &Printer) {
    tell_entry(file.checkpoint(), printer);
    let quoted = |names: &[String]| quoted(&names.iter().map(|name| excerpt(name)).collect::<Vec<_>>());
    if !file.prefix().is_empty() {
        printer.note(format_args!("names begin with `{}`: stripped", excerpt(file.prefix())));
    }
    if !file.wrappers().is_empty() {
        printer.note(format_args!("names contain {}: stripped", quoted(file.wrappers())));
    }
    let left_out = file.left_out();
    if !left_out.is_empty() {
        let more = if left_out.len() > SHOWN { ", ..." } else { "" };
        let some = quoted(&left_out[..left_out.len().min(SHOWN)]);
        printer.note(format_args!("left out: {} ({some}{more})", counted(left_out.len(), "other tensor")));
    }
    if !file.assumed().is_empty() {
        printer.warn(format_args!(
            "the shapes of `{}` do not tell the whole network; assumed: {}; pass --model FILE to say otherwise",
            file.path().display(),
            file.assumed().join("; ")
        ));
    }
}

/// Number of names in a note.
const SHOWN: usize = 3;

/// Adds a hint to the errors of opening a weights file.
fn add_hint(file: hardnet_params::Result<WeightsFile>, path: &Path, options: &WeightsOptions) -> Result<WeightsFile> {
    match file {
        Err(error) if options.network.is_none() && is_other_network(&error) => {
            Err(error).hint(|| "if it is a network of your own, pass --model FILE that describes it".into())
        }
        Err(error @ hardnet_params::Error::OtherNetwork { .. }) => {
            Err(error).hint(|| "drop --model, or the network named before --weights: the file determines it".into())
        }
        Err(error @ hardnet_params::Error::Mismatch { .. }) => {
            Err(error).hint(|| format!("`hardnet inspect --tensors {}` lists its tensors", path.display()))
        }
        Err(error @ hardnet_params::Error::Ambiguous { .. }) => {
            let first = match &error {
                hardnet_params::Error::Ambiguous { parts, .. } => parts.first().map(|(prefix, _)| prefix.clone()),
                _ => None,
            };
            Err(error).hint(|| format!("choose one with --prefix, such as --prefix {}", first.unwrap_or_default()))
        }
        // A bare name may have been meant for a tag.
        Err(error @ hardnet_params::Error::Read { .. }) if is_missing_name(path) => {
            Err(error).hint(|| meant(&path.to_string_lossy()))
        }
        other => Ok(other?),
    }
}

/// Whether `path` is the name of a file that does not exist.
pub(crate) fn is_missing_name(path: &Path) -> bool {
    path.parent() == Some(Path::new("")) && !path.exists()
}

/// Suggests tags for `name`, which is neither a file nor a tag.
pub(crate) fn meant(name: &str) -> String {
    let entries = registry().iter();
    let of_network: Vec<_> = entries.filter(|entry| entry.config == name).map(|entry| entry.tag.as_str()).collect();
    if !of_network.is_empty() {
        return format!("`{name}` is a network; the tags of its weights are {}", quoted(&of_network));
    }
    match nearest(name, registry().iter().map(|entry| entry.tag.as_str())).as_slice() {
        [] => "neither a file nor a tag; `hardnet list --weights` lists the tags".into(),
        near => format!("neither a file nor a tag; similar tags: {}", quoted(near)),
    }
}

/// Whether an ONNX model is complete and not one of the networks that it was compared with.
fn is_other_network(error: &hardnet_params::Error) -> bool {
    match error {
        hardnet_params::Error::Layers { source, .. } => !matches!(**source, hardnet_onnx::Error::Part { .. }),
        _ => false,
    }
}

/// Returns the weights at `source`, and downloads them first if they are not cached.
pub(crate) fn locate(source: &WeightsSource, args: &FetchArgs, printer: &Printer) -> Result<Located> {
    if let WeightsSource::Tag(entry) = source
        && entry.bundled
    {
        return Ok(Located { location: Location::Bundled(entry), verification: None });
    }
    let (path, verification) = fetch(source, args, false, printer)?;
    Ok(Located { location: Location::File(path), verification })
}
