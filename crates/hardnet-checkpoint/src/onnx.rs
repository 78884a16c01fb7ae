//! ONNX models as tables of tensors: their initializers and constants, and their metadata.

use std::ops::Range;

use hardnet_base::SparseBytes;
use hardnet_onnx::{ElementType, Model};

use crate::contents::{Contents, Format, TensorEntry, TensorInfo};
use crate::dtype::Dtype;
use crate::error::Error;
use crate::pickle::Payload;
use crate::tensor_data::{ElementOrder, TensorData};

/// Whether `bytes` may be a model: the first field of the files of all programs is the version of the format.
pub(crate) fn is_model(bytes: &[u8]) -> bool {
    const IR_VERSION: u8 = 1 << 3;
    matches!(bytes, [IR_VERSION, 1..=32, ..])
}

/// Reads a file. Elements that it does not have as they are follow it in `appended`.
pub(crate) fn contents(bytes: SparseBytes<'_>) -> Result<Contents, Error> {
    let model = Model::parse_sparse(bytes)?;
    let mut entries = Vec::with_capacity(model.initializers.len());
    let mut appended = Vec::new();
    for (name, tensor) in model.tensors() {
        let range = tensor.place.clone().unwrap_or_else(|| {
            let start = bytes.len() + appended.len();
            appended.extend_from_slice(&tensor.bytes);
            start..start + tensor.bytes.len()
        });
        let (dtype, shape) = (dtype(tensor.info.element), tensor.info.dims.clone());
        let info = TensorInfo { name: name.into(), dtype, shape };
        entries.push(TensorEntry { info, data: raw(range) });
    }
    if entries.is_empty() {
        return Err(Error::NoTensors);
    }
    let metadata = model.metadata.into_iter().collect();
    Ok(Contents { metadata, appended, ..Contents::new(Format::Onnx, entries) })
}

/// Elements as they are in memory.
pub(crate) fn raw(range: Range<usize>) -> TensorData {
    TensorData { parts: vec![Payload::Raw(range)], order: ElementOrder::RowMajor, big_endian: false }
}

fn dtype(element: ElementType) -> Dtype {
    match element {
        ElementType::F32 => Dtype::F32,
        ElementType::U8 => Dtype::U8,
        ElementType::I8 => Dtype::I8,
        ElementType::I32 => Dtype::I32,
        ElementType::F16 => Dtype::F16,
        ElementType::F64 => Dtype::F64,
        ElementType::Bf16 => Dtype::Bf16,
        _ => Dtype::I64,
    }
}
