//! Files of quantized networks.

use std::io::Write;

use hardnet_graph::{Graph, ParamKind};

use super::stored::{keeps_units, names, unit_names};
use super::{Quantization, QuantizedParameters};
use crate::convert::Precision;
use crate::error::{Error, Result};
use crate::metadata::Metadata;
use crate::values::encode;
use crate::writer::{StoredTensor, header_of};

/// Writes the quantized network that `metadata` describes, with its parameters from `parameters`: a safetensors file of
/// 8-bit weights that [`WeightsFile`](crate::WeightsFile) reads. The quantization of the metadata says how the network
/// was made, and gets its maps here. The same parameters and metadata give the same bytes.
///
/// # Errors
///
/// As [`write_weights`](crate::write_weights).
pub fn write_quantized(metadata: &Metadata, parameters: &dyn QuantizedParameters, mut out: impl Write) -> Result<()> {
    let graph = Graph::new(&metadata.config)?.inference();
    let expected = metadata.config.classes();
    if let Some(found) = metadata.labels.as_ref().map(Vec::len).filter(|&found| found != expected) {
        return Err(Error::ClassNames { expected, found });
    }
    let mut metadata = metadata.clone();
    let quantization = metadata.quantization.get_or_insert_with(|| Quantization::new("not known", 0));
    let maps = graph.nodes().iter().filter_map(|node| Some((node.name.clone(), parameters.map(&node.name)?)));
    quantization.maps = maps.collect();
    let mut tensors = Vec::new();
    let params = graph.params();
    for (id, node) in graph.nodes().iter().enumerate() {
        let own = || params.iter().filter(|param| param.node == id);
        let weights = own().find(|param| param.kind == ParamKind::ConvWeight);
        match (weights, parameters.layer(&node.name)?) {
            (Some(param), Some(layer)) => {
                let [weights, scale, bias] = names(param);
                let bytes = layer.weights.iter().map(|&weight| weight.cast_unsigned()).collect();
                tensors.push(tensor(weights, "I8", &param.shape, bytes, 1)?);
                tensors.push(floats(scale, &[node.out_channels], &layer.scale)?);
                tensors.push(floats(bias, &[node.out_channels], &layer.bias)?);
            }
            _ => {
                for param in own() {
                    tensors.push(floats(param.name.clone(), &param.shape, &parameters.values(param)?)?);
                }
            }
        }
        if let Some(units) = parameters.units(&node.name).filter(|_| !keeps_units(&node.op)) {
            let [scale, offset] = unit_names(&node.name);
            tensors.push(floats(scale, &[node.out_channels], &units.scale)?);
            if units.offset.iter().any(|&offset| offset != 0.0) {
                tensors.push(floats(offset, &[node.out_channels], &units.offset)?);
            }
        }
    }
    let described = tensors.iter().map(|(tensor, _)| tensor);
    out.write_all(&header_of(described, &metadata)).map_err(Error::Write)?;
    for (_, bytes) in &tensors {
        out.write_all(bytes).map_err(Error::Write)?;
    }
    out.flush().map_err(Error::Write)
}

fn tensor(
    name: String,
    tag: &'static str,
    shape: &[usize],
    bytes: Vec<u8>,
    size: usize,
) -> Result<(StoredTensor, Vec<u8>)> {
    let (expected, found) = (shape.iter().product(), bytes.len() / size);
    if found != expected {
        return Err(Error::Parameter { name, expected, found });
    }
    Ok((StoredTensor { name, tag, shape: shape.to_vec(), bytes: bytes.len() }, bytes))
}

fn floats(name: String, shape: &[usize], values: &[f32]) -> Result<(StoredTensor, Vec<u8>)> {
    if !values.iter().all(|value| value.is_finite()) {
        return Err(Error::NotFinite { name });
    }
    tensor(name, "F32", shape, encode(values, Precision::F32), 4)
}
