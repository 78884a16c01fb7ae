//! A safe reader of PyTorch, Paddle and safetensors model files: nothing in them is executed.
//!
//! [`Checkpoint::open`] finds out what wrote a file, [`Checkpoint::tensors`] lists its tensors and
//! [`Checkpoint::read`] gives the elements of one. Pickles go through an unpickler that knows the few globals that
//! describe tensors and refuses all others.
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
mod source;
mod state_dict;
mod torch;
mod zip;

pub use checkpoint::{Checkpoint, Format, TensorInfo};
pub use dtype::Dtype;
pub use elements::Elements;
pub use error::Error;
