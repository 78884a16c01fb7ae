//! Normalization and activation: what is done to every element of a map by itself.

use serde::{Deserialize, Serialize};

/// Constants of a batch normalization.
///
/// With the mean `m` and the variance `v` of a channel, an element `x` becomes
/// `(x - m) / sqrt(v + eps) * weight + bias`. In training, running statistics move towards the batch's by `momentum`:
/// `r + momentum * (batch - r)`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct BatchNorm {
    /// Added to the variance.
    pub eps: f64,
    /// Weight of the batch in running statistics. Paddle writes one minus this: 0.9 for 0.1.
    pub momentum: f64,
}

impl BatchNorm {
    /// PyTorch's constants, which every HarDNet uses: `eps` 1e-5, `momentum` 0.1.
    pub const DEFAULT: Self = Self { eps: 1e-5, momentum: 0.1 };

    /// At inference, the scale and the shift of each channel: `x` becomes `scale * x + shift`, with
    /// `scale = weight / sqrt(v + eps)` and `shift = bias - scale * m`, computed in f64. All lists have the length of
    /// the shortest.
    pub fn scale_and_shift(
        &self,
        weight: &[f32],
        bias: &[f32],
        mean: &[f32],
        variance: &[f32],
    ) -> (Vec<f64>, Vec<f64>) {
        let scale = |(&weight, &variance): (&f32, &f32)| f64::from(weight) / (f64::from(variance) + self.eps).sqrt();
        let scale: Vec<f64> = weight.iter().zip(variance).map(scale).collect();
        let shift = bias.iter().zip(mean).zip(&scale);
        let shift = shift.map(|((&bias, &mean), scale)| f64::from(bias) - f64::from(mean) * scale).collect();
        (scale, shift)
    }
}

impl Default for BatchNorm {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Activation function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Activation {
    /// `min(max(x, 0), 6)`, as published.
    Relu6,
    /// `max(x, 0)`, as in the detection and segmentation networks built on HarDNet.
    Relu,
}

impl Activation {
    /// Its name in JSON and TOML.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Relu6 => "relu6",
            Self::Relu => "relu",
        }
    }

    /// The least and the greatest output, for an activation that only bounds its input; none for any other.
    pub const fn bounds(self) -> Option<(f32, f32)> {
        match self {
            Self::Relu6 => Some((0.0, 6.0)),
            Self::Relu => Some((0.0, f32::INFINITY)),
        }
    }
}

/// Normalization, then activation, of every element. The default is neither.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Pointwise {
    /// A batch normalization: two parameters and two running statistics for each channel.
    pub norm: Option<BatchNorm>,
    /// An activation without parameters.
    pub activation: Option<Activation>,
}

impl Pointwise {
    /// Neither.
    pub const NONE: Self = Self { norm: None, activation: None };
    /// Batch normalization only.
    pub const NORM: Self = Self { norm: Some(BatchNorm::DEFAULT), activation: None };
    /// ReLU only.
    pub const RELU: Self = Self { norm: None, activation: Some(Activation::Relu) };
    /// Batch normalization and ReLU.
    pub const NORM_RELU: Self = Self::NORM.activation(Activation::Relu);
    /// Batch normalization and ReLU6.
    pub const NORM_RELU6: Self = Self::NORM.activation(Activation::Relu6);

    /// The least and the greatest value that is left, for an activation that only bounds; none for any other.
    pub fn bounds(&self) -> Option<(f32, f32)> {
        match self.activation {
            Some(activation) => activation.bounds(),
            None => Some((f32::NEG_INFINITY, f32::INFINITY)),
        }
    }

    /// Sets the normalization.
    #[must_use]
    pub const fn norm(mut self, norm: BatchNorm) -> Self {
        self.norm = Some(norm);
        self
    }

    /// Sets the activation.
    #[must_use]
    pub const fn activation(mut self, activation: Activation) -> Self {
        self.activation = Some(activation);
        self
    }
}
