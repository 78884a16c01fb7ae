//! A safe reader of PyTorch, Paddle, safetensors and ONNX model files: nothing in them is executed.
//!
//! [`Checkpoint::open`] detects the format from the content, [`Checkpoint::tensors`] lists the tensors and
//! [`Checkpoint::read`] returns the elements of one. Pickles are read by a restricted unpickler, which knows the few
//! globals that describe tensors. Objects of all other classes are parsed, never created; a tensor that depends on one
//! is refused. A file with several dictionaries of tensors lists them in [`Checkpoint::dictionaries`], and
//! [`ReadOptions::entry`] chooses one.
//!
//! ```no_run
//! let checkpoint = hardnet_checkpoint::Checkpoint::open("hardnet68.pth")?;
//! for (index, tensor) in checkpoint.tensors().iter().enumerate() {
//!     let bytes = checkpoint.read(index)?;
//!     assert_eq!(bytes.len(), tensor.shape.iter().product::<usize>() * tensor.dtype.size());
//! }
//! # Ok::<(), hardnet_checkpoint::Error>(())
//! ```

mod checkpoint;
mod contents;
mod cursor;
mod dictionaries;
mod dtype;
mod elements;
mod error;
mod modules;
mod names;
mod onnx;
mod options;
mod paddle;
mod pickle;
mod safetensors;
mod source;
mod state_dict;
mod tensor_data;
mod torch;
mod zip;

pub use checkpoint::{Checkpoint, TensorBytes};
pub use contents::{Format, TensorInfo};
pub use dictionaries::Dictionary;
pub use dtype::Dtype;
pub use elements::Elements;
pub use error::Error;
pub use options::ReadOptions;
pub use state_dict::OpaqueValue;
