//! Stochastic gradient descent.
//!
//! Oracle: `torch.optim.SGD` and `torch.nn.utils.clip_grad_norm_`, held by `tests/oracle.rs`.

use candle_core::backprop::GradStore;
use candle_core::{DType, Result, Tensor, Var};

use crate::update::{Factors, blend};

/// Gradient descent with momentum and weight decay: `torch.optim.SGD` without dampening.
#[derive(Debug)]
pub struct Sgd {
    momentum: f64,
    nesterov: bool,
    parameters: Vec<Parameter>,
}

#[derive(Debug)]
struct Parameter {
    value: Var,
    decay: f64,
    momentum_buffer: Var,
}

impl Sgd {
    /// An optimizer of `parameters`, each with its weight decay, with momentum buffers of zero.
    ///
    /// # Errors
    ///
    /// Errors of Candle.
    pub fn new(parameters: impl IntoIterator<Item = (Var, f64)>, momentum: f64, nesterov: bool) -> Result<Self> {
        let parameter = |(value, decay): (Var, f64)| {
            let momentum_buffer = Var::zeros(value.shape(), value.dtype(), value.device())?;
            Ok(Parameter { value, decay, momentum_buffer })
        };
        let parameters = parameters.into_iter().map(parameter).collect::<Result<_>>()?;
        Ok(Self { momentum, nesterov, parameters })
    }

    /// The parameters.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Var> {
        self.parameters.iter().map(|parameter| &parameter.value)
    }

    /// The momentum buffers in the order of the parameters: the state of the optimizer.
    pub fn momentum_buffers(&self) -> impl Iterator<Item = &Var> {
        self.parameters.iter().map(|parameter| &parameter.momentum_buffer)
    }

    /// The Euclidean norm of all gradients together.
    ///
    /// # Errors
    ///
    /// Errors of Candle.
    pub fn gradient_norm(&self, gradients: &GradStore) -> Result<f64> {
        Self::norm_of(&self.of_parameters(gradients))
    }

    /// Updates every parameter that has a gradient. `rate` is the learning rate, `scale` multiplies the gradients.
    ///
    /// # Errors
    ///
    /// Errors of Candle.
    pub fn step(&mut self, gradients: &GradStore, rate: f64, scale: f64) -> Result<()> {
        self.apply(&self.of_parameters(gradients), rate, scale)
    }

    /// The gradients of the parameters, in their order.
    pub(crate) fn of_parameters(&self, gradients: &GradStore) -> Vec<Option<Tensor>> {
        self.values().map(|var| gradients.get(var).map(Tensor::detach)).collect()
    }

    /// The Euclidean norm of gradients.
    pub(crate) fn norm_of(gradients: &[Option<Tensor>]) -> Result<f64> {
        let mut sum = 0.0;
        for gradient in gradients.iter().flatten() {
            let square = gradient.sqr()?.sum_all()?.to_dtype(DType::F64)?;
            sum += square.to_scalar::<f64>()?;
        }
        Ok(sum.sqrt())
    }

    /// Updates every parameter that has a gradient; these are in the order of the parameters.
    pub(crate) fn apply(&mut self, gradients: &[Option<Tensor>], rate: f64, scale: f64) -> Result<()> {
        let momentum = self.momentum;
        for (Parameter { value, decay, momentum_buffer }, gradient) in self.parameters.iter().zip(gradients) {
            let Some(gradient) = gradient else { continue };
            let update = Factors { keep: momentum, target: 0.0, first: scale, second: *decay };
            blend(momentum_buffer, update, gradient, value)?;
            let step = if self.nesterov {
                // With the decayed gradient: value -= rate * (gradient + momentum * buffer).
                Factors { keep: 1.0, target: -rate * decay, first: -rate * scale, second: -rate * momentum }
            } else {
                Factors { keep: 1.0, target: 0.0, first: 0.0, second: -rate }
            };
            blend(value, step, gradient, momentum_buffer)?;
        }
        Ok(())
    }
}

/// The factor that scales gradients of norm `norm` to at most `max_norm`, as `clip_grad_norm_` computes it.
pub fn clip_factor(norm: f64, max_norm: f64) -> f64 {
    (max_norm / (norm + 1e-6)).min(1.0)
}
