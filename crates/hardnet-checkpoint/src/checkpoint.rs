//! A file whose tensors can be listed and read, whatever wrote it.

use std::fmt;
use std::path::Path;

use crate::dtype::Dtype;
use crate::error::Error;
use crate::source::Source;
use crate::{paddle, pickle, safetensors, state_dict, torch};

/// What wrote the file; found from the content, never from the file name.
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
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::TorchLegacy => "PyTorch, legacy",
            Format::TorchZip => "PyTorch, zip",
            Format::Paddle => "Paddle",
            Format::Safetensors => "safetensors",
        })
    }
}

/// A tensor's description.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorInfo {
    /// The name in the file, without `module.` if all tensors have that prefix.
    pub name: String,
    /// The type of the elements.
    pub dtype: Dtype,
    /// The extents, slowest first; empty for a scalar.
    pub shape: Vec<usize>,
}

/// A tensor and where its bytes are.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) info: TensorInfo,
    pub(crate) source: Source,
}

/// What a format's reader finds in the bytes.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) format: Format,
    pub(crate) wrapper: Option<String>,
    pub(crate) entries: Vec<Entry>,
}

/// An open model file.
///
/// The file is held in memory once, as it is; nothing in it is executed. Opening takes at most as much memory again
/// (4 MiB for small files), which is given back, and so does each tensor that is read: never more than twice the file.
#[derive(Debug)]
pub struct Checkpoint {
    bytes: Vec<u8>,
    format: Format,
    wrapper: Option<String>,
    tensors: Vec<TensorInfo>,
    sources: Vec<Source>,
}

impl Checkpoint {
    /// Opens the file at `path` and checks its structure.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] if the system cannot read it; otherwise as [`Checkpoint::from_bytes`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let failed = |source| Error::Read { path: path.to_owned(), source };
        // Before the file is opened: opening a pipe waits for its writer, and a device may never end.
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(failed(std::io::Error::other("it is no regular file")));
        }
        Self::from_bytes(std::fs::read(path).map_err(failed)?)
    }

    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Checks the structure of a file's content.
    ///
    /// # Errors
    ///
    /// If the content is of no known format, is damaged or cut, names anything outside the allowlist of the
    /// unpickler, or passes a limit; see [`Error`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, Error> {
        let mut contents = read_contents(&bytes)?;
        state_dict::finish_names(&mut contents.entries)?;
        let (tensors, sources) = contents.entries.into_iter().map(|entry| (entry.info, entry.source)).unzip();
        Ok(Self { bytes, format: contents.format, wrapper: contents.wrapper, tensors, sources })
    }

    /// What wrote the file.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The key under which the tensors were found, such as `state_dict`; keys of several levels are joined by points.
    /// `None` if they are at the top of the file.
    ///
    /// Averaged weights (`state_dict_ema`, `model_ema`) are chosen before those they were averaged from.
    pub fn wrapper(&self) -> Option<&str> {
        self.wrapper.as_deref()
    }

    /// The tensors in the order of the file.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The elements of tensor `index`: little-endian, C order, contiguous.
    ///
    /// # Errors
    ///
    /// [`Error::Index`] if there is no such tensor.
    pub fn read(&self, index: usize) -> Result<Vec<u8>, Error> {
        let (Some(info), Some(source)) = (self.tensors.get(index), self.sources.get(index)) else {
            return Err(Error::Index { index, count: self.tensors.len() });
        };
        source.read(&self.bytes, info.dtype, &info.shape).ok_or_else(|| Error::Tensor {
            offset: 0,
            name: crate::error::excerpt(&info.name),
            expected: "bytes for all its elements",
        })
    }
}

fn read_contents(bytes: &[u8]) -> Result<Contents, Error> {
    const PICKLE: u8 = 0x80;
    match bytes {
        [b'P', b'K', 3, 4, ..] => torch::zip::contents(bytes),
        [PICKLE, 2..=5, ..] => {
            let mut arena = pickle::Arena::new(bytes);
            let (first, end) = pickle::load(&mut arena, 0..bytes.len())?;
            if torch::legacy::is_magic(&arena, first) {
                torch::legacy::contents(&mut arena, end)
            } else {
                paddle::contents(&mut arena, first, end)
            }
        }
        [_, _, _, _, _, _, _, _, b'{', ..] => safetensors::contents(bytes),
        _ => Err(Error::UnknownFormat { first: bytes[..bytes.len().min(16)].to_vec() }),
    }
}
