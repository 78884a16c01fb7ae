//! Stochastic gradient descent.
//!
//! Oracle: `torch.optim.SGD` and `torch.nn.utils.clip_grad_norm_`, held by `tests/oracle.rs`.

use candle_core::backprop::GradStore;
use candle_core::{DType, Result, Var};

use crate::update::{Factors, blend};

/// Gradient descent with momentum and weight decay, as `torch.optim.SGD` without dampening.
#[derive(Debug)]
pub struct Sgd {
    momentum: f64,
    nesterov: bool,
    /// What is trained: the parameter, the share of it that is added to its gradient, and its direction so far.
    parameters: Vec<Parameter>,
}

#[derive(Debug)]
struct Parameter {
    value: Var,
    decay: f64,
    direction: Var,
}

impl Sgd {
    /// An optimizer of `parameters`, each with its weight decay, whose directions are zero.
    ///
    /// # Errors
    ///
    /// Candle's.
    pub fn new(parameters: impl IntoIterator<Item = (Var, f64)>, momentum: f64, nesterov: bool) -> Result<Self> {
        let parameter = |(value, decay): (Var, f64)| {
            let direction = Var::zeros(value.shape(), value.dtype(), value.device())?;
            Ok(Parameter { value, decay, direction })
        };
        let parameters = parameters.into_iter().map(parameter).collect::<Result<_>>()?;
        Ok(Self { momentum, nesterov, parameters })
    }

    /// The directions, in the order of the parameters: what has to be kept to go on.
    pub fn directions(&self) -> impl Iterator<Item = &Var> {
        self.parameters.iter().map(|parameter| &parameter.direction)
    }

    /// The Euclidean norm of all gradients together.
    ///
    /// # Errors
    ///
    /// Candle's.
    pub fn gradient_norm(&self, gradients: &GradStore) -> Result<f64> {
        let mut sum = 0.0;
        for parameter in &self.parameters {
            if let Some(gradient) = gradients.get(&parameter.value) {
                let square = gradient.sqr()?.sum_all()?.to_dtype(DType::F64)?;
                sum += square.to_scalar::<f64>()?;
            }
        }
        Ok(sum.sqrt())
    }

    /// Moves every parameter that has a gradient, of which `share` is used, by `rate`.
    ///
    /// # Errors
    ///
    /// Candle's.
    pub fn step(&mut self, gradients: &GradStore, rate: f64, share: f64) -> Result<()> {
        let momentum = self.momentum;
        for Parameter { value, decay, direction } in &self.parameters {
            let Some(gradient) = gradients.get(value) else { continue };
            let turned = Factors { keep: momentum, own: 0.0, first: share, second: *decay };
            blend(direction, turned, gradient, value)?;
            let moved = if self.nesterov {
                // The gradient, with what decays, once more: value -= rate * (gradient + momentum * direction).
                Factors { keep: 1.0, own: -rate * decay, first: -rate * share, second: -rate * momentum }
            } else {
                Factors { keep: 1.0, own: 0.0, first: 0.0, second: -rate }
            };
            blend(value, moved, gradient, direction)?;
        }
        Ok(())
    }
}

/// The share of gradients of Euclidean norm `norm` that is at most `most` long: `clip_grad_norm_`'s factor.
pub fn clip_factor(norm: f64, most: f64) -> f64 {
    (most / (norm + 1e-6)).min(1.0)
}
