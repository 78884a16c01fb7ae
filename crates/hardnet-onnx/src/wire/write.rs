//! From a model to bytes, as a stream.
//!
//! Every length stands before what it measures, so the whole file is laid out first, without the elements of tensors.
//! These are then written one tensor after the other, as their source gives them.

use std::io::{self, Write};

use super::{attribute, entry, graph, model, node, opset, tensor, value, wire_type};
use crate::error::{Error, Result};
use crate::model::{Attribute, Dim, Model, Node, TensorInfo, Value};

/// The longest message that protobuf's own readers accept.
const MAX_BYTES: u64 = i32::MAX as u64;

/// A message under construction.
#[derive(Clone, Debug, Default)]
struct Message {
    bytes: Vec<u8>,
}

impl Message {
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    fn key(&mut self, field: u64, wire_type: u64) {
        self.varint(field << 3 | wire_type);
    }

    fn number(&mut self, field: u64, number: u64) {
        self.key(field, wire_type::VARINT);
        self.varint(number);
    }

    fn float(&mut self, field: u64, number: f32) {
        self.key(field, wire_type::FIXED32);
        self.bytes.extend(number.to_le_bytes());
    }

    /// The key and the length of a field whose `length` bytes the caller writes.
    fn length(&mut self, field: u64, length: u64) {
        self.key(field, wire_type::BYTES);
        self.varint(length);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.length(field, bytes.len() as u64);
        self.bytes.extend(bytes);
    }

    /// Text, left out if it is empty.
    fn text(&mut self, field: u64, text: &str) {
        if !text.is_empty() {
            self.bytes(field, text.as_bytes());
        }
    }

    fn message(&mut self, field: u64, message: &Self) {
        self.bytes(field, &message.bytes);
    }
}

/// A file that is laid out but for the elements of its tensors.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// The bytes before each tensor's elements, each with the length of these.
    tensors: Vec<(Vec<u8>, u64)>,
    end: Vec<u8>,
}

impl Layout {
    /// Lays out `model`.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`].
    pub(crate) fn new(model: &Model<'_>) -> Result<Self> {
        let mut before = Message::default();
        for one in &model.nodes {
            before.message(graph::NODE, &self::node(one));
        }
        before.text(graph::NAME, &model.name);
        let mut tensors = Vec::with_capacity(model.initializers.len());
        let mut length = before.bytes.len() as u64;
        for one in &model.initializers {
            let (head, elements) = self::tensor(&one.info)?;
            length = length.saturating_add(head.bytes.len() as u64).saturating_add(elements);
            tensors.push((head.bytes, elements));
        }
        let mut after = Message::default();
        after.text(graph::DOC_STRING, &model.description);
        let values =
            [(graph::INPUT, &model.inputs), (graph::OUTPUT, &model.outputs), (graph::VALUE_INFO, &model.values)];
        for (field, value) in values.into_iter().flat_map(|(field, values)| values.iter().map(move |v| (field, v))) {
            after.message(field, &self::value(value));
        }
        length = length.saturating_add(after.bytes.len() as u64);

        let mut start = Message::default();
        start.number(model::IR_VERSION, model.ir_version);
        start.text(model::PRODUCER_NAME, &model.producer_name);
        start.text(model::PRODUCER_VERSION, &model.producer_version);
        start.length(model::GRAPH, length);
        start.bytes.append(&mut before.bytes);
        // The elements of a tensor end it, so that what follows one tensor begins the next.
        let mut end = Message::default();
        match tensors.first_mut() {
            Some((first, _)) => {
                start.bytes.append(first);
                *first = start.bytes;
            }
            None => end = start,
        }
        end.bytes.append(&mut after.bytes);
        let mut version = Message::default();
        version.number(opset::VERSION, model.opset);
        end.message(model::OPSET_IMPORT, &version);
        for (key, text) in &model.metadata {
            let mut pair = Message::default();
            pair.text(entry::KEY, key);
            pair.bytes(entry::VALUE, text.as_bytes());
            end.message(model::METADATA_PROPS, &pair);
        }
        let layout = Self { tensors, end: end.bytes };
        match layout.byte_count() {
            bytes if bytes > MAX_BYTES => Err(Error::TooLarge { bytes }),
            _ => Ok(layout),
        }
    }

    /// Length of the file.
    pub(crate) fn byte_count(&self) -> u64 {
        let tensors = self.tensors.iter().map(|(head, elements)| (head.len() as u64).saturating_add(*elements));
        tensors.fold(self.end.len() as u64, u64::saturating_add)
    }

    /// Writes the file to `out`; `elements` writes those of the tensor at a position, in little-endian bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Write`] where `out` fails, and those of `elements`.
    pub(crate) fn write<W: Write>(
        &self,
        out: &mut W,
        mut elements: impl FnMut(usize, &mut Counted<'_, W>) -> Result<()>,
    ) -> Result<()> {
        for (at, (head, length)) in self.tensors.iter().enumerate() {
            out.write_all(head).map_err(Error::Write)?;
            let mut counted = Counted { out, bytes: 0 };
            elements(at, &mut counted)?;
            assert_eq!(counted.bytes, *length, "bytes of tensor {at}");
        }
        out.write_all(&self.end).map_err(Error::Write)?;
        out.flush().map_err(Error::Write)
    }
}

/// Counts what is written.
pub(crate) struct Counted<'a, W> {
    out: &'a mut W,
    bytes: u64,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn node(one: &Node<'_>) -> Message {
    let mut message = Message::default();
    // An input that is left out has a place all the same.
    one.inputs.iter().for_each(|input| message.bytes(node::INPUT, input.as_bytes()));
    one.outputs.iter().for_each(|output| message.bytes(node::OUTPUT, output.as_bytes()));
    message.text(node::NAME, &one.name);
    message.text(node::OP_TYPE, &one.op);
    for (name, value) in &one.attributes {
        message.message(node::ATTRIBUTE, &self::attribute(name, value));
    }
    message.text(node::DOMAIN, &one.domain);
    message
}

fn attribute(name: &str, value: &Attribute<'_>) -> Message {
    let mut message = Message::default();
    message.text(attribute::NAME, name);
    let kind = match value {
        Attribute::Float(number) => {
            message.float(attribute::FLOAT, *number);
            attribute::TYPE_FLOAT
        }
        Attribute::Int(number) => {
            message.number(attribute::INT, *number as u64);
            attribute::TYPE_INT
        }
        Attribute::Text(text) => {
            message.bytes(attribute::TEXT, text.as_bytes());
            attribute::TYPE_TEXT
        }
        Attribute::Ints(numbers) => {
            numbers.iter().for_each(|&number| message.number(attribute::INTS, number as u64));
            attribute::TYPE_INTS
        }
        Attribute::Tensor(_) | Attribute::Other => unreachable!("exported nodes have no such constants"),
    };
    message.number(attribute::TYPE, kind);
    message
}

/// An initializer up to its elements, with its key and length, and the number of bytes of these.
fn tensor(info: &TensorInfo) -> Result<(Message, u64)> {
    let elements = info.byte_count().map_or(u64::MAX, |bytes| bytes as u64);
    if elements > MAX_BYTES {
        return Err(Error::TooLarge { bytes: elements });
    }
    let mut message = Message::default();
    info.dims.iter().for_each(|&dim| message.number(tensor::DIMS, dim as u64));
    message.number(tensor::DATA_TYPE, info.element.code());
    message.text(tensor::NAME, &info.name);
    message.length(tensor::RAW_DATA, elements);
    let mut head = Message::default();
    head.length(graph::INITIALIZER, message.bytes.len() as u64 + elements);
    head.bytes.append(&mut message.bytes);
    Ok((head, elements))
}

fn value(one: &Value) -> Message {
    let mut shape = Message::default();
    for dim in &one.dims {
        let mut message = Message::default();
        match dim {
            Dim::Fixed(size) => message.number(value::DIM_VALUE, *size as u64),
            Dim::Dynamic(name) => message.text(value::DIM_PARAM, name),
            Dim::Unknown => {}
        }
        shape.message(value::DIM, &message);
    }
    let mut of_tensor = Message::default();
    of_tensor.number(value::ELEMENT, one.element.code());
    of_tensor.message(value::SHAPE, &shape);
    let mut of_value = Message::default();
    of_value.message(value::TENSOR_TYPE, &of_tensor);
    let mut message = Message::default();
    message.text(value::NAME, &one.name);
    message.message(value::TYPE, &of_value);
    message
}
