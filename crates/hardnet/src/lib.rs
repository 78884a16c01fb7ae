//! Image classification with HarDNet.
//!
//! HarDNet (Chao et al., "HarDNet: A Low Memory Traffic Network", ICCV 2019, <https://arxiv.org/abs/1909.00948>) is a
//! family of convolutional networks. This crate classifies images with pretrained ones, on a CPU engine of its own.
//!
//! ```no_run
//! # #[cfg(feature = "data")]
//! # fn main() -> Result<(), hardnet::Error> {
//! let classifier = hardnet::Classifier::from_pretrained("hardnet68.upstream_in1k")?;
//! for hit in classifier.classify("photo.jpg")?.top(5) {
//!     println!("{:.1} % {}", 100.0 * hit.probability, hit.name);
//! }
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "data"))]
//! # fn main() {}
//! ```
//!
//! # Dependency
//!
//! The crates are not on crates.io: depend on a checkout by its path. Profiles are those of your own workspace; let its
//! dev profile optimize dependencies, or networks run many times slower in a build without `--release`:
//!
//! ```toml
//! [dependencies]
//! hardnet = { path = "../hardnet/crates/hardnet" }
//!
//! [profile.dev.package."*"]
//! opt-level = 3
//! debug-assertions = false
//! overflow-checks = false
//! ```
//!
//! # Classify
//!
//! A [`Classifier`] holds network, weights, preprocessing and names of classes. It is cheap to clone, and threads may
//! share it. [`Classifier::builder`] sets threads, batch size, image size, preprocessing and engine. Images may be
//! paths, contents of files or pixels:
//!
//! ```
//! # #[cfg(feature = "data")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use hardnet::{Classifier, Image};
//!
//! // A small network that is part of the program with the feature `demo`.
//! let classifier = Classifier::builder().threads(1).from_pretrained("hardnet39ds.fashion_mnist")?;
//! let image = Image::from_rgb8(28, 28, vec![200; 28 * 28 * 3])?;
//! let found = classifier.classify(&image)?;
//! assert_eq!(found.top(3).len(), 3);
//!
//! // The same in two steps: the tensor that the network reads, and its logits.
//! let tensor = classifier.prepare(&image)?;
//! assert_eq!(classifier.logits(&[tensor])?.row(0), found.logits());
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "data"))]
//! # fn main() {}
//! ```
//!
//! # Evaluate
//!
//! [`Classifier::evaluate`] reads a [`Dataset`](data::Dataset) on several threads and gives the logits to an
//! [`Observer`](eval::Observer). A [`Tally`](eval::Tally) is one:
//!
//! ```no_run
//! # #[cfg(feature = "data")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use hardnet::prelude::*;
//!
//! let classifier = Classifier::load("flowers.safetensors")?;
//! let dataset = Dataset::from_class_folders("flowers/val", classifier.labels())?;
//! let mut tally = Tally::default();
//! classifier.evaluate(dataset.samples, &EvalOptions::default(), &mut tally)?;
//! println!("top-1 {:?} %", tally.top1().percent());
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "data"))]
//! # fn main() {}
//! ```
//!
//! # Segment
//!
//! A [`Segmenter`] finds the class of each pixel with FC-HarDNet-70 or a network of your own classes:
//!
//! ```no_run
//! # #[cfg(feature = "data")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let segmenter = hardnet::Segmenter::from_pretrained("fc-hardnet70.upstream_cityscapes")?;
//! for area in segmenter.segment("street.png")?.areas() {
//!     println!("{:5.1} % {}", 100.0 * area.share, area.name);
//! }
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "data"))]
//! # fn main() {}
//! ```
//!
//! # Compute tensors
//!
//! Without any feature, the engine remains: [`Plan`] computes a network on tensors that you prepare, and depends on
//! neither image decoders nor Candle. It is `Send`, and runs one batch at a time, on threads of its own.
//!
//! ```no_run
//! use hardnet::{Plan, PlanOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut plan = Plan::load("hardnet68.pth", &PlanOptions::default())?;
//! let image = vec![0.5; 3 * 224 * 224]; // `[3, 224, 224]`: channels, rows, columns
//! let logits = plan.run(&[image])?;
//! # Ok(())
//! # }
//! ```
//!
//! Images are planes of red, green and blue. The published classifiers take each sample `x` of 0 to 255 as
//! `(x / 255 - mean) / std`, with the mean 0.485, 0.456, 0.406 and the standard deviation 0.229, 0.224, 0.225 of these
//! channels.
//!
//! [`Plan::new`] takes parameters from anywhere:
//!
//! ```
//! use hardnet::{Config, Plan, PlanOptions, Variant, graph::ParamInfo, params};
//!
//! /// Parameters of an untrained network.
//! struct Constant;
//!
//! impl params::Parameters for Constant {
//!     fn values(&self, param: &ParamInfo) -> params::Result<Vec<f32>> {
//!         Ok(vec![0.01; param.count()])
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::from(Variant::HarDNet39Ds).with_classes(10);
//! let mut plan = Plan::new(&config, &Constant, &PlanOptions::default().size(64, 64))?;
//! assert_eq!(plan.run(&[vec![0.5; 3 * 64 * 64]])?.len(), 10);
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! | feature | adds | default |
//! |---|---|---|
//! | `data` | [`Classifier`], [`Segmenter`], the modules [`data`], [`eval`] and [`segmentation`] | yes |
//! | `hub` | downloads of weights by tag and `hf://` address | yes |
//! | `demo` | the weights `hardnet39ds.fashion_mnist` inside the program | |
//! | `candle` | `model`: the networks on Candle, for other devices and for networks of your own | |
//! | `train` | `train`: training, on Candle | |
//!
//! With `data` and `hub` alone, Candle is not compiled.

#[cfg(feature = "data")]
pub use hardnet_classifier::{
    Classification, Classifier, ClassifierBuilder, EmbedOptions, Embedder, Engine, Error, FeatureMap, Hit, ImageInput,
    Labels, Result, Stage,
};
#[cfg(feature = "data")]
pub use hardnet_data::{Image, Pipeline};
#[cfg(feature = "data")]
pub use hardnet_eval::{Logits, Prediction, top_k};
#[cfg(feature = "data")]
pub use hardnet_segmentation::{Mask, Segmentation, Segmenter, SegmenterBuilder};

pub use hardnet_engine::{Isa, Plan, PlanOptions};
pub use hardnet_graph::{Config, Graph, TapKind, Taps, Variant};
pub use hardnet_params::{Metadata, WeightsFile, WeightsOptions};

#[cfg(feature = "data")]
#[doc(inline)]
pub use hardnet_data as data;
#[doc(inline)]
pub use hardnet_engine as engine;
#[cfg(feature = "data")]
#[doc(inline)]
pub use hardnet_eval as eval;
#[doc(inline)]
pub use hardnet_graph as graph;
#[cfg(feature = "candle")]
#[doc(inline)]
pub use hardnet_model as model;
#[doc(inline)]
pub use hardnet_params as params;
#[cfg(feature = "data")]
#[doc(inline)]
pub use hardnet_segmentation as segmentation;
#[cfg(feature = "train")]
#[doc(inline)]
pub use hardnet_train as train;
#[doc(inline)]
pub use hardnet_weights as weights;

pub mod prelude;
