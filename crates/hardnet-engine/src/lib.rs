//! HarDNet on the CPU, without Candle.
//!
//! A [`Plan`] is a network and its parameters compiled for images of one size: batch normalization is folded into the
//! convolutions, every layer has the algorithm that suits its shape, weights are packed for it, and all maps lie in one
//! arena. The kernels are those of `hardnet-kernels`; they choose vector instructions when the program runs.
//!
//! ```no_run
//! use hardnet_engine::{Plan, PlanOptions};
//!
//! # fn main() -> Result<(), hardnet_engine::Error> {
//! let mut plan = Plan::load("hardnet68.pth", &PlanOptions::default().batch(2))?;
//! let image = vec![0.5; 3 * 224 * 224]; // `[3, 224, 224]`: channels, rows, columns
//! let logits = plan.run(&[image.clone(), image])?; // 1,000 of each image
//! # Ok(())
//! # }
//! ```
//!
//! Images are planes of red, green and blue. The published classifiers take each sample `x` of 0 to 255 as
//! `(x / 255 - mean) / std`, with the mean 0.485, 0.456, 0.406 and the standard deviation 0.229, 0.224, 0.225 of these
//! channels. `hardnet-classifier` decodes, resizes and normalizes image files for a network.
//!
//! Parameters may come from anywhere: [`Plan::new`] asks a [`Parameters`](hardnet_params::Parameters) for them.
//!
//! ```
//! use hardnet_engine::{Plan, PlanOptions};
//! use hardnet_graph::{Config, Graph, ParamInfo, ParamKind, Variant};
//! use hardnet_params::Parameters;
//!
//! /// Parameters of an untrained network.
//! struct Untrained;
//!
//! impl Parameters for Untrained {
//!     fn values(&self, param: &ParamInfo) -> hardnet_params::Result<Vec<f32>> {
//!         let value = if param.kind == ParamKind::RunningVar { 1.0 } else { 0.01 };
//!         Ok(vec![value; param.count()])
//!     }
//! }
//!
//! # fn main() -> Result<(), hardnet_engine::Error> {
//! let config = Config::from(Variant::HarDNet39Ds).with_classes(10);
//! let mut plan = Plan::new(&config, &Untrained, &PlanOptions::default().size(64, 64).batch(2))?;
//! let image = vec![0.5; 3 * 64 * 64];
//! let logits = plan.run(&[image.clone(), image])?;
//! assert_eq!(logits.len(), 2 * 10);
//! assert_eq!(logits[..10], logits[10..]);
//! # Ok(())
//! # }
//! ```

mod choice;
mod compile;
mod error;
mod fold;
mod options;
mod plan;

pub use error::{Error, Result};
pub use hardnet_kernels::{Algorithm, Isa};
pub use options::PlanOptions;
pub use plan::{Plan, PlanMemory, PlanStep};
