//! The types that most programs need: `use hardnet::prelude::*`.

#[cfg(feature = "data")]
pub use hardnet_classifier::{Classifier, Engine};
#[cfg(feature = "data")]
pub use hardnet_data::{Dataset, Image, Pipeline};
#[cfg(feature = "data")]
pub use hardnet_eval::{BatchDone, Breakdown, EvalOptions, Metric, Observer, Tally};
pub use hardnet_graph::{Config, Variant};
pub use hardnet_params::WeightsFile;
