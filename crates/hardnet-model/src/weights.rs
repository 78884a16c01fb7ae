//! Weights in safetensors files, read strictly.
//!
//! A file fits its network or it does not: every parameter must be there once, in its shape, and nothing else but
//! PyTorch's `num_batches_tracked` counters, which inference does not use. Its names may be those of any [`Scheme`]; with
//! metadata they are the canonical ones.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use crate::config::{Config, Variant};
use crate::error::{Error, Result};
use crate::recognise::{FileTensor, compare, recognise};
use crate::scheme::{NamedParam, Scheme};

/// The key under which a file's metadata holds a [`Metadata`] as JSON.
const METADATA_KEY: &str = "hardnet";

/// The version of [`Metadata`] that this crate reads.
const SCHEMA: u32 = 1;

/// The largest file that is read: far above any HarDNet in f32, far below what would hang a machine.
const MAX_BYTES: u64 = 4 << 30;

/// What a weights file says of itself, as JSON under the metadata key `hardnet`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Metadata {
    /// Version of this table.
    pub schema: u32,
    /// The network.
    pub config: Config,
    /// Names of the classes in order, where they are not ImageNet's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// How images are prepared for it: a name or a table, for whoever reads images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<serde_json::Value>,
}

impl Metadata {
    /// What is known of a network without names or a pipeline of its own.
    pub fn new(config: Config) -> Self {
        Self { schema: SCHEMA, config, labels: None, pipeline: None }
    }
}

/// A safetensors file that fits its network.
#[derive(Debug)]
pub struct WeightsFile {
    path: PathBuf,
    bytes: Vec<u8>,
    config: Config,
    params: Vec<NamedParam>,
    metadata: Option<Metadata>,
}

impl WeightsFile {
    /// Reads a file; its metadata says which network it holds, or the names and shapes of its tensors do.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] and [`Error::Format`] for what is not a whole safetensors file; [`Error::Mismatch`] with everything
    /// that is missing, unexpected, mis-shaped or of an unreadable type, against the network that the metadata names or the
    /// published one that comes closest.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path.as_ref(), None)
    }

    /// Reads a file that must hold `variant`, with as many classes as it has.
    ///
    /// # Errors
    ///
    /// As [`WeightsFile::open`], and [`Error::OtherNetwork`] where the file holds another network.
    pub fn open_as(path: impl AsRef<Path>, variant: Variant) -> Result<Self> {
        Self::open_with(path.as_ref(), Some(variant))
    }

    fn open_with(path: &Path, wanted: Option<Variant>) -> Result<Self> {
        let bytes = read(path)?;
        let format = |reason: String| Error::Format { path: path.into(), reason };
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| format(describe(&bytes, &error)))?;
        let metadata = header
            .metadata()
            .as_ref()
            .and_then(|table| table.get(METADATA_KEY))
            .map(|json| parse_metadata(json).map_err(format))
            .transpose()?;
        let tensors = tensors(&header);
        let recognised = match &metadata {
            Some(metadata) => compare(&tensors, &metadata.config, Scheme::PyTorch)?,
            None => recognise(&tensors, wanted)?,
        };
        let found = Variant::of(&recognised.config);
        if let Some(wanted) = wanted
            && found != Some(wanted)
        {
            let found = found.map_or("a network of its own".into(), |variant| variant.to_string());
            return Err(Error::OtherNetwork { path: path.into(), found, expected: wanted.to_string() });
        }
        if recognised.differences.count() > 0 {
            let network = found.map_or("the network of its metadata".into(), |variant| variant.to_string());
            let differences = Box::new(recognised.differences);
            return Err(Error::Mismatch { path: path.into(), network, differences });
        }
        Ok(Self { path: path.into(), bytes, config: recognised.config, params: recognised.params, metadata })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The network that the file holds.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What the file says of itself, if it does.
    pub fn metadata(&self) -> Option<&Metadata> {
        self.metadata.as_ref()
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The parameters as f32 on `device`, from f32, f16 or bf16.
    ///
    /// # Errors
    ///
    /// Candle's, as where the device is out of memory.
    pub fn var_builder(&self, device: &Device) -> Result<VarBuilder<'static>> {
        let file = SafeTensors::deserialize(&self.bytes)
            .map_err(|error| Error::Format { path: self.path.clone(), reason: describe(&self.bytes, &error) })?;
        let tensors = self
            .params
            .iter()
            .map(|named| {
                let view = file.tensor(&named.key).map_err(candle_core::Error::wrap)?;
                let dtype = DType::try_from(view.dtype())?;
                let stored = Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu)?;
                let tensor = if named.transposed { stored.t()?.contiguous()? } else { stored };
                Ok((named.param.name.clone(), tensor.to_dtype(DType::F32)?.to_device(device)?))
            })
            .collect::<candle_core::Result<HashMap<_, _>>>()?;
        Ok(VarBuilder::from_tensors(tensors, DType::F32, device))
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = |source| Error::Read { path: path.into(), source };
    // Before the file is opened: opening a pipe waits for its writer, and a device may never end.
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(std::io::Error::other("it is no regular file")));
    }
    if metadata.len() > MAX_BYTES {
        let reason = format!("{} bytes, expected at most {MAX_BYTES}", metadata.len());
        return Err(Error::Format { path: path.into(), reason });
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    File::open(path).map_err(failed)?.take(MAX_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// What the file has, in its order.
fn tensors(header: &safetensors::tensor::Metadata) -> Vec<FileTensor> {
    let infos = header.tensors();
    let tensor = |name: String| {
        let info = infos.get(&name)?;
        let readable = matches!(info.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16);
        let unreadable = (!readable).then(|| format!("{:?}", info.dtype).to_lowercase());
        Some(FileTensor { name, shape: info.shape.clone(), unreadable })
    };
    header.offset_keys().into_iter().filter_map(tensor).collect()
}

fn parse_metadata(json: &str) -> std::result::Result<Metadata, String> {
    #[derive(Deserialize)]
    struct Schema {
        schema: u32,
    }
    let failed = |error: serde_json::Error| format!("metadata `{METADATA_KEY}`: {error}");
    let Schema { schema } = serde_json::from_str(json).map_err(failed)?;
    if schema != SCHEMA {
        return Err(format!("metadata `{METADATA_KEY}` has schema {schema}, this version reads {SCHEMA}"));
    }
    serde_json::from_str(json).map_err(failed)
}

/// What is wrong with bytes that are no safetensors file, and what they look like instead.
fn describe(bytes: &[u8], error: &safetensors::SafeTensorError) -> String {
    match bytes {
        [] => "the file is empty".into(),
        [b'P', b'K', ..] => "it looks like a zip archive, perhaps a PyTorch file".into(),
        [0x80, 2..=5, ..] => "it looks like a pickle, perhaps a PyTorch or Paddle file".into(),
        _ => {
            let declared = bytes.first_chunk().map(|length| u64::from_le_bytes(*length));
            match declared {
                Some(declared) if bytes.get(8) == Some(&b'{') => {
                    format!("{error} ({} bytes with a header of {declared})", bytes.len())
                }
                _ => "its first bytes are no safetensors header".into(),
            }
        }
    }
}

#[cfg(test)]
mod tests;
