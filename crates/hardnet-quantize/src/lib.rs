//! From a HarDNet in f32 to one in 8-bit integers, without images or with them.
//!
//! [`quantize`] takes a graph and its parameters and gives a [`Quantized`] network: `u8` maps, `i8` weights with a
//! scale for each output channel, and the first convolution and the classifier in f32. By default it needs no images:
//!
//! * **Ranges** follow from ReLU6, which bounds a map to 0 to 6, and from batch normalization: without an activation
//!   after it, a channel has the mean `beta` and the standard deviation `gamma`.
//! * **Equalization** gives every channel a unit of its own, so all channels use all 256 values, and one scale serves
//!   all maps that are concatenated. The readers' weights take the units back; the network stays the same.
//! * **Clipping** chooses the scale of each output channel's weights that makes the error of the output least.
//! * **Bias correction** takes back the mean error that rounded weights cause: `sum((w - w') * E[x])`, where the mean
//!   of a ReLU6 map is that of a normal variable cut off at 0 and 6.
//!
//! [`quantize_calibrated`] takes ranges and means that a [`Calibrator`] has measured on images, by one of several
//! [methods](RangeMethod).
//!
//! ```
//! use hardnet_graph::{Config, Graph, Variant};
//! use hardnet_params::QuantizedParameters;
//! # use hardnet_params::synthetic::Synthetic;
//! use hardnet_quantize::{QuantizeOptions, quantize};
//!
//! # fn main() -> hardnet_quantize::Result<()> {
//! # let parameters = Synthetic;
//! let graph = Graph::new(&Config::from(Variant::HarDNet39Ds).with_classes(10))?;
//! let quantized = quantize(&graph, &parameters, &QuantizeOptions::default())?;
//! assert_eq!(quantized.map("base.0").map(|map| map.zero_point), Some(0));
//! assert!(quantized.layer("base.1")?.is_some());
//! # Ok(())
//! # }
//! ```

mod agreement;
mod calibration;
mod error;
mod gaussian;
mod groups;
mod histogram;
mod integers;
mod lazy;
mod network;
mod options;
mod quantized;
pub mod reference;
mod report;
mod rounding;
mod statistics;
mod units;

pub use agreement::{Agreement, LayerErrors};
pub use calibration::{Calibration, Calibrator, RangeMethod};
pub use error::{Error, Result};
pub use lazy::{LazyQuantized, quantize_lazily};
pub use options::QuantizeOptions;
pub use quantized::{Quantized, quantize, quantize_calibrated};
pub use report::LayerReport;
