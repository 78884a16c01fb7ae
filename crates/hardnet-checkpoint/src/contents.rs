//! The contents of a model file, by the reader of its format.

use std::collections::BTreeMap;
use std::fmt;

use hardnet_base::excerpt;

use crate::dictionaries::{Dictionary, TOP};
use crate::dtype::Dtype;
use crate::error::Error;
use crate::options::ReadOptions;
use crate::source::Source;
use crate::state_dict::{OpaqueValue, StateDict};
use crate::tensor_data::TensorData;
use crate::{onnx, paddle, pickle, safetensors, torch};

/// First byte of a pickle of protocol 2 or later.
pub(crate) const PICKLE: u8 = 0x80;

/// Format of a model file, detected from the content and never from the file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// `torch.save` before PyTorch 1.6: five pickles, then the storages.
    TorchLegacy,
    /// `torch.save` since PyTorch 1.6: an uncompressed zip archive.
    TorchZip,
    /// `paddle.save`: a pickle of NumPy arrays.
    Paddle,
    /// Hugging Face's safetensors.
    Safetensors,
    /// ONNX: a graph and its initializers.
    Onnx,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::TorchLegacy => "PyTorch, legacy",
            Format::TorchZip => "PyTorch, zip",
            Format::Paddle => "Paddle",
            Format::Safetensors => "safetensors",
            Format::Onnx => "ONNX",
        })
    }
}

/// Name, element type and shape of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorInfo {
    /// Name in the file.
    pub name: String,
    /// Element type.
    pub dtype: Dtype,
    /// Extents, slowest first; empty for a scalar.
    pub shape: Vec<usize>,
}

impl TensorInfo {
    /// Length of the elements, if it fits.
    pub(crate) fn byte_count(&self) -> Option<usize> {
        self.shape.iter().try_fold(self.dtype.size(), |size, &extent| size.checked_mul(extent))
    }
}

/// A tensor and the location of its bytes.
#[derive(Debug)]
pub(crate) struct TensorEntry {
    pub(crate) info: TensorInfo,
    pub(crate) data: TensorData,
}

/// The result of a format's reader.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) format: Format,
    pub(crate) wrapper: Option<String>,
    pub(crate) entries: Vec<TensorEntry>,
    pub(crate) dictionaries: Vec<Dictionary>,
    pub(crate) opaque: Vec<OpaqueValue>,
    pub(crate) passed_over: Vec<OpaqueValue>,
    pub(crate) counters: Vec<TensorInfo>,
    /// Metadata texts by name; only safetensors and ONNX files have them.
    pub(crate) metadata: BTreeMap<String, String>,
    /// Elements that the file does not have as they are. Ranges beyond the file are in them.
    pub(crate) appended: Vec<u8>,
}

impl Contents {
    /// The contents of a file that is one table of tensors, without metadata.
    pub(crate) fn new(format: Format, entries: Vec<TensorEntry>) -> Self {
        Self {
            format,
            wrapper: None,
            dictionaries: vec![Dictionary { path: TOP.into(), tensors: entries.len() }],
            entries,
            opaque: Vec::new(),
            passed_over: Vec::new(),
            counters: Vec::new(),
            metadata: BTreeMap::new(),
            appended: Vec::new(),
        }
    }

    /// The contents of a pickle, whose tensors are `entries`.
    pub(crate) fn of_state(format: Format, state: StateDict<'_>, entries: Vec<TensorEntry>) -> Self {
        let StateDict { wrapper, opaque, passed_over, dictionaries, .. } = state;
        Self { wrapper, opaque, passed_over, dictionaries, ..Self::new(format, entries) }
    }

    /// The contents of a file in memory, whose format follows from its first bytes.
    pub(crate) fn read(source: &Source, options: &ReadOptions) -> Result<Self, Error> {
        let bytes = source.bytes().unwrap_or_default();
        match bytes {
            [b'P', b'K', 3, 4, ..] => torch::zip::contents(source, options),
            [PICKLE, 2..=5, ..] => {
                let mut arena = pickle::Arena::new(bytes);
                let (first, end) = pickle::load(&mut arena, 0..bytes.len())?;
                if torch::legacy::is_magic(&arena, first) {
                    torch::legacy::contents(source, &mut arena, end, options)
                } else {
                    paddle::contents(&mut arena, first, end, options)
                }
            }
            [_, _, _, _, _, _, _, _, b'{', ..] => one_table(safetensors::contents(source)?, options),
            _ if onnx::is_model(bytes) => one_table(onnx::contents(bytes.into())?, options),
            [] => Err(Error::Empty),
            _ => Err(Error::UnknownFormat { first: bytes[..bytes.len().min(16)].to_vec() }),
        }
    }
}

/// The contents of a file that has one dictionary.
pub(crate) fn one_table(contents: Contents, options: &ReadOptions) -> Result<Contents, Error> {
    match &options.entry {
        Some(entry) if entry != TOP => Err(Error::NoEntry { entry: excerpt(entry), available: contents.dictionaries }),
        _ => Ok(contents),
    }
}
