//! The loss.

use candle_core::{D, Result, Tensor};
use candle_nn::ops::log_softmax;

/// The mean cross entropy, in nats, of `logits`, `[N, classes]`, against `labels`, `[N]` of u32, with the
/// fraction `smoothing` of the target spread evenly over all classes: PyTorch's `CrossEntropyLoss(label_smoothing=..)`.
///
/// # Errors
///
/// Errors of Candle, such as for shapes that do not match.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor, smoothing: f64) -> Result<Tensor> {
    let log_probabilities = log_softmax(logits, D::Minus1)?;
    let own = log_probabilities.gather(&labels.unsqueeze(1)?, 1)?.mean_all()?.neg()?;
    if smoothing == 0.0 {
        return Ok(own);
    }
    let even = log_probabilities.mean_all()?.neg()?;
    (own * (1.0 - smoothing))? + (even * smoothing)?
}

/// [`cross_entropy`] with a weight for each class, `[classes]`: PyTorch's `CrossEntropyLoss(weight=..,
/// label_smoothing=..)`. The sum over all images is divided by the sum of the weights of their classes.
///
/// # Errors
///
/// Errors of Candle, such as for shapes that do not match.
pub fn weighted_cross_entropy(logits: &Tensor, labels: &Tensor, weights: &Tensor, smoothing: f64) -> Result<Tensor> {
    let (_, classes) = logits.dims2()?;
    let log_probabilities = log_softmax(logits, D::Minus1)?;
    let own_weights = weights.gather(labels, 0)?;
    let sum = own_weights.sum_all()?;
    let own = log_probabilities.gather(&labels.unsqueeze(1)?, 1)?.squeeze(1)?;
    let own = ((own * &own_weights)?.sum_all()? / &sum)?.neg()?;
    if smoothing == 0.0 {
        return Ok(own);
    }
    let even = (log_probabilities.broadcast_mul(weights)?.sum_all()? / &sum)?.neg()?;
    (own * (1.0 - smoothing))? + (even * (smoothing / classes as f64))?
}
