//! Safetensors files as this crate writes them.

use std::collections::BTreeMap;
use std::io::Write;

use hardnet_graph::Graph;
use serde_json::json;

use crate::convert::Precision;
use crate::error::{Error, Result};
use crate::metadata::{METADATA_KEY, Metadata};
use crate::parameters::Parameters;
use crate::values::{encode, magnitude};

/// Writes the network that `metadata` describes, with its parameters from `parameters` in f32: a safetensors file that
/// [`WeightsFile`](crate::WeightsFile) reads. The same parameters and metadata give the same bytes.
///
/// # Errors
///
/// [`Error::Graph`] for a configuration that does not describe a network, [`Error::ClassNames`] where there is not one
/// name for each class, [`Error::NotFinite`] and [`Error::Parameter`] for values that a reader would refuse, what
/// `parameters` says, and [`Error::Write`] where `out` fails.
pub fn write_weights(metadata: &Metadata, parameters: &dyn Parameters, mut out: impl Write) -> Result<()> {
    let params = Graph::new(&metadata.config)?.params();
    let expected = metadata.config.classes();
    if let Some(found) = metadata.labels.as_ref().map(Vec::len).filter(|&found| found != expected) {
        return Err(Error::ClassNames { expected, found });
    }
    let shapes = params.iter().map(|param| (param.name.as_str(), &param.shape[..]));
    out.write_all(&header(shapes, Precision::F32, metadata)).map_err(Error::Write)?;
    for param in &params {
        let values = parameters.values(param)?;
        let name = || param.name.clone();
        if values.len() != param.count() {
            return Err(Error::Parameter { name: name(), expected: param.count(), found: values.len() });
        }
        if !magnitude(&values).is_finite() {
            return Err(Error::NotFinite { name: name() });
        }
        out.write_all(&encode(&values, Precision::F32)).map_err(Error::Write)?;
    }
    out.flush().map_err(Error::Write)
}

/// The length and the JSON header of a file of tensors of these names and shapes, padded.
pub(crate) fn header<'a>(
    shapes: impl Iterator<Item = (&'a str, &'a [usize])>,
    precision: Precision,
    metadata: &Metadata,
) -> Vec<u8> {
    let tensors: Vec<_> = shapes
        .map(|(name, shape)| StoredTensor {
            name: name.into(),
            tag: precision.tag(),
            shape: shape.to_vec(),
            bytes: shape.iter().product::<usize>() * precision.size(),
        })
        .collect();
    header_of(tensors.iter(), metadata)
}

/// A tensor in a header.
pub(crate) struct StoredTensor {
    pub(crate) name: String,
    /// The name of its type.
    pub(crate) tag: &'static str,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: usize,
}

/// The length and the JSON header of a file of these tensors, padded.
pub(crate) fn header_of<'a>(tensors: impl Iterator<Item = &'a StoredTensor>, metadata: &Metadata) -> Vec<u8> {
    let mut entries = Vec::new();
    entries.push(format!("\"__metadata__\":{}", json!(BTreeMap::from([(METADATA_KEY, metadata.to_json())]))));
    let mut end = 0;
    for StoredTensor { name, tag, shape, bytes } in tensors {
        let start = end;
        end += bytes;
        entries.push(format!(
            "{}:{{\"dtype\":\"{tag}\",\"shape\":{},\"data_offsets\":[{start},{end}]}}",
            json!(name),
            json!(shape)
        ));
    }
    let mut json = format!("{{{}}}", entries.join(","));
    json.push_str(&" ".repeat(json.len().next_multiple_of(8) - json.len()));
    [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat()
}
