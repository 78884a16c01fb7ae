//! Convolutional networks on the CPU: planned memory, vectorized kernels, a pool of threads.
//!
//! A [`Builder`] takes the layers of a network one by one, each with the maps that it reads and its weights, and packs
//! the weights for the kernel that is to compute it. [`Builder::finish`] places all maps in one arena by their
//! lifetimes and gives a [`Program`], which computes batches of images. A layer reads any list of maps as if they were
//! concatenated, and writes its map once, where its readers find it: nothing is copied. [`training`] has the same for
//! both passes of training.
//!
//! ```
//! use hardnet_kernels::{Algorithm, Builder, Clamp, Conv, Filter, Isa, Shape};
//!
//! # fn main() -> Result<(), hardnet_kernels::Error> {
//! let size = Shape { channels: 3, height: 8, width: 8 };
//! let (mut builder, image) = Builder::new(Isa::best(), 1, size)?;
//! let conv = Conv::new(4, 3).stride(2);
//! let filter = Filter { weights: &[0.1; 4 * 3 * 9], scale: &[1.0; 4], bias: &[0.0; 4] };
//! let map = builder.conv(&[image], &conv, Clamp::RELU, Algorithm::Direct, &filter)?;
//! let mean = builder.mean(map)?;
//! let mut program = builder.finish(&[mean], 2)?;
//! let mut output = [0.0; 8];
//! program.run(&[vec![1.0; size.count()], vec![0.5; size.count()]], &mut output)?;
//! assert!((output[0] - 2.0 * output[4]).abs() < 1e-6);
//! # Ok(())
//! # }
//! ```
//!
//! # Results
//!
//! Every result is one sum in an order that depends on the layer alone: results are the same, to the last bit, for any
//! number of threads and of images. Instruction sets with fused multiply-add give identical results; those without it
//! differ by its rounding. NaN stays NaN through sums and bounds. Denormals in images and filters are flushed to zero,
//! since processors may take a hundred times as long for them.
//!
//! Layers of maps of bytes ([`Builder::quantized_conv`]) add up integers without rounding: all instruction sets give
//! identical results.
//!
//! # Where things are
//!
//! | module | job |
//! |---|---|
//! | `lower` | from layers to steps: checks, halos, fusion, the arena |
//! | `exec` | the run loop, the scheduler, threads, memory |
//! | `gemm` | the micro-kernel of all matrix products |
//! | `ops` | operations, a file or folder each, forward and backward side by side |

mod algorithm;
mod error;
mod exec;
mod filter;
mod gemm;
mod inference;
mod lower;
mod map;
mod ops;
mod peak;
mod quantization;
pub mod training;

pub use algorithm::Algorithm;
pub use error::{Error, Result, Unsupported};
#[cfg(any(test, target_arch = "wasm32"))]
pub use exec::lent::{lend_thread, lent_threads};
pub use filter::Filter;
pub use gemm::Clamp;
pub use hardnet_graph::{Alignment, Conv, Grouping, Padding, Pool, PoolKind};
pub use hardnet_simd::Isa;
pub use inference::step::StepInfo;
pub use inference::{Memory, Program};
pub use lower::inference::Builder;
pub use map::{FeatureMap, Shape};
pub use peak::peak_flops;
pub use quantization::{Quantization, QuantizedFilter};
