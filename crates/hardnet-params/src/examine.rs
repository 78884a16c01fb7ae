//! Examination of a checkpoint, whether or not it can be used.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use hardnet_checkpoint::Checkpoint;
use hardnet_graph::{ParamKind, Variant};

use crate::error::{Error, Result};
use crate::metadata::{METADATA_KEY, Metadata};
use crate::recognize::{FileTensor, Recognized, compare, recognize};
use crate::scheme::Scheme;
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
/// [`Error::Metadata`] and [`Error::Graph`] for metadata that do not describe a network; everything else that is wrong
/// is in the differences. Errors call the checkpoint `name`.
pub fn examine(name: impl AsRef<Path>, checkpoint: &Checkpoint) -> Result<Examined> {
    examine_as(checkpoint, None).map_err(|reason| reason.at(name.as_ref()))
}

/// Why a checkpoint was not examined, before its path is known.
pub(crate) enum Unexamined {
    Metadata(String),
    Other(Error),
}

impl Unexamined {
    pub(crate) fn at(self, path: &Path) -> Error {
        match self {
            Self::Metadata(reason) => Error::Metadata { path: path.into(), reason },
            Self::Other(error) => error,
        }
    }
}

/// As [`examine`], against `wanted` if one is given, unless the file fits another.
pub(crate) fn examine_as(
    checkpoint: &Checkpoint,
    wanted: Option<Variant>,
) -> std::result::Result<Examined, Unexamined> {
    let json = checkpoint.metadata().get(METADATA_KEY);
    let metadata = json.map(|json| Metadata::from_json(json)).transpose().map_err(Unexamined::Metadata)?;
    let format = checkpoint.format();
    let tensors: Vec<_> = checkpoint.tensors().iter().map(|info| FileTensor::new(info, format)).collect();
    let mut recognized = match &metadata {
        Some(metadata) => compare(&tensors, &metadata.config, Scheme::PyTorch),
        None => recognize(&tensors, wanted),
    }
    .map_err(Unexamined::Other)?;
    check_values(checkpoint, &mut recognized);
    Ok(Examined { metadata, recognized })
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
