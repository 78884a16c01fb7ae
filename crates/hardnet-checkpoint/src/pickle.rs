//! A restricted unpickler: it builds values that describe tensors and runs nothing.
//!
//! Calls of other functions and objects of other classes are parsed like the rest and become opaque values, which stand
//! for a name of a class and nothing more. A tensor that would depend on one is refused when it is requested.
//!
//! Memory for the values is at most the length of the file (4 MiB for small files); strings and bytes are ranges of the
//! file.

mod global;
mod graph;
mod machine;
mod opcode;
mod outline;
mod reduce;
mod value;

pub(crate) use machine::load;
pub(crate) use outline::outline;
pub(crate) use value::{Arena, Array, Element, Id, Opaque, Payload, Storage, Tensor, Value};

/// Checks the values of all pickles of a file once they are finished.
pub(crate) use graph::check;
