//! Model files of any format, read strictly.
//!
//! A file fits its network or it does not: every parameter must be there once, in its shape, with finite values and no
//! variance below zero, and nothing else but PyTorch's counters of batches, which inference does not use. Its names may
//! be those of any [`Scheme`]; with metadata they are the canonical ones. Names may have a prefix, and then the file
//! may hold other tensors next to those below it. A quantized network is described by its metadata, and its layers are
//! integers with their scales (`quantized/stored.rs`).

mod parameters;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use hardnet_checkpoint::{Checkpoint, Format, OpaqueValue};
use hardnet_graph::{Config, Variant};

use crate::error::{Error, Result};
use crate::examine::{Examined, examine_with, network_name};
use crate::metadata::Metadata;
use crate::onnx::with_parameters;
use crate::options::WeightsOptions;
use crate::quantized::Quantization;
use crate::quantized::stored::StoredLayers;
use crate::recognize::Recognized;
use crate::scheme::{NamedParam, Scheme};
use crate::values;
pub use parameters::{FileParameters, OwnedParameters};

/// A model file that fits its network: PyTorch, Paddle or safetensors, told apart by content.
///
/// The file is held in memory as it is, and its values are decoded tensor by tensor when they are read. With
/// [`WeightsOptions::streamed`] it stays on disk.
#[derive(Debug)]
pub struct WeightsFile {
    path: PathBuf,
    checkpoint: Checkpoint,
    config: Config,
    scheme: Scheme,
    params: Vec<(NamedParam, usize)>,
    prefix: String,
    wrappers: Vec<String>,
    left_out: Vec<String>,
    assumed: Vec<String>,
    metadata: Option<Metadata>,
    /// The layers of a quantized network.
    stored: Option<StoredLayers>,
}

impl WeightsFile {
    /// Reads a file whose network is named by its metadata, or recognized by the names and shapes of its tensors.
    ///
    /// # Errors
    ///
    /// [`Error::Read`], [`Error::Format`] and [`Error::Metadata`] for a file that is not a whole model file;
    /// [`Error::Mismatch`] with everything that is missing, unexpected, mis-shaped, of an unreadable type, not finite
    /// or negative, against the network that the metadata names or the published one that comes closest;
    /// [`Error::Ambiguous`] where the file holds several networks.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, &WeightsOptions::default())
    }

    /// Reads a file for the network and the part that `options` name.
    ///
    /// # Errors
    ///
    /// As [`WeightsFile::open`]; [`Error::OtherNetwork`] where the file holds another network, [`Error::NoPrefix`]
    /// where it has no such part.
    pub fn open_with(path: impl AsRef<Path>, options: &WeightsOptions) -> Result<Self> {
        let path = path.as_ref();
        let checkpoint = open(path, options)?;
        let on_disk = checkpoint.format() == Format::Onnx && checkpoint.bytes().is_none();
        match Self::new(path, checkpoint, options) {
            // A model that takes more of its elements to be understood, or that is refused: the reason is then that of
            // a file in memory.
            Err(_) if on_disk => {
                let options = options.clone().streamed(false);
                Self::new(path, open(path, &options)?, &options)
            }
            file => file,
        }
    }

    /// Reads a file that must hold `variant`, with as many classes as it has.
    ///
    /// # Errors
    ///
    /// As [`WeightsFile::open`], and [`Error::OtherNetwork`] where the file holds another network.
    pub fn open_as(path: impl AsRef<Path>, variant: Variant) -> Result<Self> {
        Self::open_with(path, &WeightsOptions::default().variant(variant))
    }

    /// Reads the content of a file, for example one that a program carries; errors call it `name`.
    ///
    /// # Errors
    ///
    /// As [`WeightsFile::open`].
    pub fn from_bytes(name: impl AsRef<Path>, bytes: Vec<u8>) -> Result<Self> {
        Self::from_bytes_with(name, bytes, &WeightsOptions::default())
    }

    /// Reads the content of a file for the network and the part that `options` name; errors call it `name`.
    ///
    /// # Errors
    ///
    /// As [`WeightsFile::open_with`].
    pub fn from_bytes_with(name: impl AsRef<Path>, bytes: Vec<u8>, options: &WeightsOptions) -> Result<Self> {
        Self::new(name.as_ref(), parse(name.as_ref(), bytes, options)?, options)
    }

    /// Reads the content of a file that must hold `variant`; errors call it `name`.
    ///
    /// # Errors
    ///
    /// As [`WeightsFile::open_as`].
    pub fn from_bytes_as(name: impl AsRef<Path>, bytes: Vec<u8>, variant: Variant) -> Result<Self> {
        Self::from_bytes_with(name, bytes, &WeightsOptions::default().variant(variant))
    }

    /// Reads a checkpoint that is open; errors call it `name`.
    ///
    /// # Errors
    ///
    /// As [`WeightsFile::open`].
    pub fn from_checkpoint(name: impl AsRef<Path>, checkpoint: Checkpoint) -> Result<Self> {
        Self::new(name.as_ref(), checkpoint, &WeightsOptions::default())
    }

    fn new(path: &Path, checkpoint: Checkpoint, options: &WeightsOptions) -> Result<Self> {
        let checkpoint = with_parameters(path, checkpoint, options)?;
        let Examined { metadata, recognized } = examine_with(path, &checkpoint, options)?;
        if let Some(expected) = options.network.as_ref().filter(|expected| !expected.is(&recognized.config)) {
            let (found, expected) = (network_name(&recognized.config), expected.instead_of(&recognized.config));
            return Err(Error::OtherNetwork { path: path.into(), found, expected });
        }
        if recognized.differences.count() > 0 {
            if let Some(value) = refused(&checkpoint, &recognized.differences.missing) {
                return Err(Error::Format { path: path.into(), source: Box::new(value.refusal()) });
            }
            let network = match (&options.network, recognized.config.published_name(), &metadata) {
                (_, Some(name), _) => name.into(),
                (Some(expected), None, _) => expected.name(),
                (None, None, Some(_)) => "the network of its metadata".into(),
                (None, None, None) => network_name(&recognized.config),
            };
            let differences = Box::new(recognized.differences);
            return Err(Error::Mismatch { path: path.into(), network, differences });
        }
        let places: HashMap<&str, usize> =
            checkpoint.tensors().iter().zip(0..).map(|(tensor, index)| (tensor.name.as_str(), index)).collect();
        let place = |named: NamedParam| {
            let index = *places.get(named.key.as_str()).expect("a file without differences has every parameter");
            (named, index)
        };
        let params = recognized.params.into_iter().map(place).collect();
        let Recognized { config, scheme, prefix, wrappers, left_out, assumed, .. } = recognized;
        let path = path.into();
        // A network that the caller describes in place of an assumed one is the file's from now on.
        let metadata =
            metadata.map(|metadata| Metadata { config: config.clone(), assumed: assumed.clone(), ..metadata });
        let quantization = metadata.as_ref().and_then(|metadata| metadata.quantization.as_ref());
        let stored = quantization.map(|own| StoredLayers::new(&checkpoint, &config, own)).transpose()?;
        Ok(Self { path, checkpoint, config, scheme, params, prefix, wrappers, left_out, assumed, metadata, stored })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The network that the file holds.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The scheme by which the file names parameters.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The prefix of the parameters' names, before those of the scheme: `model.`; mostly empty.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Modules in the middle of the parameters' names that only wrap others, such as `_orig_mod`.
    pub fn wrappers(&self) -> &[String] {
        &self.wrappers
    }

    /// Names of the tensors that are outside the network: not below the [prefix](Self::prefix).
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Assumptions about the network where shapes leave something open, in words: `ReLU6`, `max pooling after block 1`.
    /// Nothing for a published network, and for one that metadata or the caller describe.
    pub fn assumed(&self) -> &[String] {
        &self.assumed
    }

    /// The file's metadata, if it has any, with the network of [`config`](Self::config).
    pub fn metadata(&self) -> Option<&Metadata> {
        self.metadata.as_ref()
    }

    /// How the network was quantized, if the file holds 8-bit integers. Its [parameters](Self::parameters) are then
    /// [`QuantizedParameters`](crate::QuantizedParameters), and have no values of its integer layers.
    pub fn quantization(&self) -> Option<&Quantization> {
        self.metadata.as_ref()?.quantization.as_ref()
    }

    /// Checks that all parameters are in floating point.
    ///
    /// # Errors
    ///
    /// [`Error::Quantized`] for a file of 8-bit integers.
    pub fn expect_floats(&self) -> Result<()> {
        match self.stored {
            Some(_) => Err(Error::Quantized { path: self.path.clone() }),
            None => Ok(()),
        }
    }

    /// The file as a table of tensors, as stored.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Computes the SHA-256 of the file, in lower-case hexadecimal digits.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] if the file is on disk and can no longer be read.
    pub fn sha256(&self) -> Result<String> {
        let mut sum = hardnet_base::Sha256::default();
        let read = self.checkpoint.for_each_part(&mut |part| sum.update(part));
        read.map_err(|source| Error::Format { path: self.path.clone(), source: Box::new(source) })?;
        Ok(sum.finish())
    }

    /// Canonical name and shape of every parameter in the order of [`Graph::params`](hardnet_graph::Graph::params).
    pub(crate) fn shapes(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.params.iter().map(|(named, _)| (named.param.name.as_str(), &named.param.shape[..]))
    }

    /// Every parameter in that order, with its values in its canonical shape.
    pub(crate) fn params(&self) -> impl Iterator<Item = (&NamedParam, Result<Vec<f32>>)> {
        self.params.iter().map(|(named, index)| (named, self.read(named, *index)))
    }

    /// The parameters one by one, each decoded whenever it is read.
    pub fn parameters(&self) -> FileParameters<'_> {
        FileParameters::new(self)
    }

    /// The parameters one by one, each read once: its memory is freed.
    ///
    /// For an engine whose packed weights need as much memory as the file and more.
    pub fn into_parameters(self) -> OwnedParameters {
        OwnedParameters::new(self)
    }

    /// The values of the tensor `index`, which is `named`, in its canonical shape.
    fn read(&self, named: &NamedParam, index: usize) -> Result<Vec<f32>> {
        let values = values::read(&self.checkpoint, index);
        let values = values.map_err(|source| Error::Format { path: self.path.clone(), source: Box::new(source) })?;
        Ok(values::canonical(values, named))
    }
}

fn open(path: &Path, options: &WeightsOptions) -> Result<Checkpoint> {
    Checkpoint::open_with(path, &options.read()).map_err(|error| match error {
        hardnet_checkpoint::Error::Read { path, source } => Error::Read { path, source },
        source => Error::Format { path: path.into(), source: Box::new(source) },
    })
}

fn parse(name: &Path, bytes: Vec<u8>, options: &WeightsOptions) -> Result<Checkpoint> {
    let checkpoint = Checkpoint::from_bytes_with(bytes, &options.read());
    checkpoint.map_err(|source| Error::Format { path: name.into(), source: Box::new(source) })
}

/// The value that is not read, as its class is not known, and that stands for one of the `missing` tensors, or by its
/// name for a parameter: without it, an own network is taken for another one.
fn refused<'a>(checkpoint: &'a Checkpoint, missing: &[String]) -> Option<&'a OpaqueValue> {
    const PARAMETERS: [&str; 6] = ["weight", "bias", "running_mean", "running_var", "_mean", "_variance"];
    let named = |value: &OpaqueValue, name: &String| {
        value.name.strip_suffix(name.as_str()).is_some_and(|prefix| prefix.is_empty() || prefix.ends_with('.'))
    };
    let is_parameter =
        |value: &OpaqueValue| value.name.rsplit_once('.').is_some_and(|(_, leaf)| PARAMETERS.contains(&leaf));
    let opaque = checkpoint.opaque();
    let wanted = opaque.iter().find(|value| missing.iter().any(|name| named(value, name)));
    wanted.or_else(|| opaque.iter().find(|value| is_parameter(value)))
}

#[cfg(test)]
mod tests;
