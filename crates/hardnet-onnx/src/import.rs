//! From an ONNX model to the parameters of a network.
//!
//! Exporters rename parameters, fold normalization into convolutions and leave nodes that compute nothing. So a model
//! is reduced to its [`Layers`] first (`layers.rs`): convolutions, pools and linear layers with what they read, each
//! with the normalization and activation after it. They are then compared one by one with a graph (`network.rs`),
//! which gives every parameter its name. A model whose layers are not all those of the graph is refused: nothing is
//! guessed from names.

mod consts;
mod integers;
mod layers;
mod network;

pub use integers::IntegerParameters;
pub use layers::Layers;
pub use network::{Parameter, ParameterValues};

#[cfg(test)]
mod tests;
