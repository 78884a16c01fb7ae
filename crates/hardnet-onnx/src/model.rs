//! The parts of ONNX that image classifiers are made of, as data.
//!
//! The names and numbers are those of `onnx.proto` of ONNX 1.23.

use std::fmt;

/// An ONNX model. Tensors hold values only where the model was read from a file.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Model<'a> {
    /// Version of the format, which follows from the opset.
    pub ir_version: u64,
    /// Version of the operators of the domain `ai.onnx`.
    pub opset: u64,
    /// The program that wrote it.
    pub producer_name: String,
    /// The version of that program.
    pub producer_version: String,
    /// Name of the graph.
    pub name: String,
    /// Description of the graph.
    pub description: String,
    /// Texts by name.
    pub metadata: Vec<(String, String)>,
    /// Operations in an order in which they can be computed.
    pub nodes: Vec<Node<'a>>,
    /// Constants of the graph.
    pub initializers: Vec<Tensor<'a>>,
    /// Inputs of the graph; before IR version 4 the initializers are among them.
    pub inputs: Vec<Value>,
    /// Outputs of the graph.
    pub outputs: Vec<Value>,
    /// Types and shapes of values in between.
    pub values: Vec<Value>,
}

/// An operation.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Node<'a> {
    /// Its name.
    pub name: String,
    /// The operator, as `Conv`.
    pub op: String,
    /// The operator's domain; empty for ONNX's own.
    pub domain: String,
    /// Names of the values that it reads; empty for an optional one that is left out.
    pub inputs: Vec<String>,
    /// Names of the values that it writes.
    pub outputs: Vec<String>,
    /// Its constants by name.
    pub attributes: Vec<(String, Attribute<'a>)>,
}

/// A constant of an operation.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Attribute<'a> {
    /// A whole number.
    Int(i64),
    /// Whole numbers.
    Ints(Vec<i64>),
    /// A number.
    Float(f32),
    /// Text.
    Text(String),
    /// A tensor.
    Tensor(Tensor<'a>),
    /// One of the kinds that classifiers do not need.
    Other,
}

/// Name, element type and shape of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorInfo {
    /// Its name.
    pub name: String,
    /// Type of its elements.
    pub element: ElementType,
    /// Its extents, slowest first; empty for a scalar.
    pub dims: Vec<usize>,
}

/// A tensor and, if it was read from a file, its elements.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tensor<'a> {
    /// Name, type and shape.
    pub info: TensorInfo,
    /// Its elements in little-endian bytes, C order; empty in a model that is to be written, and where they are not in
    /// memory.
    pub bytes: std::borrow::Cow<'a, [u8]>,
    /// The range of the file that is these bytes, if it has them as they are.
    pub place: Option<std::ops::Range<usize>>,
}

#[cfg(feature = "graph")]
impl Tensor<'_> {
    /// The elements, if they are in memory.
    pub(crate) fn elements(&self) -> Option<&[u8]> {
        (self.info.byte_count() == Some(self.bytes.len())).then_some(&self.bytes)
    }
}

/// Type of the elements of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ElementType {
    /// IEEE 754 binary32.
    F32,
    /// Unsigned, 8 bits.
    U8,
    /// Signed, 8 bits.
    I8,
    /// Signed, 32 bits.
    I32,
    /// Signed, 64 bits.
    I64,
    /// IEEE 754 binary16.
    F16,
    /// IEEE 754 binary64.
    F64,
    /// The upper half of a binary32.
    Bf16,
}

/// Name, type and shape of a value that is not a constant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Value {
    /// Its name.
    pub name: String,
    /// Type of its elements.
    pub element: ElementType,
    /// Its extents.
    pub dims: Vec<Dim>,
}

/// An extent of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dim {
    /// A number.
    Fixed(usize),
    /// A number that each run chooses, by its name; two extents of one name are equal.
    Dynamic(String),
    /// Not stated.
    Unknown,
}

impl ElementType {
    /// Every type.
    pub const ALL: [Self; 8] = [Self::F32, Self::U8, Self::I8, Self::I32, Self::I64, Self::F16, Self::F64, Self::Bf16];

    /// Bytes of an element.
    pub const fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::F16 | Self::Bf16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::I64 | Self::F64 => 8,
        }
    }

    /// ONNX's number of the type (`TensorProto.DataType`).
    pub const fn code(self) -> u64 {
        match self {
            Self::F32 => 1,
            Self::U8 => 2,
            Self::I8 => 3,
            Self::I32 => 6,
            Self::I64 => 7,
            Self::F16 => 10,
            Self::F64 => 11,
            Self::Bf16 => 16,
        }
    }

    /// The type of that number, if it is one of these.
    pub fn from_code(code: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|element| element.code() == code)
    }
}

impl TensorInfo {
    /// A description of a tensor.
    pub(crate) fn new(name: impl Into<String>, element: ElementType, dims: Vec<usize>) -> Self {
        Self { name: name.into(), element, dims }
    }

    /// Number of its elements, or none where it does not fit.
    pub fn count(&self) -> Option<usize> {
        self.dims.iter().try_fold(1_usize, |count, &dim| count.checked_mul(dim))
    }

    /// Bytes of its elements, or none where the number does not fit.
    pub fn byte_count(&self) -> Option<usize> {
        self.count()?.checked_mul(self.element.size())
    }
}

impl<'a> Model<'a> {
    /// The tensors of the model with their names: the initializers in order, then those of `Constant` nodes, which
    /// Paddle2ONNX writes in their place.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Tensor<'a>)> {
        let initializers = self.initializers.iter().map(|tensor| (tensor.info.name.as_str(), tensor));
        let constants = self.nodes.iter().filter(|node| node.op == "Constant").filter_map(|node| {
            match (node.outputs.first(), node.attributes.iter().find(|(name, _)| name == "value")) {
                (Some(name), Some((_, Attribute::Tensor(tensor)))) => Some((name.as_str(), tensor)),
                _ => None,
            }
        });
        initializers.chain(constants)
    }

    /// The metadata text of that name.
    pub fn metadata(&self, name: &str) -> Option<&str> {
        self.metadata.iter().find(|(key, _)| key == name).map(|(_, text)| text.as_str())
    }
}

impl Node<'_> {
    /// The constant of that name.
    pub fn attribute(&self, name: &str) -> Option<&Attribute<'_>> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::F32 => "f32",
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F16 => "f16",
            Self::F64 => "f64",
            Self::Bf16 => "bf16",
        })
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => size.fmt(f),
            Self::Dynamic(name) => f.pad(name),
            Self::Unknown => f.pad("?"),
        }
    }
}

impl fmt::Display for Value {
    /// As `input: f32[1, 3, 224, 224]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<_> = self.dims.iter().map(Dim::to_string).collect();
        write!(f, "{}: {}[{}]", self.name, self.element, dims.join(", "))
    }
}
