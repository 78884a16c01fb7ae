//! Errors of reading a model file.

use std::path::PathBuf;

use crate::dictionaries::Dictionary;

/// Error type of this crate. Offsets are in bytes from the start of the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system could not read the file.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The file exceeds the size limit.
    #[error("`{}` has {bytes} bytes: expected at most {limit}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length, or one more than the limit if the system reports none.
        bytes: u64,
        /// Largest length.
        limit: u64,
    },
    /// The file has no bytes.
    #[error("the file is empty, expected a PyTorch, Paddle, safetensors or ONNX file")]
    Empty,
    /// The first bytes match no known format.
    #[error(
        "unknown format: the file starts with `{}`, expected a PyTorch, Paddle, safetensors or ONNX file",
        first.escape_ascii()
    )]
    UnknownFormat {
        /// Up to 16 bytes from the start of the file.
        first: Vec<u8>,
    },
    /// A length exceeds the bytes that are left.
    #[error("`{what}` at offset {offset} needs {needed} bytes, but {left} are left")]
    Truncated {
        /// Where it starts.
        offset: usize,
        /// The truncated item.
        what: &'static str,
        /// Declared length.
        needed: u64,
        /// Bytes left.
        left: u64,
    },
    /// The requested tensors depend on a class or function outside the list of those that describe tensors.
    #[error("global `{module} {name}` at offset {offset} is refused: only globals that describe tensors are allowed")]
    RefusedGlobal {
        /// Where it is named.
        offset: usize,
        /// Its module, at most 80 characters.
        module: String,
        /// Its name, at most 80 characters.
        name: String,
    },
    /// The pickle has an opcode that is not known, or that refers to something outside the file.
    #[error("opcode `{opcode:#04x}` at offset {offset} is refused: it is unknown, or refers outside the file")]
    RefusedOpcode {
        /// Where it stands.
        offset: usize,
        /// The byte.
        opcode: u8,
    },
    /// A value is not what the format has in this position.
    #[error("`{what}` at offset {offset} is not valid: expected {expected}")]
    Unexpected {
        /// Where it stands.
        offset: usize,
        /// The item.
        what: &'static str,
        /// The value that the format has there.
        expected: &'static str,
    },
    /// A bound that keeps memory and time proportional to the file was exceeded.
    #[error("`{what}` at offset {offset} exceeds the limit of {limit}")]
    Limit {
        /// Where it was exceeded.
        offset: usize,
        /// The quantity.
        what: &'static str,
        /// Its largest value.
        limit: u64,
    },
    /// A container contains itself, directly or through others.
    #[error("container at offset {offset} contains itself")]
    Cycle {
        /// Where one container of the loop begins.
        offset: usize,
    },
    /// An entry of a zip archive breaks a rule.
    #[error("zip entry `{name}` at offset {offset} is not valid: expected {expected}")]
    ZipEntry {
        /// Its central directory record.
        offset: usize,
        /// Its name, at most 80 characters.
        name: String,
        /// The rule.
        expected: &'static str,
    },
    /// A storage does not match the tensors that refer to it.
    #[error("storage `{key}` at offset {offset} is not valid: expected {expected}")]
    Storage {
        /// Where it is declared or stored.
        offset: usize,
        /// Its key, at most 80 characters.
        key: String,
        /// The rule.
        expected: &'static str,
    },
    /// A tensor's shape, strides or type do not fit its bytes.
    #[error("tensor `{name}` at offset {offset} is not valid: expected {expected}")]
    Tensor {
        /// Where the tensor is described.
        offset: usize,
        /// Its name, at most 80 characters.
        name: String,
        /// The rule.
        expected: &'static str,
    },
    /// Two tensors have one name.
    #[error("tensor `{name}` occurs twice")]
    DuplicateName {
        /// The name, at most 80 characters.
        name: String,
    },
    /// The file is well formed but holds no named tensors.
    #[error("no tensors found, expected a dictionary of tensors, at the top level or under a key such as `state_dict`")]
    NoTensors,
    /// The file holds dictionaries of tensors, none of them under a usual name.
    #[error("the file does not say which of its dictionaries of tensors is the network: {}", list(available))]
    Choice {
        /// The dictionaries; one may be chosen by [`ReadOptions::entry`](crate::ReadOptions::entry).
        available: Vec<Dictionary>,
    },
    /// The file has no dictionary of tensors under the key that was requested.
    #[error("the file has no dictionary of tensors `{entry}`, only {}", list(available))]
    NoEntry {
        /// The key, at most 80 characters.
        entry: String,
        /// The dictionaries that the file has.
        available: Vec<Dictionary>,
    },
    /// The file is a program of TorchScript.
    #[error("the file is a TorchScript module, expected a file of `torch.save`")]
    TorchScript,
    /// Bytes follow the end of the content.
    #[error("{count} bytes follow the end of the content at offset {offset}")]
    TrailingBytes {
        /// The end of the content.
        offset: usize,
        /// The bytes after it.
        count: usize,
    },
    /// The header of a safetensors file is not valid.
    #[error("the safetensors header at offset 8 is not valid")]
    Safetensors(#[from] safetensors::SafeTensorError),
    /// An ONNX model that is damaged, or whose tensors are in other files.
    #[error(transparent)]
    Onnx(#[from] hardnet_onnx::Error),
    /// There is no tensor with this index.
    #[error("tensor index {index} is out of range: the file has {count} tensors")]
    Index {
        /// The index.
        index: usize,
        /// The number of tensors.
        count: usize,
    },
}

/// The first dictionaries, each with the number of its tensors.
fn list(dictionaries: &[Dictionary]) -> String {
    const MOST: usize = 6;
    let mut list: Vec<String> = dictionaries.iter().take(MOST).map(Dictionary::to_string).collect();
    if dictionaries.len() > MOST {
        list.push(format!("{} more", dictionaries.len() - MOST));
    }
    if list.is_empty() { "other objects".into() } else { list.join(", ") }
}
