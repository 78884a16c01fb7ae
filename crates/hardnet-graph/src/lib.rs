//! HarDNet as data: configurations, graphs, and the types of layers that all other crates share.
//!
//! HarDNet (Chao et al., "HarDNet: A Low Memory Traffic Network", ICCV 2019, <https://arxiv.org/abs/1909.00948>) is a
//! convolutional network whose layer `l` reads the layers `l - 2^n`, so most feature maps are needed only briefly.
//!
//! A [`Config`] describes one: [`Variant`] has the published networks, any other table of blocks makes another. It
//! gives a [`Graph`]: operations, links, channels, strides and parameter names. [`GraphBuilder`] makes graphs of other
//! networks from the same operations. Every crate that counts, stores or computes a network reads the graph; this crate
//! depends on neither tensors nor kernels.
//!
//! ```
//! use hardnet_graph::{Config, Graph, Op, Variant};
//!
//! # fn main() -> Result<(), hardnet_graph::Error> {
//! let graph = Graph::new(&Config::from(Variant::HarDNet68))?;
//! let convs = graph.nodes().iter().filter(|node| matches!(node.op, Op::Conv(_))).count();
//! assert_eq!((convs, graph.param_count()), (67, 17_565_348));
//! let shapes = graph.shapes(224, 224)?;
//! assert_eq!(shapes[1].to_string(), "32x112x112"); // the stem: channels, rows, columns
//! # Ok(())
//! # }
//! ```

mod config;
mod error;
mod graph;
pub mod link;
mod op;

pub use config::{
    BlockConfig, Config, Decoder, Downsample, Head, LinkOrder, SegmentationVariant, Stem, StemConv, StemPadding,
    Variant,
};
pub use error::{Error, Result};
pub use graph::{
    Block, BlockSpec, FeatureInfo, Graph, GraphBuilder, ModuleInfo, ModuleKind, Node, NodeId, ParamInfo, ParamKind,
    Shape, TapKind, Taps,
};
pub use op::{
    Activation, Alignment, BatchNorm, Between, Conv, Grouping, Op, Padding, Pointwise, Pool, PoolKind, Upsample,
    output_size,
};
