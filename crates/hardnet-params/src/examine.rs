//! Examination of a checkpoint, whether or not it can be used.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use hardnet_checkpoint::Checkpoint;
use hardnet_graph::{Config, ParamKind};

use crate::error::{Error, Result};
use crate::metadata::{METADATA_KEY, Metadata};
use crate::options::{Expected, WeightsOptions};
use crate::quantized::stored;
use crate::recognize::{self, FileTensor, Recognized, Wanted, recognize};
use crate::scheme::NamedParam;
use crate::values;

/// The network in a checkpoint.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Examined {
    /// The file's metadata, if it has any.
    pub metadata: Option<Metadata>,
    /// The network that the metadata names, or that the tensors are or come closest to; its differences have all that
    /// keeps the file from being used.
    pub recognized: Recognized,
}

/// Finds the network that a checkpoint holds and checks every tensor and value against it.
///
/// # Errors
///
/// [`Error::Metadata`] and [`Error::Graph`] for metadata that do not describe a network, [`Error::Ambiguous`] where
/// there are several; everything else that is wrong is in the differences. Errors call the checkpoint `name`.
pub fn examine(name: impl AsRef<Path>, checkpoint: &Checkpoint) -> Result<Examined> {
    examine_with(name, checkpoint, &WeightsOptions::default())
}

/// As [`examine`], for the network and the part of the file that `options` name.
///
/// # Errors
///
/// As [`examine`], and [`Error::NoPrefix`] where no name begins with the prefix of `options`.
pub fn examine_with(name: impl AsRef<Path>, checkpoint: &Checkpoint, options: &WeightsOptions) -> Result<Examined> {
    let path = || name.as_ref().to_path_buf();
    let json = checkpoint.metadata().get(METADATA_KEY);
    let metadata = json.map(|json| Metadata::from_json(json)).transpose();
    let metadata = metadata.map_err(|reason| Error::Metadata { path: path(), reason })?;
    if let Some(metadata) = &metadata
        && let Some(quantization) = &metadata.quantization
    {
        let mut recognized = stored::recognize(checkpoint, &metadata.config, quantization)?;
        recognized.assumed.clone_from(&metadata.assumed);
        return Ok(Examined { recognized, metadata: Some(metadata.clone()) });
    }
    let format = checkpoint.format();
    let tensors: Vec<_> = checkpoint.tensors().iter().map(|info| FileTensor::new(info, format)).collect();
    // Facts from metadata are certain, unless the metadata say that they were assumed.
    let wanted = match (&metadata, &options.network) {
        (Some(Metadata { assumed, .. }), Some(Expected::Config(config))) if !assumed.is_empty() => {
            Wanted::Config(config)
        }
        (Some(metadata), _) => Wanted::Stored(&metadata.config),
        (None, Some(Expected::Config(config))) => Wanted::Config(config),
        (None, Some(Expected::Variant(variant))) => Wanted::Variant(*variant),
        (None, None) => Wanted::Any,
    };
    let found = recognize(&tensors, wanted, options.prefix.as_deref())?;
    let mut recognized = chosen(checkpoint, found).map_err(|found| match found.is_empty() {
        true => {
            let prefix = options.prefix.clone().unwrap_or_default();
            Error::NoPrefix { path: path(), prefix, found: recognize::prefixes(&tensors) }
        }
        false => {
            let parts = found.into_iter().map(|found| (found.prefix, network_name(&found.config))).collect();
            Error::Ambiguous { path: path(), parts }
        }
    })?;
    if let (Wanted::Stored(_), Some(metadata)) = (wanted, &metadata) {
        recognized.assumed.clone_from(&metadata.assumed);
    }
    recognized.left_out = recognize::left_out(&tensors, &recognized.prefix);
    check_values(checkpoint, &mut recognized);
    Ok(Examined { metadata, recognized })
}

/// The first of the networks, if all others are the same one with the same values; else all of them.
fn chosen(checkpoint: &Checkpoint, mut found: Vec<Recognized>) -> std::result::Result<Recognized, Vec<Recognized>> {
    /// Comparing more networks than that would take longer than any file is worth.
    const MOST: usize = 8;
    let Some((first, others)) = found.split_first().filter(|(_, others)| others.len() < MOST) else {
        return Err(found);
    };
    let indices: HashMap<&str, usize> =
        checkpoint.tensors().iter().zip(0..).map(|(tensor, index)| (tensor.name.as_str(), index)).collect();
    let values = |named: &NamedParam| {
        let read = values::read(checkpoint, *indices.get(named.key.as_str())?).ok()?;
        Some(values::canonical(read, named))
    };
    let same = |other: &Recognized| {
        let mut pairs = first.params.iter().zip(&other.params);
        // NaN equals nothing, and is reported for the first.
        other.config == first.config && pairs.all(|(a, b)| values(a).is_some_and(|a| Some(a) == values(b)))
    };
    if others.iter().all(same) { Ok(found.swap_remove(0)) } else { Err(found) }
}

/// A network in a message.
pub(crate) fn network_name(config: &Config) -> String {
    config.published_name().unwrap_or("a network of its own").into()
}

/// Adds what is wrong with the values of the parameters that are there in their shape.
fn check_values(checkpoint: &Checkpoint, recognized: &mut Recognized) {
    let Recognized { params, differences, .. } = recognized;
    let misshaped: HashSet<&str> = differences.misshaped.iter().map(|shaped| shaped.name.as_str()).collect();
    let kinds: HashMap<&str, ParamKind> = params.iter().map(|named| (named.key.as_str(), named.param.kind)).collect();
    for (index, tensor) in checkpoint.tensors().iter().enumerate() {
        let name = tensor.name.as_str();
        let Some(kind) = kinds.get(name).filter(|_| !misshaped.contains(name)) else { continue };
        let (most, negative) = values::survey(checkpoint, index).expect("the index is that of a tensor");
        if !most.is_finite() {
            differences.not_finite.push(name.into());
        }
        if *kind == ParamKind::RunningVar && negative {
            differences.negative.push(name.into());
        }
    }
}
