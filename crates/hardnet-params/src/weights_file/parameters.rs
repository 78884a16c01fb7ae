//! The parameters of a file, borrowed from it or taken out of it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use hardnet_checkpoint::Elements;
use hardnet_graph::ParamInfo;

use super::WeightsFile;
use crate::error::{Error, Result};
use crate::parameters::Parameters;
use crate::quantized::stored::StoredLayers;
use crate::quantized::{ChannelUnits, MapQuantization, QuantizedLayer, QuantizedParameters};
use crate::scheme::NamedParam;
use crate::values::{self, FloatType};

/// The parameters of a [`WeightsFile`] as f32, each decoded when it is read.
#[derive(Debug)]
pub struct FileParameters<'a> {
    file: &'a WeightsFile,
    places: HashMap<&'a str, (&'a NamedParam, usize)>,
}

impl<'a> FileParameters<'a> {
    pub(super) fn new(file: &'a WeightsFile) -> Self {
        let places = file.params.iter().map(|(named, index)| (named.param.name.as_str(), (named, *index)));
        Self { file, places: places.collect() }
    }
}

impl Parameters for FileParameters<'_> {
    fn values(&self, param: &ParamInfo) -> Result<Vec<f32>> {
        match self.places.get(param.name.as_str()) {
            Some((named, index)) => self.file.read(named, *index),
            None => Err(absent(self.file.stored.as_ref(), &self.file.path, param)),
        }
    }
}

impl QuantizedParameters for FileParameters<'_> {
    fn map(&self, node: &str) -> Option<MapQuantization> {
        self.file.stored.as_ref()?.maps.get(node).copied()
    }

    fn layer(&self, node: &str) -> Result<Option<QuantizedLayer>> {
        let read = |index: usize| {
            let bytes = self.file.checkpoint.read(index);
            let bytes = bytes.map_err(|source| damaged(&self.file.path, source))?;
            Ok(bytes.into_owned())
        };
        layer(self.file.stored.as_ref(), node, read)
    }

    fn has_integers(&self, node: &str) -> Result<bool> {
        Ok(self.file.stored.as_ref().is_some_and(|stored| stored.layers.contains_key(node)))
    }

    fn units(&self, node: &str) -> Option<ChannelUnits> {
        self.file.stored.as_ref()?.units.get(node).cloned()
    }
}

/// The error for a parameter that a file does not have.
fn absent(stored: Option<&StoredLayers>, path: &Path, param: &ParamInfo) -> Error {
    let is_of = |node: &String| param.name.strip_prefix(node.as_str()).is_some_and(|rest| rest.starts_with('.'));
    if stored.is_some_and(|stored| stored.layers.keys().any(is_of)) {
        return Error::Integers { name: param.name.clone() };
    }
    Error::NoParameter { path: path.into(), name: param.name.clone() }
}

fn damaged(path: &Path, source: hardnet_checkpoint::Error) -> Error {
    Error::Format { path: path.into(), source: Box::new(source) }
}

/// The layer of `node`, whose tensors `read` gives.
fn layer(
    stored: Option<&StoredLayers>,
    node: &str,
    mut read: impl FnMut(usize) -> Result<Vec<u8>>,
) -> Result<Option<QuantizedLayer>> {
    let Some(&[weights, scale, bias]) = stored.and_then(|stored| stored.layers.get(node)) else { return Ok(None) };
    let weights = read(weights)?.into_iter().map(u8::cast_signed).collect();
    let mut floats = |index: usize| Ok::<_, Error>(values::decode(&read(index)?, FloatType::F32));
    Ok(Some(QuantizedLayer::new(weights, floats(scale)?, floats(bias)?)))
}

/// The parameters of a [`WeightsFile`] as f32; each can be read once; made by
/// [`WeightsFile::into_parameters`].
#[derive(Debug)]
pub struct OwnedParameters {
    path: PathBuf,
    elements: Mutex<Elements>,
    stored: Option<StoredLayers>,
    places: HashMap<String, StoredParam>,
}

/// Where a parameter is in the file, and what it is stored as.
#[derive(Debug)]
struct StoredParam {
    named: NamedParam,
    index: usize,
    dtype: FloatType,
}

impl OwnedParameters {
    pub(super) fn new(file: WeightsFile) -> Self {
        let format = file.checkpoint.format();
        let dtypes =
            file.checkpoint.tensors().iter().map(|info| FloatType::new(info.dtype, format)).collect::<Vec<_>>();
        let place = |(named, index): (NamedParam, usize)| {
            // Parameters of other types are a difference, and files with differences are refused.
            let dtype = dtypes[index].unwrap_or(FloatType::F32);
            (named.param.name.clone(), StoredParam { named, index, dtype })
        };
        let places = file.params.into_iter().map(place).collect();
        let elements = Mutex::new(file.checkpoint.into_elements());
        Self { path: file.path, elements, stored: file.stored, places }
    }

    fn take(&self, index: usize) -> Result<Vec<u8>> {
        let bytes = self.elements.lock().unwrap_or_else(PoisonError::into_inner).take(index);
        bytes.map_err(|source| damaged(&self.path, source))
    }
}

impl Parameters for OwnedParameters {
    fn values(&self, param: &ParamInfo) -> Result<Vec<f32>> {
        let Some(StoredParam { named, index, dtype }) = self.places.get(param.name.as_str()) else {
            return Err(absent(self.stored.as_ref(), &self.path, param));
        };
        Ok(values::canonical(values::decode(&self.take(*index)?, *dtype), named))
    }
}

impl QuantizedParameters for OwnedParameters {
    fn map(&self, node: &str) -> Option<MapQuantization> {
        self.stored.as_ref()?.maps.get(node).copied()
    }

    fn layer(&self, node: &str) -> Result<Option<QuantizedLayer>> {
        layer(self.stored.as_ref(), node, |index| self.take(index))
    }

    fn has_integers(&self, node: &str) -> Result<bool> {
        Ok(self.stored.as_ref().is_some_and(|stored| stored.layers.contains_key(node)))
    }

    fn units(&self, node: &str) -> Option<ChannelUnits> {
        self.stored.as_ref()?.units.get(node).cloned()
    }
}
