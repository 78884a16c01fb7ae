//! The parts of a file that describe its model.

use hardnet_base::{Sparse, SparseReader};

use super::{attribute, graph, model, node, tensor, wire_type};

/// Elements of so many bytes and more are left out: scales and bounds are shorter.
const LARGE: usize = if cfg!(fuzzing) { 8 } else { 1 << 14 };

/// Messages that may hold tensors, and these.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
}

impl Message {
    /// The message that a field of this one is.
    fn of(self, field: u64) -> Option<Self> {
        match (self, field) {
            (Self::Model, model::GRAPH) => Some(Self::Graph),
            (Self::Graph, graph::INITIALIZER) | (Self::Attribute, attribute::TENSOR) => Some(Self::Tensor),
            (Self::Graph, graph::NODE) => Some(Self::Node),
            (Self::Node, node::ATTRIBUTE) => Some(Self::Attribute),
            _ => None,
        }
    }
}

/// A file without the elements of its large tensors, for [`Model::parse_sparse`](crate::Model::parse_sparse).
///
/// None for a file that is damaged, and for one whose elements are in another form than as they are in memory, so that
/// most of it would have to be kept; [`Model::parse`](crate::Model::parse) of the whole file tells them apart.
pub fn outline(mut reader: SparseReader<'_>) -> Option<Sparse> {
    let length = reader.left();
    message(&mut reader, Message::Model, length)?;
    Some(reader.finish())
}

/// Reads a message that ends at `end`.
fn message(reader: &mut SparseReader<'_>, of: Message, end: usize) -> Option<()> {
    while reader.position() < end {
        let key = varint(reader)?;
        let field = key >> 3;
        match key & 7 {
            wire_type::VARINT => drop(varint(reader)?),
            wire_type::FIXED64 => reader.keep(8)?,
            wire_type::FIXED32 => reader.keep(4)?,
            wire_type::BYTES => {
                let length = usize::try_from(varint(reader)?).ok()?;
                let after = reader.position().checked_add(length).filter(|&after| after <= end)?;
                let elements = matches!(field, tensor::RAW_DATA | tensor::FLOAT_DATA | tensor::DOUBLE_DATA);
                match of.of(field) {
                    Some(inner) => message(reader, inner, after)?,
                    None if matches!(of, Message::Tensor) && elements && length >= LARGE => reader.skip(length)?,
                    None => reader.keep(length)?,
                }
            }
            _ => return None,
        }
    }
    (reader.position() == end).then_some(())
}

fn varint(reader: &mut SparseReader<'_>) -> Option<u64> {
    let mut number = 0_u64;
    for at in 0..10 {
        let byte = reader.byte()?;
        number |= u64::from(byte & 0x7f).checked_shl(7 * at)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
