//! The quantization of each layer.

use serde::Serialize;

/// A layer of a quantized network.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LayerReport {
    /// Name of the node.
    pub name: String,
    /// The operation, as `depthwise 3x3 /2`.
    pub op: String,
    /// Whether its sums are those of integers.
    pub integer: bool,
    /// The distance of neighboring values of its map.
    pub scale: f32,
    /// The value of its map that stands for zero.
    pub zero_point: u8,
    /// The least and the greatest value of its map that matters, over all channels.
    pub range: [f64; 2],
    /// The widest range of a channel, divided by the narrowest one.
    pub spread: f64,
    /// Weights.
    pub weights: usize,
    /// Weights that are cut off.
    pub clipped: usize,
    /// Signal to noise of the results in dB, where only the weights are rounded; as expected from the statistics of the
    /// inputs.
    pub weights_db: Option<f64>,
}
