//! HarDNet image classifiers and backbones on [Candle](candle_core).
//!
//! HarDNet (Chao et al., "HarDNet: A Low Memory Traffic Network", ICCV 2019, <https://arxiv.org/abs/1909.00948>) is a
//! convolutional network whose layer `l` reads the layers `l - 2^n`, so most feature maps are needed only briefly.
//!
//! [`HarDNet`] classifies images, [`Backbone`] gives feature maps for detection and segmentation, [`HarDBlock`] is one
//! block for custom networks. They run on every device of Candle and can be trained; on the CPU, training is computed
//! by the kernels of `hardnet-kernels`, as one operation of Candle's.
//!
//! Their building blocks come from crates that do not need Candle, and are exported here: a [`Config`] describes a
//! network and gives its [`Graph`] (`hardnet-graph`), a [`WeightsFile`] holds its parameters (`hardnet-params`), and a
//! [`Plan`] computes it on the CPU several times faster than these networks do (`hardnet-engine`).
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use candle_nn::{VarBuilder, VarMap};
//! use hardnet_model::{Config, HarDNet, Variant};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let device = Device::Cpu;
//! let config = Config::from(Variant::HarDNet39Ds).with_classes(10);
//! let parameters = VarMap::new(); // random; `HarDNet::load` reads a file
//! let network = HarDNet::new(&config, VarBuilder::from_varmap(&parameters, DType::F32, &device))?;
//! let images = Tensor::zeros((1, 3, 64, 64), DType::F32, &device)?;
//! assert_eq!(network.forward(&images)?.dims(), [1, 10]);
//! # Ok(())
//! # }
//! ```

mod error;
mod network;
mod parameters;

pub use error::{Error, Result};
pub use hardnet_engine::{Plan, PlanMemory, PlanOptions, PlanStep};
pub use hardnet_graph::{
    Activation, Alignment, BatchNorm, Block, BlockConfig, BlockSpec, Config, Conv, Decoder, Downsample, FeatureInfo,
    Graph, Grouping, Head, LinkOrder, ModuleInfo, ModuleKind, Node, NodeId, Op, Padding, ParamInfo, ParamKind,
    Pointwise, Pool, PoolKind, SegmentationVariant, Shape, Stem, StemConv, StemPadding, TapKind, Taps, Upsample,
    Variant, link,
};
pub use hardnet_kernels::training::{BatchPart, GradientObserver, Stopped};
pub use hardnet_kernels::{Algorithm, Isa, peak_flops};
pub use hardnet_params::{
    Conversion, ConversionOptions, Differences, Examined, Expected, FileParameters, Metadata, NamedParam,
    OwnedParameters, Parameters, Precision, Provenance, Recognized, Scheme, ShapeMismatch, WeightsFile, WeightsOptions,
    examine, examine_with, write_weights,
};
pub use network::{Backbone, HarDBlock, HarDNet};
pub use parameters::{VarParameters, var_builder};
