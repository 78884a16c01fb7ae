//! HarDNets as ONNX models, written and read.
//!
//! An [`Export`] turns a [`Graph`](hardnet_graph::Graph) and its parameters into an ONNX file, as a stream: batch
//! normalization is folded into the convolutions or kept, and the file may begin with the normalization of an image and
//! end with a softmax or with feature maps. [`Model`] describes what a file holds, and [`Layers`] finds the parameters
//! of a graph in it, whatever program wrote it. The encoding is the crate's own: it needs no `protoc` and nothing of
//! Python. Without the feature `graph`, only [`Model`] is left.
//!
//! ```
//! use hardnet_graph::{Config, Graph, ParamInfo, Variant};
//! use hardnet_onnx::{Batch, Export, ExportOptions, Model};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let graph = Graph::new(&Config::from(Variant::HarDNet39Ds).with_classes(10))?;
//! let export = Export::new(&graph, &ExportOptions::default().batch(Batch::Dynamic))?;
//! // `WeightsFile` of `hardnet-params` reads the values of a file.
//! let mut values = |param: &ParamInfo| Ok(vec![0.5; param.count()]);
//! let mut file = Vec::new();
//! export.write(&mut values, &mut file)?;
//! let model = Model::parse(&file)?;
//! assert_eq!(model.outputs[0].to_string(), "logits: f32[batch, 10]");
//! # Ok(())
//! # }
//! ```

#![cfg_attr(not(feature = "graph"), allow(rustdoc::broken_intra_doc_links))]

mod error;
#[cfg(feature = "graph")]
mod export;
#[cfg(feature = "graph")]
mod import;
mod model;
mod precision;
mod wire;

pub use error::{Error, Result};
#[cfg(feature = "graph")]
pub use export::{Batch, Export, ExportOptions, Image, IntegerLayer, Norm, Opset, Quantization};
#[cfg(feature = "graph")]
pub use import::{IntegerParameters, Layers, Parameter, ParameterValues};
pub use model::{Attribute, Dim, ElementType, Model, Node, Tensor, TensorInfo, Value};
pub use precision::Precision;
pub use wire::outline::outline;
