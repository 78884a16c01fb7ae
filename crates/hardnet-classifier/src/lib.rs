//! Image classification with HarDNet.
//!
//! A [`Classifier`] holds a network with its weights, the preprocessing of its images and the names of its classes:
//!
//! ```no_run
//! use hardnet_classifier::Classifier;
//!
//! # fn main() -> Result<(), hardnet_classifier::Error> {
//! let classifier = Classifier::from_pretrained("hardnet68.upstream_in1k")?;
//! for hit in classifier.classify("photo.jpg")?.top(5) {
//!     println!("{:.1} % {}", 100.0 * hit.probability, hit.name);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`Classifier::activation_map`] shows where in an image it sees a class. An [`Embedder`] gives feature maps instead
//! of classes, or their means: images as vectors.
//!
//! [`ClassifierBuilder`] sets threads, batch size, image size, preprocessing and the [`Engine`]. Weights come from a
//! file, or by name with the feature `hub`. By default the native engine computes, on the CPU; Candle does with the
//! feature `candle`.

mod activation;
mod builder;
mod classification;
mod classifier;
mod embedder;
mod engine;
mod error;
mod features;
mod input;
mod labels;
mod network;
mod precision;
mod preprocessing;
mod stage;
mod weights;

pub use activation::ActivationMap;
pub use builder::ClassifierBuilder;
pub use classification::{Classification, Hit};
pub use classifier::Classifier;
pub use embedder::{EmbedOptions, Embedder};
pub use engine::{Engine, UnknownEngine};
pub use error::{Error, Result};
pub use features::FeatureMap;
pub use input::ImageInput;
pub use labels::Labels;
pub use precision::{Precision, UnknownPrecision};
pub use preprocessing::{PipelineOrigin, pipeline_of};
pub use stage::{Stage, UnknownStage};
pub use weights::open_weights;
