//! ONNX models as weights: the network that a model's layers are, and its parameters.
//!
//! Exporters rename parameters and fold normalization, so that names and shapes do not tell a network. The model's
//! graph does: it is compared, layer by layer, with the networks that the file may hold, and gives every parameter its
//! canonical name. A model whose graph has more than a HarDNet is read by its names, if they are PyTorch's.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use hardnet_base::excerpt;
use hardnet_checkpoint::{Checkpoint, Dtype, Format, TensorBytes};
use hardnet_graph::{Config, Graph, StemPadding, Variant};
use hardnet_onnx::{ElementType, IntegerParameters, Layers, Parameter, ParameterValues, Tensor};

use crate::convert::Precision;
use crate::error::{Error, Result};
use crate::examine::{examine_with, network_name};
use crate::metadata::{METADATA_KEY, Metadata};
use crate::options::{Expected, WeightsOptions};
use crate::quantized::stored::unit_names;
use crate::quantized::{MapQuantization, Quantization};
use crate::values::{self, encode};

/// Key of the metadata that name the feature maps of a model that is a part of a network.
pub const FEATURES_KEY: &str = "features";

/// Key of the metadata that hold the units of the channels of a quantized model's maps: for each node a list of scales
/// and one of offsets, in JSON.
pub const UNITS_KEY: &str = "int8.units";

/// A checkpoint whose tensors have the names of parameters: of an ONNX model, those of the network that its graph is,
/// with metadata that describe the network; any other checkpoint unchanged.
///
/// # Errors
///
/// [`Error::Layers`] with the first node or layer that is not that of the network that comes closest,
/// [`Error::Metadata`] for metadata that do not describe a network. Errors call the checkpoint `name`.
pub fn with_parameters(name: impl AsRef<Path>, checkpoint: Checkpoint, options: &WeightsOptions) -> Result<Checkpoint> {
    if checkpoint.format() != Format::Onnx {
        return Ok(checkpoint);
    }
    let path = name.as_ref();
    let (metadata, tensors) = match by_graph(path, &checkpoint, options) {
        Ok(found) => found,
        Err(error @ Error::Layers { .. }) => {
            let by_names = examine_with(path, &checkpoint, options);
            let fits = by_names.is_ok_and(|examined| examined.recognized.differences.count() == 0);
            return if fits { Ok(checkpoint) } else { Err(error) };
        }
        Err(error) => return Err(error),
    };
    let checkpoint = checkpoint.with_tensors(tensors).map_err(|source| invalid(path, source))?;
    Ok(checkpoint.with_metadata(METADATA_KEY, metadata.to_json()))
}

/// Name, type, shape and elements of a parameter.
type NamedTensor = (String, Dtype, Vec<usize>, TensorBytes);

fn invalid(path: &Path, source: impl Into<hardnet_checkpoint::Error>) -> Error {
    Error::Format { path: path.into(), source: Box::new(source.into()) }
}

/// The network that the graph of a model is, and its parameters.
fn by_graph(path: &Path, checkpoint: &Checkpoint, options: &WeightsOptions) -> Result<(Metadata, Vec<NamedTensor>)> {
    let failed = |network: &str, error: hardnet_onnx::Error| {
        let (path, network, source) = (path.to_path_buf(), network.into(), Box::new(error));
        Error::Layers { path, network, source }
    };
    let model = checkpoint.onnx_model().map_err(|error| invalid(path, error))?;
    let layers = Layers::new(&model).map_err(|error| failed("a HarDNet", error))?;
    let own = checkpoint.metadata().get(METADATA_KEY).map(|json| Metadata::from_json(json)).transpose();
    let own = own.map_err(|reason| Error::Metadata { path: path.into(), reason })?;
    if layers.preprocesses() && own.as_ref().is_none_or(|own| own.pipeline.is_none()) {
        let reason = "the model normalizes images itself, and its metadata do not say how".into();
        return Err(failed("a HarDNet", hardnet_onnx::Error::Node { node: "the image".into(), reason }));
    }
    let candidates = candidates(own.as_ref(), options, layers.classes());
    let mut closest: Option<(usize, String, hardnet_onnx::Error)> = None;
    for config in candidates {
        let graph = Graph::new(&config)?;
        match layers.parameters(&graph) {
            Ok(parameters) => {
                let network = network_name(&config);
                let mut metadata = own.unwrap_or_else(|| Metadata::new(config));
                // The checkpoint has the model's tensors in the same order.
                let places: HashMap<*const Tensor<'_>, usize> =
                    model.tensors().zip(0..).map(|((_, tensor), at)| (std::ptr::from_ref(tensor), at)).collect();
                let tensors = parameters.into_iter().map(|parameter| tensor(parameter, &places, checkpoint));
                let mut tensors =
                    tensors.collect::<std::result::Result<Vec<_>, _>>().map_err(|error| invalid(path, error))?;
                if layers.is_quantized() {
                    let mut elements = |tensor: &Tensor<'_>| {
                        let at = *places.get(&std::ptr::from_ref(tensor))?;
                        checkpoint.read(at).ok().map(Cow::into_owned)
                    };
                    let integers = layers.integers(&graph, &mut elements);
                    let integers = integers.map_err(|error| failed(&network, error))?;
                    integers.into_iter().for_each(|layer| tensors.extend(integer_tensors(layer, &places)));
                    if let Some(units) = checkpoint.metadata().get(UNITS_KEY) {
                        let units = units_of(units).map_err(|reason| Error::Metadata { path: path.into(), reason })?;
                        tensors.extend(units);
                    }
                    let quantization =
                        metadata.quantization.get_or_insert_with(|| Quantization::new("as the ONNX model is", 0));
                    let maps = layers.maps(&graph).into_iter();
                    quantization.maps =
                        maps.map(|(name, scale, zero_point)| (name, MapQuantization { scale, zero_point })).collect();
                }
                return Ok((metadata, tensors));
            }
            // The one that fails last is the most similar.
            Err(error) => {
                let fits = layers.matching(&graph);
                if closest.as_ref().is_none_or(|(most, ..)| fits > *most) {
                    closest = Some((fits, network_name(&config), error));
                }
            }
        }
    }
    if let Some(stages) = checkpoint.metadata().get(FEATURES_KEY) {
        let reason = format!("it gives the feature maps `{}`", excerpt(stages));
        return Err(failed("a HarDNet", hardnet_onnx::Error::Part { reason }));
    }
    let (_, network, error) = closest.expect("there is a candidate");
    Err(failed(&network, error))
}

/// The networks that a model may be, with its number of classes.
fn candidates(own: Option<&Metadata>, options: &WeightsOptions, classes: usize) -> Vec<Config> {
    let sized = |config: Config| if classes > 0 { config.with_classes(classes) } else { config.without_head() };
    let padded = |variant: Variant| {
        let config = sized(variant.into());
        [config.clone(), config.with_stem_padding(StemPadding::TopLeft)]
    };
    match (own, &options.network) {
        (Some(own), _) => vec![own.config.clone()],
        (None, Some(Expected::Config(config))) => vec![sized((**config).clone())],
        (None, Some(Expected::Variant(variant))) => padded(*variant).to_vec(),
        (None, None) => {
            let encoder = sized(Config::fc_hardnet70_encoder());
            Variant::ALL.into_iter().flat_map(padded).chain([encoder]).collect()
        }
    }
}

/// A layer of integers, whose weight is `param`, as the tensors of a file of a quantized network.
fn integer_tensors(layer: IntegerParameters<'_>, places: &Places<'_>) -> [NamedTensor; 3] {
    let IntegerParameters { param, weight, scale, bias, .. } = layer;
    let path = param.name.strip_suffix("weight").unwrap_or(&param.name);
    let channels = scale.len();
    let floats = |leaf: &str, values: &[f32]| {
        let bytes = TensorBytes::Bytes(encode(values, Precision::F32));
        (format!("{path}{leaf}"), Dtype::F32, vec![channels], bytes)
    };
    let (scale, bias) = (floats("scale", &scale), floats("bias", &bias));
    [(param.name, Dtype::I8, param.shape, stored(weight, places)), scale, bias]
}

/// The tensors of the units of maps that the text of the metadata holds: for each node scales and offsets, in JSON.
fn units_of(text: &str) -> std::result::Result<Vec<NamedTensor>, String> {
    let all: BTreeMap<String, [Vec<f32>; 2]> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let tensor = |(node, units): (String, [Vec<f32>; 2])| {
        let named = units.into_iter().zip(unit_names(&node));
        named.filter(|(values, _)| !values.is_empty()).map(|(values, name)| {
            let bytes = TensorBytes::Bytes(encode(&values, Precision::F32));
            (name, Dtype::F32, vec![values.len()], bytes)
        })
    };
    Ok(all.into_iter().flat_map(|units| tensor(units).collect::<Vec<_>>()).collect())
}

/// A parameter as a tensor; `places` are those of the model's tensors among the checkpoint's.
fn tensor(
    parameter: Parameter<'_>,
    places: &Places<'_>,
    checkpoint: &Checkpoint,
) -> std::result::Result<NamedTensor, hardnet_checkpoint::Error> {
    let Parameter { param, values, .. } = parameter;
    let (dtype, elements) = match values {
        ParameterValues::Transposed(tensor) => {
            let at = places.get(&std::ptr::from_ref(tensor));
            let values = at.map(|&at| values::read(checkpoint, at)).transpose()?.unwrap_or_default();
            let values = match param.shape[..] {
                [rows, columns] if Some(values.len()) == rows.checked_mul(columns) => {
                    values::transpose(&values, columns, rows)
                }
                _ => values,
            };
            (Dtype::F32, TensorBytes::Bytes(encode(&values, Precision::F32)))
        }
        ParameterValues::Numbers(numbers) => (Dtype::F32, TensorBytes::Bytes(encode(&numbers, Precision::F32))),
        ParameterValues::Tensor(tensor) => {
            let dtype = match tensor.info.element {
                ElementType::F32 => Dtype::F32,
                ElementType::F16 => Dtype::F16,
                ElementType::Bf16 => Dtype::Bf16,
                ElementType::F64 => Dtype::F64,
                ElementType::U8 => Dtype::U8,
                ElementType::I8 => Dtype::I8,
                ElementType::I32 => Dtype::I32,
                _ => Dtype::I64,
            };
            (dtype, stored(tensor, places))
        }
    };
    Ok((param.name, dtype, param.shape, elements))
}

/// The places of a model's tensors among the checkpoint's.
type Places<'m> = HashMap<*const Tensor<'m>, usize>;

/// The elements of a tensor of the model.
fn stored(tensor: &Tensor<'_>, places: &Places<'_>) -> TensorBytes {
    let place = places.get(&std::ptr::from_ref(tensor).cast()).copied();
    place.map_or_else(|| TensorBytes::Bytes(tensor.bytes.to_vec()), TensorBytes::Tensor)
}

#[cfg(test)]
mod tests;
