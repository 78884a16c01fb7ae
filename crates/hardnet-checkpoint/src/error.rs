//! What can be wrong with a model file.

use std::path::PathBuf;

/// Why a file could not be opened or a tensor not be read. Offsets are bytes from the start of the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system could not read the file.
    #[error("cannot read `{}`: check that the file exists and may be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is longer than anything that is read.
    #[error("`{}` has {bytes} bytes: expected at most {limit}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length, or one more than the limit if the system does not say.
        bytes: u64,
        /// The greatest length.
        limit: u64,
    },
    /// There is nothing in the file.
    #[error("the file is empty: expected a PyTorch, Paddle or safetensors file; fetch it again")]
    Empty,
    /// The first bytes belong to no known format.
    #[error(
        "bytes `{}` at offset 0 start no known model file: expected a PyTorch, Paddle or safetensors file; \
         check that the download is complete and no web page",
        first.escape_ascii()
    )]
    UnknownFormat {
        /// Up to 16 bytes from the start of the file.
        first: Vec<u8>,
    },
    /// A length runs past the end of what holds it.
    #[error("`{what}` at offset {offset} needs {needed} bytes and {left} are left: download the file again")]
    Truncated {
        /// Where it starts.
        offset: usize,
        /// The thing that is cut.
        what: &'static str,
        /// The bytes it declares.
        needed: u64,
        /// The bytes there are.
        left: u64,
    },
    /// The pickle names a class or function outside the list of those that describe tensors.
    #[error(
        "global `{module} {name}` at offset {offset} is refused: expected only what describes tensors; \
         save the `state_dict()` rather than the whole object"
    )]
    RefusedGlobal {
        /// Where it is named.
        offset: usize,
        /// Its module, at most 80 characters.
        module: String,
        /// Its name, at most 80 characters.
        name: String,
    },
    /// The pickle has an opcode that no writer of tensors needs.
    #[error(
        "opcode `{opcode:#04x}` at offset {offset} is refused: expected a `state_dict()` saved with protocol 2 to 4"
    )]
    RefusedOpcode {
        /// Where it stands.
        offset: usize,
        /// The byte.
        opcode: u8,
    },
    /// Something is not what the format has in its place.
    #[error("`{what}` at offset {offset} is not valid: expected {expected}; save the `state_dict()` again")]
    Unexpected {
        /// Where it stands.
        offset: usize,
        /// What was being read.
        what: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// A bound that keeps memory and time in proportion to the file was passed.
    #[error("`{what}` at offset {offset} passes the limit: expected at most {limit}; do not trust this file")]
    Limit {
        /// Where it was passed.
        offset: usize,
        /// The quantity.
        what: &'static str,
        /// Its greatest value.
        limit: u64,
    },
    /// A container holds itself, directly or through others.
    #[error("container at offset {offset} contains itself: expected a tree; do not trust this file")]
    Cycle {
        /// Where one container of the loop begins.
        offset: usize,
    },
    /// An entry of a zip archive breaks a rule.
    #[error(
        "zip entry `{name}` at offset {offset} is not valid: expected {expected}; fetch the file again, or save it again with PyTorch"
    )]
    ZipEntry {
        /// Its central directory record.
        offset: usize,
        /// Its name, at most 80 characters.
        name: String,
        /// The rule.
        expected: &'static str,
    },
    /// A storage is not what the tensors say of it.
    #[error("storage `{key}` at offset {offset} is not valid: expected {expected}; download the file again")]
    Storage {
        /// Where it is declared or stored.
        offset: usize,
        /// Its key, at most 80 characters.
        key: String,
        /// The rule.
        expected: &'static str,
    },
    /// A tensor's shape, strides or type do not fit its bytes.
    #[error("tensor `{name}` at offset {offset} is not valid: expected {expected}; save the file again")]
    Tensor {
        /// Where the tensor is described.
        offset: usize,
        /// Its name, at most 80 characters.
        name: String,
        /// The rule.
        expected: &'static str,
    },
    /// Two tensors have one name.
    #[error("tensor `{name}` occurs twice: expected each name once; save the file again")]
    DuplicateName {
        /// The name, at most 80 characters.
        name: String,
    },
    /// The file is well formed and holds no named tensors.
    #[error("no tensors found: expected a dictionary of tensors, or one below `state_dict`, `model_state` or `model`")]
    NoTensors,
    /// Bytes follow the end of the content.
    #[error("content ends at offset {offset} and {count} bytes follow: expected none; download the file again")]
    TrailingBytes {
        /// The end of the content.
        offset: usize,
        /// The bytes after it.
        count: usize,
    },
    /// The header of a safetensors file is not valid.
    #[error("safetensors header at offset 8 is not valid: save the file again")]
    Safetensors(#[from] safetensors::SafeTensorError),
    /// There is no tensor with this index.
    #[error("tensor index `{index}` is out of range: expected less than {count}")]
    Index {
        /// The index asked for.
        index: usize,
        /// The number of tensors.
        count: usize,
    },
}

/// The first 80 characters of a name from a file, for an error message: control characters, which a terminal obeys, become
/// U+FFFD.
pub(crate) fn excerpt(name: &str) -> String {
    name.chars().take(80).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_an_error_does_not_command_the_terminal() {
        assert_eq!(excerpt("conv\u{1b}[2J\n.weight\u{9b}"), "conv\u{fffd}[2J\u{fffd}.weight\u{fffd}");
        assert_eq!(excerpt(&"\u{f6}".repeat(81)), "\u{f6}".repeat(80));
    }
}
