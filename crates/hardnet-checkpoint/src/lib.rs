//! A safe reader of PyTorch, Paddle and safetensors model files: nothing in them is executed.
//!
//! [`Checkpoint::open`] detects the format from the content, [`Checkpoint::tensors`] lists the tensors and
//! [`Checkpoint::read`] returns the elements of one. Pickles are read by a restricted unpickler, which knows the few
//! globals that describe tensors and refuses all others.
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
mod cursor;
mod dtype;
mod elements;
mod error;
mod paddle;
mod pickle;
mod safetensors;
mod state_dict;
mod tensor_data;
mod torch;
mod zip;

pub use checkpoint::{Checkpoint, Format, TensorInfo};
pub use dtype::Dtype;
pub use elements::Elements;
pub use error::Error;
