//! From bytes to a model.
//!
//! Every count and length is checked before memory is taken, so that memory and time stay proportional to the file.
//! Elements of tensors are borrowed from the file where it has them as they are (`raw_data`, packed `float_data`).

mod fields;
mod tensors;

use fields::Fields;
use hardnet_base::SparseBytes;

use super::{attribute, entry, graph, model, node, opset, value};
use crate::error::{Error, Result};
use crate::model::{Attribute, Dim, ElementType, Model, Node, Value};

/// Most nodes, tensors and values of a graph; HarDNet85 with normalization kept has less than 700 of each.
const MAX_ITEMS: usize = 1 << 16;
/// Most inputs, outputs and attributes of a node; a HarDBlock's output joins at most 513 maps.
const MAX_PARTS: usize = 1 << 11;
/// Most extents of a tensor, and numbers of an attribute.
const MAX_EXTENTS: usize = 8;
const MAX_NUMBERS: usize = 1 << 12;
/// Most texts of a model's metadata.
const MAX_TEXTS: usize = 1 << 12;

impl<'a> Model<'a> {
    /// Reads the model in `bytes`, a whole file.
    ///
    /// Operators and types that image classifiers do not need are kept by their names or passed over. Whether the graph
    /// makes sense is not checked.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] for bytes that are not a model, for elements of tensors in other files, and beyond the
    /// limits of what a HarDNet could need.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        Self::parse_sparse(bytes.into())
    }

    /// As [`parse`](Self::parse), of a file without the ranges that [`outline`](crate::outline) leaves out: tensors
    /// have [places](crate::Tensor::place) for the elements that are not in memory.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn parse_sparse(bytes: SparseBytes<'a>) -> Result<Self> {
        let mut result = Self::default();
        let mut seen = false;
        for field in Fields::new(bytes) {
            let field = field?;
            match field.number {
                model::IR_VERSION => result.ir_version = field.varint()?,
                model::PRODUCER_NAME => result.producer_name = field.text()?,
                model::PRODUCER_VERSION => result.producer_version = field.text()?,
                model::GRAPH if seen => return Err(field.error("a second graph, expected one")),
                model::GRAPH => {
                    seen = true;
                    read_graph(&mut result, field.message()?)?;
                }
                model::OPSET_IMPORT => {
                    let (domain, version) = read_opset(field.message()?)?;
                    if domain.is_empty() || domain == "ai.onnx" {
                        result.opset = version;
                    }
                }
                model::METADATA_PROPS => {
                    field.limit(result.metadata.len(), MAX_TEXTS, "texts of metadata")?;
                    result.metadata.push(read_entry(field.message()?)?);
                }
                model::FUNCTIONS => return Err(field.error("functions of the model's own, expected operators of ONNX")),
                _ => {}
            }
        }
        if !seen || result.ir_version == 0 {
            let reason = "not an ONNX model, expected a version and a graph".into();
            return Err(Error::Malformed { offset: bytes.len(), reason });
        }
        Ok(result)
    }
}

fn read_graph<'a>(result: &mut Model<'a>, fields: Fields<'a>) -> Result<()> {
    for field in fields {
        let field = field?;
        match field.number {
            graph::NODE => {
                field.limit(result.nodes.len(), MAX_ITEMS, "nodes")?;
                result.nodes.push(read_node(field.message()?)?);
            }
            graph::NAME => result.name = field.text()?,
            graph::INITIALIZER => {
                field.limit(result.initializers.len(), MAX_ITEMS, "initializers")?;
                result.initializers.push(tensors::read(field.message()?)?);
            }
            graph::DOC_STRING => result.description = field.text()?,
            graph::INPUT | graph::OUTPUT | graph::VALUE_INFO => {
                let values = match field.number {
                    graph::INPUT => &mut result.inputs,
                    graph::OUTPUT => &mut result.outputs,
                    _ => &mut result.values,
                };
                field.limit(values.len(), MAX_ITEMS, "values")?;
                values.extend(read_value(field.message()?)?);
            }
            graph::SPARSE_INITIALIZER => return Err(field.error("a sparse initializer, expected dense ones")),
            _ => {}
        }
    }
    Ok(())
}

fn read_opset(fields: Fields<'_>) -> Result<(String, u64)> {
    let (mut domain, mut version) = (String::new(), 0);
    for field in fields {
        let field = field?;
        match field.number {
            opset::DOMAIN => domain = field.text()?,
            opset::VERSION => version = field.varint()?,
            _ => {}
        }
    }
    Ok((domain, version))
}

fn read_entry(fields: Fields<'_>) -> Result<(String, String)> {
    let (mut key, mut text) = (String::new(), String::new());
    for field in fields {
        let field = field?;
        match field.number {
            entry::KEY => key = field.text()?,
            entry::VALUE => text = field.text()?,
            _ => {}
        }
    }
    Ok((key, text))
}

fn read_node<'a>(fields: Fields<'a>) -> Result<Node<'a>> {
    let mut result = Node::default();
    for field in fields {
        let field = field?;
        match field.number {
            node::INPUT | node::OUTPUT => {
                let names = if field.number == node::INPUT { &mut result.inputs } else { &mut result.outputs };
                field.limit(names.len(), MAX_PARTS, "inputs or outputs of a node")?;
                names.push(field.text()?);
            }
            node::NAME => result.name = field.text()?,
            node::OP_TYPE => result.op = field.text()?,
            node::ATTRIBUTE => {
                field.limit(result.attributes.len(), MAX_PARTS, "attributes of a node")?;
                result.attributes.push(read_attribute(field.message()?)?);
            }
            node::DOMAIN => result.domain = field.text()?,
            _ => {}
        }
    }
    Ok(result)
}

fn read_attribute<'a>(fields: Fields<'a>) -> Result<(String, Attribute<'a>)> {
    let (mut name, mut kind) = (String::new(), None);
    let (mut int, mut float, mut text, mut ints, mut tensor) = (0, 0.0, String::new(), Vec::new(), None);
    for field in fields {
        let field = field?;
        match field.number {
            attribute::NAME => name = field.text()?,
            attribute::TYPE => kind = Some(field.varint()?),
            attribute::INT => int = field.varint()? as i64,
            attribute::FLOAT => float = field.float()?,
            // Any bytes are a text of an attribute.
            attribute::TEXT => text = String::from_utf8_lossy(field.bytes()?).into_owned(),
            attribute::INTS => field.varints(MAX_NUMBERS, &mut ints)?,
            attribute::TENSOR => tensor = Some(tensors::read(field.message()?)?),
            _ => {}
        }
    }
    let value = match (kind, tensor) {
        (Some(attribute::TYPE_INT), _) => Attribute::Int(int),
        (Some(attribute::TYPE_FLOAT), _) => Attribute::Float(float),
        (Some(attribute::TYPE_TEXT), _) => Attribute::Text(text),
        (Some(attribute::TYPE_INTS), _) => Attribute::Ints(ints.into_iter().map(|number| number as i64).collect()),
        (Some(attribute::TYPE_TENSOR), Some(tensor)) => Attribute::Tensor(tensor),
        _ => Attribute::Other,
    };
    Ok((name, value))
}

/// Reads a value; none if it is not a tensor of a type that is known.
fn read_value(fields: Fields<'_>) -> Result<Option<Value>> {
    let (mut name, mut element, mut dims) = (String::new(), None, Vec::new());
    for field in fields {
        let field = field?;
        match field.number {
            value::NAME => name = field.text()?,
            value::TYPE => {
                let of_tensor = only(field.message()?, value::TENSOR_TYPE)?;
                for field in of_tensor.into_iter().flatten() {
                    let field = field?;
                    match field.number {
                        value::ELEMENT => element = ElementType::from_code(field.varint()?),
                        value::SHAPE => dims = read_dims(field.message()?)?,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Ok(element.map(|element| Value { name, element, dims }))
}

fn read_dims(fields: Fields<'_>) -> Result<Vec<Dim>> {
    let mut dims = Vec::new();
    for field in fields {
        let field = field?;
        if field.number != value::DIM {
            continue;
        }
        field.limit(dims.len(), MAX_EXTENTS, "extents of a value")?;
        let mut dim = Dim::Unknown;
        for field in field.message()? {
            let field = field?;
            dim = match field.number {
                value::DIM_VALUE => usize::try_from(field.varint()? as i64).map_or(Dim::Unknown, Dim::Fixed),
                value::DIM_PARAM => Dim::Dynamic(field.text()?),
                _ => continue,
            };
        }
        dims.push(dim);
    }
    Ok(dims)
}

/// The last message of that number among `fields`.
fn only(fields: Fields<'_>, number: u64) -> Result<Option<Fields<'_>>> {
    let mut found = None;
    for field in fields {
        let field = field?;
        if field.number == number {
            found = Some(field.message()?);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
