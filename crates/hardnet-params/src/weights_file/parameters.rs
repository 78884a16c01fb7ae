//! The parameters of a file, borrowed from it or taken out of it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use hardnet_checkpoint::Elements;
use hardnet_graph::ParamInfo;

use super::WeightsFile;
use crate::error::{Error, Result};
use crate::parameters::Parameters;
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
            None => Err(Error::NoParameter { path: self.file.path.clone(), name: param.name.clone() }),
        }
    }
}

/// The parameters of a [`WeightsFile`] as f32; each can be read once; made by
/// [`WeightsFile::into_parameters`].
#[derive(Debug)]
pub struct OwnedParameters {
    path: PathBuf,
    elements: Mutex<Elements>,
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
        Self { path: file.path, elements: Mutex::new(file.checkpoint.into_elements()), places }
    }
}

impl Parameters for OwnedParameters {
    fn values(&self, param: &ParamInfo) -> Result<Vec<f32>> {
        let Some(StoredParam { named, index, dtype }) = self.places.get(param.name.as_str()) else {
            return Err(Error::NoParameter { path: self.path.clone(), name: param.name.clone() });
        };
        let bytes = self.elements.lock().unwrap_or_else(PoisonError::into_inner).take(*index);
        let bytes = bytes.map_err(|source| Error::Format { path: self.path.clone(), source: Box::new(source) })?;
        Ok(values::canonical(values::decode(&bytes, *dtype), named))
    }
}
