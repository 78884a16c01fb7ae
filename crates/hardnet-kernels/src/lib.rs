//! Convolutional networks on the CPU: planned memory, vectorised kernels, a team of threads.
//!
//! A [`Builder`] takes the layers of a network one by one, each with the maps that it reads and its weights, and packs the
//! weights for the kernel that is to compute it. [`Builder::finish`] places all maps in one arena by their lifetimes and
//! gives a [`Program`], which computes batches of images. A layer reads any list of maps as if they were
//! concatenated, and writes its map once, where its readers find it: nothing is copied.
//!
//! ```
//! use hardnet_kernels::{Algorithm, Builder, Conv, Filter, Isa, Padding, Range, Size};
//!
//! # fn main() -> Result<(), hardnet_kernels::Error> {
//! let size = Size { channels: 3, height: 8, width: 8 };
//! let (mut builder, image) = Builder::new(Isa::best(), 1, size)?;
//! let conv = Conv { channels: 4, kernel: 3, stride: 2, padding: Padding::all(1), range: Range::RELU };
//! let filter = Filter { weights: &[0.1; 4 * 3 * 9], scale: &[1.0; 4], bias: &[0.0; 4] };
//! let map = builder.conv(&[image], &conv, Algorithm::Direct, &filter)?;
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
//! Every result is one sum in an order that depends on the layer alone: results are the same, to the last bit, for any number of
//! threads and of images. Instruction sets with and without fused multiply-add differ by its rounding, those with it in nothing.
//! Values that are not numbers stay so through sums and bounds; values of images and filters that are too small to be normal numbers count as
//! zeros, since processors may take a hundred times as long for them.

mod algorithm;
mod arena;
mod builder;
mod chain;
mod context;
mod depthwise;
mod direct;
mod error;
mod filter;
mod gemm;
mod image;
mod map;
mod memory;
mod peak;
mod program;
mod shares;
mod step;
mod team;
pub mod training;
mod window;
mod winograd;

pub use algorithm::Algorithm;
pub use builder::{Builder, Conv, Depthwise};
pub use error::{Error, Result};
pub use filter::Filter;
pub use gemm::Range;
pub use hardnet_graph::{Padding, Pool, PoolKind};
pub use hardnet_simd::Isa;
pub use map::{Map, Size};
pub use peak::peak_flops;
pub use program::{Memory, Program};
pub use step::StepInfo;
