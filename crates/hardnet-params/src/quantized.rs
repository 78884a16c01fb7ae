//! Networks whose maps and weights are 8-bit integers.
//!
//! A map of `u8` with a [`MapQuantization`] stands for `scale * (q - zero_point)`. A [`QuantizedLayer`] reads such maps
//! and adds up integers; with the weights `w` of output channel `o` and the inputs `q`, each with the zero point `z` of
//! its map, its result before the activation is
//!
//! ```text
//! scale[o] * sum(w * (q - z)) + bias[o]
//! ```
//!
//! so that `scale[o]` is the product of the scales of inputs and weights. Maps that are concatenated may have different
//! zero points, but have one scale. The border around a map holds its zero point.
//!
//! A quantizer may give the channels of a map units of their own, so that one scale suits all of them: the readers'
//! weights take them back, and [`QuantizedParameters::units`] tells them for maps that are outputs.

mod description;
pub(crate) mod stored;
mod write;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::parameters::Parameters;
pub use description::Quantization;
pub use write::write_quantized;

/// How the 8-bit values of a map are read: `q` stands for `scale * (q - zero_point)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs)]
pub struct MapQuantization {
    /// The distance of neighboring values.
    #[serde(with = "description::as_f64")]
    pub scale: f32,
    /// The value that stands for zero: 0 for maps that are never negative, 128 for maps of both signs.
    pub zero_point: u8,
}

impl MapQuantization {
    /// The value nearest to `value`, ties to even, within 0 to 255; 0 for NaN.
    pub fn quantize(self, value: f32) -> u8 {
        ((value / self.scale).round_ties_even() + f32::from(self.zero_point)).clamp(0.0, 255.0) as u8
    }

    /// The number that `q` stands for.
    pub fn value(self, q: u8) -> f32 {
        self.scale * (f32::from(q) - f32::from(self.zero_point))
    }
}

/// The weights of a convolution as 8-bit integers, with batch normalization folded into them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct QuantizedLayer {
    /// `[out, in, kernel, kernel]`, `[channels, 1, kernel, kernel]` where depthwise; from -127 to 127.
    pub weights: Vec<i8>,
    /// For each output channel, the value of one unit of the sum.
    pub scale: Vec<f32>,
    /// For each output channel, in the unit of the results.
    pub bias: Vec<f32>,
}

impl QuantizedLayer {
    /// A layer of these values.
    pub fn new(weights: Vec<i8>, scale: Vec<f32>, bias: Vec<f32>) -> Self {
        Self { weights, scale, bias }
    }
}

/// The units of a map's channels: channel `c` of the network's map is `scale[c] * value + offset[c]`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ChannelUnits {
    /// The unit of each channel.
    pub scale: Vec<f32>,
    /// The value that zero stands for in each channel.
    pub offset: Vec<f32>,
}

impl ChannelUnits {
    /// These units.
    pub fn new(scale: Vec<f32>, offset: Vec<f32>) -> Self {
        Self { scale, offset }
    }

    /// Turns `map`, `[C, H, W]` for each of any number of images, into the network's map.
    pub fn apply(&self, map: &mut [f32], pixels: usize) {
        let units = self.scale.iter().zip(&self.offset).cycle();
        for (plane, (scale, offset)) in map.chunks_exact_mut(pixels.max(1)).zip(units) {
            for value in plane {
                *value = scale * *value + offset;
            }
        }
    }
}

/// A source of a quantized network's parameters. Layers that are not quantized have theirs by [`Parameters`].
pub trait QuantizedParameters: Parameters {
    /// The quantization of the map that the node named `node` writes; none for a map of f32.
    fn map(&self, node: &str) -> Option<MapQuantization>;

    /// The layer of the node named `node`; none for a layer that is computed in f32.
    ///
    /// # Errors
    ///
    /// Where the source cannot be read.
    fn layer(&self, node: &str) -> Result<Option<QuantizedLayer>>;

    /// Whether the layer of the node named `node` is quantized.
    ///
    /// # Errors
    ///
    /// Where the source cannot be read.
    fn has_integers(&self, node: &str) -> Result<bool> {
        Ok(self.layer(node)?.is_some())
    }

    /// The units of the channels of the map that the node named `node` writes; none where they are the network's.
    fn units(&self, node: &str) -> Option<ChannelUnits> {
        let _ = node;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rounded_to_even_and_saturate() {
        let map = MapQuantization { scale: 0.5, zero_point: 128 };
        let rounded = [0.25, 0.75, -0.25, 1e9, -1e9, f32::NAN].map(|value| map.quantize(value));
        assert_eq!(rounded, [128, 130, 128, 255, 0, 0]);
        assert_eq!((map.value(130), map.value(0)), (1.0, -64.0));
    }

    #[test]
    fn units_belong_to_the_channels_of_every_image() {
        let mut maps = [1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 4.0];
        ChannelUnits::new(vec![2.0, 10.0], vec![0.0, 1.0]).apply(&mut maps, 2);
        assert_eq!(maps, [2.0, 4.0, 11.0, 21.0, 6.0, 8.0, 31.0, 41.0]);
    }
}
