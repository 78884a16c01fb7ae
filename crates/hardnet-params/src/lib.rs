//! Parameters of HarDNets, and the files that hold them.
//!
//! A [`WeightsFile`] is a PyTorch, Paddle, safetensors or ONNX file, whose format is detected from its content. It is
//! read strictly: it fits its network, or one error lists all differences. The network is the one that its [`Metadata`]
//! names; else the one that matches the names and shapes of its tensors, in any published naming [`Scheme`] and below
//! any prefix, or for ONNX the model's graph; or the one that [`WeightsOptions`] describe. [`Parameters`] is the trait
//! by which engines and networks ask for values; [`Conversion`] and [`write_weights`] write safetensors with canonical
//! names.
//!
//! ```no_run
//! use hardnet_graph::Graph;
//! use hardnet_params::{Parameters, WeightsFile};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let file = WeightsFile::open("hardnet68.pth")?;
//! println!("{} classes, by the names of {}", file.config().classes(), file.scheme());
//! let parameters = file.parameters();
//! for param in Graph::new(file.config())?.params() {
//!     println!("{} has {} values", param.name, parameters.values(&param)?.len());
//! }
//! # Ok(())
//! # }
//! ```

mod convert;
mod error;
mod examine;
mod metadata;
mod onnx;
mod options;
mod parameters;
mod quantized;
mod recognize;
mod scheme;
#[cfg(any(test, feature = "synthetic"))]
pub mod synthetic;
mod values;
mod weights_file;
mod writer;

pub use convert::{Conversion, ConversionOptions, Precision};
pub use error::{Differences, Error, Result, ShapeMismatch};
pub use examine::{Examined, examine, examine_with};
pub use metadata::{Metadata, Provenance};
pub use onnx::{FEATURES_KEY, UNITS_KEY, with_parameters};
pub use options::{Expected, WeightsOptions};
pub use parameters::Parameters;
pub use quantized::{
    ChannelUnits, MapQuantization, Quantization, QuantizedLayer, QuantizedParameters, write_quantized,
};
pub use recognize::Recognized;
pub use scheme::{NamedParam, Scheme};
pub use weights_file::{FileParameters, OwnedParameters, WeightsFile};
pub use writer::write_weights;
