//! An open model file of any supported format.

mod streamed;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use hardnet_base::{ReadError, Sparse, excerpt, read_regular_file};

use crate::contents::{Contents, Format, TensorInfo};
use crate::dictionaries::{Dictionary, TOP};
use crate::dtype::Dtype;
use crate::elements::Elements;
use crate::error::Error;
use crate::options::ReadOptions;
use crate::pickle::Payload;
use crate::source::Source;
use crate::state_dict::OpaqueValue;
use crate::tensor_data::TensorData;
use crate::{names, onnx};

/// An open model file.
///
/// The file is held in memory once, unchanged, and nothing in it is executed. Opening it temporarily takes at most as
/// much memory again (4 MiB for small files), and so does reading a tensor: never more than twice the size of the file.
/// With [`ReadOptions::streamed`], the file stays on disk, and a tensor is read from there each time.
#[derive(Debug)]
pub struct Checkpoint {
    pub(crate) source: Source,
    format: Format,
    wrapper: Option<String>,
    dictionaries: Vec<Dictionary>,
    opaque: Vec<OpaqueValue>,
    passed_over: Vec<OpaqueValue>,
    counters: Vec<TensorInfo>,
    metadata: BTreeMap<String, String>,
    pub(crate) tensors: Vec<TensorInfo>,
    pub(crate) data: Vec<TensorData>,
    /// The parts of an ONNX file on disk that describe its model.
    outline: Option<Sparse>,
}

impl Checkpoint {
    /// Largest file that [`Checkpoint::open`] reads, 4 GiB: the limit of a zip archive without extensions. HarDNet85 in
    /// f32 is a thirtieth of it.
    pub const MAX_BYTES: u64 = 4 << 30;

    /// Opens the file at `path` and checks its structure.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] if the file cannot be read, [`Error::TooLarge`] if it is longer than
    /// [`Checkpoint::MAX_BYTES`], and the errors of [`Checkpoint::from_bytes`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(path, &ReadOptions::default())
    }

    /// Opens the file at `path` with options.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::open`], and those of [`Checkpoint::from_bytes_with`].
    pub fn open_with(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Self, Error> {
        let path = path.as_ref();
        if options.streamed
            && let Some(checkpoint) = streamed::open(path, options)
        {
            return Ok(checkpoint);
        }
        Self::from_bytes_with(read_file(path, Self::MAX_BYTES)?, options)
    }

    /// The whole file, if it is in memory: without [`ReadOptions::streamed`].
    pub fn bytes(&self) -> Option<&[u8]> {
        self.source.bytes().map(|bytes| &bytes[..self.byte_count().min(bytes.len())])
    }

    /// Length of the file.
    pub fn byte_count(&self) -> usize {
        self.source.len()
    }

    /// Gives the whole file to `take`, some bytes at a time.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] and [`Error::Truncated`] if the file is on disk and can no longer be read.
    pub fn for_each_part(&self, take: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        self.source.for_each(0..self.source.len(), take)
    }

    /// Opens a file in memory and checks its structure.
    ///
    /// # Errors
    ///
    /// If the format is unknown, the content is damaged or truncated, a tensor is made by a function that is not known,
    /// or a limit is exceeded; see [`Error`]. [`Error::Choice`] if the file has several dictionaries of tensors, and no
    /// key says which is the network.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, Error> {
        Self::from_bytes_with(bytes, &ReadOptions::default())
    }

    /// Opens a file in memory with options.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::from_bytes`]; [`Error::NoEntry`] if the file has no dictionary of [`ReadOptions::entry`].
    pub fn from_bytes_with(bytes: Vec<u8>, options: &ReadOptions) -> Result<Self, Error> {
        let source = Source::memory(bytes);
        let contents = Contents::read(&source, options)?;
        Self::new(source, contents)
    }

    /// A checkpoint of `source`, whose reader found `contents`.
    fn new(mut source: Source, mut contents: Contents) -> Result<Self, Error> {
        names::finish(&mut contents)?;
        let mut appended = std::mem::take(&mut contents.appended);
        let Contents { format, wrapper, entries, mut dictionaries, opaque, passed_over, counters, metadata, .. } =
            contents;
        source.append(&mut appended);
        let path = wrapper.as_deref().unwrap_or(TOP);
        // Slices are joined and counters left out by now.
        for dictionary in dictionaries.iter_mut().filter(|dictionary| dictionary.path == path) {
            dictionary.tensors = entries.len();
        }
        let (tensors, data) = entries.into_iter().map(|entry| (entry.info, entry.data)).unzip();
        Ok(Self {
            source,
            format,
            wrapper,
            dictionaries,
            opaque,
            passed_over,
            counters,
            metadata,
            tensors,
            data,
            outline: None,
        })
    }

    /// Format of the file.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Key of the dictionary that holds the tensors, such as `state_dict`. Keys of several levels are joined by
    /// periods. `None` if the tensors are at the top level.
    ///
    /// Averaged weights (`state_dict_ema`, `model_ema`) take precedence over the weights they were averaged from. A
    /// dictionary under an unusual key is taken if it is the only one.
    pub fn wrapper(&self) -> Option<&str> {
        self.wrapper.as_deref()
    }

    /// The dictionaries of tensors in the file, in its order, the one that was read among them. Whole modules of
    /// PyTorch count as dictionaries.
    pub fn dictionaries(&self) -> &[Dictionary] {
        &self.dictionaries
    }

    /// Values of the dictionary that are not read, as their class or the function that makes them is not known.
    pub fn opaque(&self) -> &[OpaqueValue] {
        &self.opaque
    }

    /// Objects of unknown classes under keys that take precedence over [`Checkpoint::wrapper`].
    pub fn passed_over(&self) -> &[OpaqueValue] {
        &self.passed_over
    }

    /// Scalars next to the tensors that count steps, such as `n_averaged`; they are not among the tensors.
    pub fn counters(&self) -> &[TensorInfo] {
        &self.counters
    }

    /// Metadata of a safetensors or ONNX file: texts by name. Other formats have none.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The tensors in the order of the file.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The elements of tensor `index`: little-endian, C order, contiguous. They are borrowed if the file stores them
    /// that way.
    ///
    /// # Errors
    ///
    /// [`Error::Index`] if the tensor does not exist; [`Error::Read`] and [`Error::Truncated`] if the file is on disk
    /// and can no longer be read.
    pub fn read(&self, index: usize) -> Result<Cow<'_, [u8]>, Error> {
        let (Some(info), Some(data)) = (self.tensors.get(index), self.data.get(index)) else {
            return Err(Error::Index { index, count: self.tensors.len() });
        };
        let invalid = || Error::Tensor { offset: 0, name: excerpt(&info.name), expected: "bytes for all its elements" };
        if let Some(bytes) = self.source.bytes() {
            return data.read(bytes, info.dtype, &info.shape).ok_or_else(invalid);
        }
        let mut all = Vec::new();
        if data.is_plain() {
            all.reserve_exact(info.byte_count().ok_or_else(invalid)?);
            streamed::read(&self.source, data, &mut |part| all.extend_from_slice(part))?;
            return if Some(all.len()) == info.byte_count() { Ok(Cow::Owned(all)) } else { Err(invalid()) };
        }
        let mut parts = Vec::with_capacity(data.parts.len());
        for part in &data.parts {
            let (Payload::Raw(range) | Payload::Latin1 { range, .. }) = part;
            let start = all.len();
            all.extend_from_slice(&self.source.get(range.clone())?);
            let range = start..all.len();
            parts.push(match part {
                Payload::Raw(_) => Payload::Raw(range),
                Payload::Latin1 { length, .. } => Payload::Latin1 { range, length: *length },
            });
        }
        let moved = TensorData { parts, ..data.clone() };
        let elements = moved.read(&all, info.dtype, &info.shape).ok_or_else(invalid)?;
        Ok(Cow::Owned(elements.into_owned()))
    }

    /// Gives the elements of tensor `index` to `take`, a whole number of them at a time, as [`Checkpoint::read`]
    /// returns them. Those of a file on disk take little memory.
    ///
    /// # Errors
    ///
    /// Those of [`Checkpoint::read`]; some elements may have been given by then.
    pub fn read_parts(&self, index: usize, take: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        match self.data.get(index) {
            Some(data) if data.is_plain() && self.source.bytes().is_none() => streamed::read(&self.source, data, take),
            _ => self.read(index).map(|elements| take(&elements)),
        }
    }

    /// The model of an ONNX file. Of a file on disk, large tensors have no elements; the tensors of the checkpoint are
    /// those of [`Model::tensors`](hardnet_onnx::Model::tensors), in their order.
    ///
    /// # Errors
    ///
    /// [`Error::Onnx`] for a file of another format.
    pub fn onnx_model(&self) -> Result<hardnet_onnx::Model<'_>, Error> {
        let bytes = match &self.outline {
            Some(outline) => outline.bytes(),
            None => self.bytes().unwrap_or_default().into(),
        };
        Ok(hardnet_onnx::Model::parse_sparse(bytes)?)
    }
}

/// Elements of a tensor for [`Checkpoint::with_tensors`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum TensorBytes {
    /// Those of this tensor of the checkpoint.
    Tensor(usize),
    /// These: little-endian, C order.
    Bytes(Vec<u8>),
}

impl Checkpoint {
    /// The same file with other tensors: some of its own under other names, and some that follow from what else it has,
    /// each by its name, type, shape and elements. It takes little memory beyond that of new elements.
    ///
    /// For formats whose tensors have their meaning from something else than their names, such as ONNX.
    ///
    /// # Errors
    ///
    /// [`Error::Index`] if the tensor does not exist, [`Error::Tensor`] if bytes do not fit type and shape.
    pub fn with_tensors(
        mut self,
        tensors: impl IntoIterator<Item = (String, Dtype, Vec<usize>, TensorBytes)>,
    ) -> Result<Self, Error> {
        let tensors: Vec<_> = tensors.into_iter().collect();
        let new = tensors.iter().map(|(.., elements)| match elements {
            TensorBytes::Tensor(_) => 0,
            TensorBytes::Bytes(bytes) => bytes.len(),
        });
        self.source.reserve(new.sum());
        let (mut infos, mut all) = (Vec::new(), Vec::new());
        for (name, dtype, shape, elements) in tensors {
            let data = match elements {
                TensorBytes::Tensor(index) => {
                    let count = self.data.len();
                    self.data.get(index).cloned().ok_or(Error::Index { index, count })?
                }
                TensorBytes::Bytes(mut bytes) => onnx::raw(self.source.append(&mut bytes)),
            };
            let info = TensorInfo { name, dtype, shape };
            if info.byte_count() != Some(data.parts.iter().fold(0, |sum, part| sum + part.len())) {
                let name = excerpt(&info.name);
                return Err(Error::Tensor { offset: 0, name, expected: "bytes for all its elements" });
            }
            infos.push(info);
            all.push(data);
        }
        self.dictionaries = vec![Dictionary { path: TOP.into(), tensors: infos.len() }];
        (self.tensors, self.data, self.outline) = (infos, all, None);
        Ok(self)
    }

    /// Sets a text of the metadata.
    #[must_use]
    pub fn with_metadata(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.metadata.insert(name.into(), text.into());
        self
    }

    /// Splits the checkpoint into the elements of its tensors, which can be taken one by one and freed after use.
    ///
    /// It copies the file, but needs little memory beyond that of the file.
    pub fn into_elements(self) -> Elements {
        let mut ranges = Vec::with_capacity(self.tensors.len());
        for (index, (info, data)) in self.tensors.iter().zip(&self.data).enumerate() {
            // Elements that can be borrowed are a range of the file.
            let bytes = self.source.bytes().unwrap_or_default();
            match (data.range(), data.read(bytes, info.dtype, &info.shape)) {
                (Some(range), Some(Cow::Borrowed(_))) if !bytes.is_empty() => ranges.push((index, range)),
                _ => ranges.clear(),
            }
            if ranges.len() != index + 1 {
                break;
            }
        }
        ranges.sort_by_key(|(_, range)| (range.start, range.end));
        let disjoint = ranges.windows(2).all(|pair| pair[0].1.end <= pair[1].1.start);
        if ranges.len() != self.tensors.len() || !disjoint {
            ranges.clear();
        }
        Elements::new(self, ranges)
    }
}

/// The content of a regular file of at most `limit` bytes.
fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    read_regular_file(path, limit).map_err(|error| {
        let path = path.to_owned();
        match error {
            ReadError::Io(source) => Error::Read { path, source },
            ReadError::TooLarge { bytes } => Error::TooLarge { path, bytes, limit },
            _ => Error::Read { path, source: io::Error::other("not a regular file") },
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_beyond_the_limit_is_refused_before_it_is_read() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), "12345").expect("the file is written");
        assert_eq!(read_file(file.path(), 5).expect("the file is short enough"), b"12345");
        assert!(matches!(read_file(file.path(), 3), Err(Error::TooLarge { bytes: 5, limit: 3, .. })));
        // A hole takes no disk.
        file.as_file().set_len(Checkpoint::MAX_BYTES + 1).expect("the file is grown");
        let error = Checkpoint::open(file.path()).expect_err("the file is too long").to_string();
        assert!(error.ends_with("has 4294967297 bytes: expected at most 4294967296"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_without_a_length_is_bounded_while_it_is_read() {
        let read = read_file(Path::new("/proc/self/maps"), 10);
        assert!(matches!(read, Err(Error::TooLarge { bytes: 11, limit: 10, .. })), "{read:?}");
    }
}
