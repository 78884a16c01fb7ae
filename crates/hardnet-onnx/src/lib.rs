//! HarDNets as ONNX models.
//!
//! An [`Export`] turns a [`Graph`](hardnet_graph::Graph) and its parameters into an ONNX file, as a stream: batch
//! normalization is folded into the convolutions or kept, and the file may begin with the normalization of an image and
//! end with a softmax or with feature maps. [`Model`] describes what the file holds. The encoding is the crate's own:
//! it needs no `protoc` and nothing of Python.
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

mod error;
mod export;
mod model;
mod wire;

pub use error::{Error, Result};
pub use export::{Batch, Export, ExportOptions, Image, Norm, Opset, Precision};
pub use model::{Attribute, Dim, ElementType, Model, Node, Tensor, TensorInfo, Value};
