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
