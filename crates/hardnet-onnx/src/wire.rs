//! ONNX's encoding: protocol buffers, and the dozen messages of ONNX that classifiers need.
//!
//! A message is a sequence of fields. A field is a key, `number << 3 | wire type` as a varint, and a value: a varint
//! (type 0), 8 bytes (1), a length and as many bytes (2), or 4 bytes (5). A varint is a number of up to 64 bits in
//! groups of 7, the lowest first, each but the last with the highest bit set. Fields may come in any order, and a
//! reader passes over those that it does not know.
//!
//! The numbers of fields are those of `onnx.proto` of ONNX 1.23 (<https://github.com/onnx/onnx>).

pub(crate) mod outline;
pub(crate) mod read;
#[cfg(feature = "graph")]
pub(crate) mod write;

/// Wire types.
pub(crate) mod wire_type {
    pub(crate) const VARINT: u64 = 0;
    pub(crate) const FIXED64: u64 = 1;
    pub(crate) const BYTES: u64 = 2;
    pub(crate) const FIXED32: u64 = 5;
}

/// Fields of `ModelProto`.
pub(crate) mod model {
    pub(crate) const IR_VERSION: u64 = 1;
    pub(crate) const PRODUCER_NAME: u64 = 2;
    pub(crate) const PRODUCER_VERSION: u64 = 3;
    pub(crate) const GRAPH: u64 = 7;
    pub(crate) const OPSET_IMPORT: u64 = 8;
    pub(crate) const METADATA_PROPS: u64 = 14;
    pub(crate) const FUNCTIONS: u64 = 25;
}

/// Fields of `OperatorSetIdProto`.
pub(crate) mod opset {
    pub(crate) const DOMAIN: u64 = 1;
    pub(crate) const VERSION: u64 = 2;
}

/// Fields of `StringStringEntryProto`.
pub(crate) mod entry {
    pub(crate) const KEY: u64 = 1;
    pub(crate) const VALUE: u64 = 2;
}

/// Fields of `GraphProto`.
pub(crate) mod graph {
    pub(crate) const NODE: u64 = 1;
    pub(crate) const NAME: u64 = 2;
    pub(crate) const INITIALIZER: u64 = 5;
    pub(crate) const DOC_STRING: u64 = 10;
    pub(crate) const INPUT: u64 = 11;
    pub(crate) const OUTPUT: u64 = 12;
    pub(crate) const VALUE_INFO: u64 = 13;
    pub(crate) const SPARSE_INITIALIZER: u64 = 15;
}

/// Fields of `NodeProto`.
pub(crate) mod node {
    pub(crate) const INPUT: u64 = 1;
    pub(crate) const OUTPUT: u64 = 2;
    pub(crate) const NAME: u64 = 3;
    pub(crate) const OP_TYPE: u64 = 4;
    pub(crate) const ATTRIBUTE: u64 = 5;
    pub(crate) const DOMAIN: u64 = 7;
}

/// Fields of `AttributeProto`, and its types.
pub(crate) mod attribute {
    pub(crate) const NAME: u64 = 1;
    pub(crate) const FLOAT: u64 = 2;
    pub(crate) const INT: u64 = 3;
    pub(crate) const TEXT: u64 = 4;
    pub(crate) const TENSOR: u64 = 5;
    pub(crate) const INTS: u64 = 8;
    pub(crate) const TYPE: u64 = 20;

    pub(crate) const TYPE_FLOAT: u64 = 1;
    pub(crate) const TYPE_INT: u64 = 2;
    pub(crate) const TYPE_TEXT: u64 = 3;
    pub(crate) const TYPE_TENSOR: u64 = 4;
    pub(crate) const TYPE_INTS: u64 = 7;
}

/// Fields of `TensorProto`.
pub(crate) mod tensor {
    pub(crate) const DIMS: u64 = 1;
    pub(crate) const DATA_TYPE: u64 = 2;
    pub(crate) const SEGMENT: u64 = 3;
    pub(crate) const FLOAT_DATA: u64 = 4;
    pub(crate) const INT32_DATA: u64 = 5;
    pub(crate) const INT64_DATA: u64 = 7;
    pub(crate) const NAME: u64 = 8;
    pub(crate) const RAW_DATA: u64 = 9;
    pub(crate) const DOUBLE_DATA: u64 = 10;
    pub(crate) const EXTERNAL_DATA: u64 = 13;
    pub(crate) const DATA_LOCATION: u64 = 14;
}

/// Fields of `ValueInfoProto`, `TypeProto`, `TypeProto.Tensor`, `TensorShapeProto` and its `Dimension`.
pub(crate) mod value {
    pub(crate) const NAME: u64 = 1;
    pub(crate) const TYPE: u64 = 2;
    pub(crate) const TENSOR_TYPE: u64 = 1;
    pub(crate) const ELEMENT: u64 = 1;
    pub(crate) const SHAPE: u64 = 2;
    pub(crate) const DIM: u64 = 1;
    pub(crate) const DIM_VALUE: u64 = 1;
    pub(crate) const DIM_PARAM: u64 = 2;
}
