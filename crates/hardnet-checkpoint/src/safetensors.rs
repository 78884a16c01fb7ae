//! Hugging Face's safetensors: a JSON header after its length, then the elements in C order, little-endian.

use std::collections::HashSet;
use std::fmt;

use ::safetensors::tensor::Metadata;
use ::safetensors::{Dtype as SafeDtype, SafeTensorError, SafeTensors};
use hardnet_base::excerpt;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use crate::contents::{Contents, Format, TensorEntry, TensorInfo};
use crate::dtype::Dtype;
use crate::error::Error;
use crate::pickle::Payload;
use crate::source::Source;
use crate::tensor_data::{ElementOrder, TensorData};

/// A header may be an eighth of the file, or this: parsed, it takes several times its length.
const MIN_HEADER_LIMIT: usize = 1 << 20;

/// Reads a file.
pub(crate) fn contents(source: &Source) -> Result<Contents, Error> {
    let length = source.len();
    let declared = source.get(0..length.min(8))?.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
    let left = length.saturating_sub(8) as u64;
    if declared > left {
        return Err(Error::Truncated { offset: 8, what: "safetensors header", needed: declared, left });
    }
    let limit = MIN_HEADER_LIMIT.max(length / 8) as u64;
    if declared > limit {
        return Err(Error::Limit { offset: 8, what: "safetensors header", limit });
    }
    // The header lies inside the file, as compared above.
    let data = 8 + declared as usize;
    let header = source.get(8..data)?;
    let mut json = serde_json::Deserializer::from_slice(&header);
    UniqueKeys { nested: true }.deserialize(&mut json).map_err(SafeTensorError::InvalidHeaderDeserialization)?;
    let metadata = metadata(source, &header)?;
    let texts = metadata.metadata().iter().flatten().map(|(name, text)| (name.clone(), text.clone())).collect();
    let mut infos: Vec<_> = metadata.tensors().into_iter().collect();
    infos.sort_by(|(left_name, left), (right_name, right)| {
        (left.data_offsets, left_name).cmp(&(right.data_offsets, right_name))
    });
    let mut entries = Vec::with_capacity(infos.len());
    for (name, info) in infos {
        let offset = data.saturating_add(info.data_offsets.0);
        let invalid = |expected| Error::Tensor { offset, name: excerpt(&name), expected };
        let dtype = dtype(info.dtype).ok_or_else(|| invalid("a real element type of at least 8 bits, not `f8`"))?;
        let range = offset..data.saturating_add(info.data_offsets.1);
        let size = info.shape.iter().try_fold(dtype.size(), |size, &extent| size.checked_mul(extent));
        if range.end > length || range.start > range.end || size != Some(range.len()) {
            return Err(invalid("bytes for all its elements"));
        }
        let data = TensorData { parts: vec![Payload::Raw(range)], order: ElementOrder::RowMajor, big_endian: false };
        let shape = info.shape.clone();
        entries.push(TensorEntry { info: TensorInfo { name, dtype, shape }, data });
    }
    if entries.is_empty() {
        return Err(Error::NoTensors);
    }
    Ok(Contents { metadata: texts, ..Contents::new(Format::Safetensors, entries) })
}

/// The header of a file, whose ranges fill the file.
fn metadata(source: &Source, header: &[u8]) -> Result<Metadata, SafeTensorError> {
    if let Some(bytes) = source.bytes() {
        return SafeTensors::read_metadata(bytes).map(|(_, metadata)| metadata);
    }
    let metadata: Metadata = serde_json::from_slice(header).map_err(SafeTensorError::InvalidHeaderDeserialization)?;
    if metadata.data_len().checked_add(8 + header.len()) != Some(source.len()) {
        return Err(SafeTensorError::MetadataIncompleteBuffer);
    }
    Ok(metadata)
}

fn dtype(dtype: SafeDtype) -> Option<Dtype> {
    Some(match dtype {
        SafeDtype::F64 => Dtype::F64,
        SafeDtype::F32 => Dtype::F32,
        SafeDtype::F16 => Dtype::F16,
        SafeDtype::BF16 => Dtype::Bf16,
        SafeDtype::I64 => Dtype::I64,
        SafeDtype::I32 => Dtype::I32,
        SafeDtype::I16 => Dtype::I16,
        SafeDtype::I8 => Dtype::I8,
        SafeDtype::U64 => Dtype::U64,
        SafeDtype::U32 => Dtype::U32,
        SafeDtype::U16 => Dtype::U16,
        SafeDtype::U8 => Dtype::U8,
        SafeDtype::BOOL => Dtype::Bool,
        _ => return None,
    })
}

/// Walks an object and refuses a key that occurs twice: the `safetensors` crate keeps the last one, and a reader that
/// keeps the first would see another network in the same file.
struct UniqueKeys {
    /// Whether the texts of `__metadata__` are walked too.
    nested: bool,
}

impl<'de> DeserializeSeed<'de> for UniqueKeys {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for UniqueKeys {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with each key once")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut keys: HashSet<String> = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if self.nested && key == "__metadata__" {
                map.next_value_seed(UniqueKeys { nested: false })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
            if keys.contains(&key) {
                return Err(A::Error::custom(format_args!("key `{}` occurs twice", excerpt(&key))));
            }
            keys.insert(key);
        }
        Ok(())
    }
}
