//! From logits to classes.

use candle_core::{DType, Result, Tensor};

/// A class and how probable the network finds it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Prediction {
    /// Index of the class, from 0.
    pub index: usize,
    /// Softmax over all classes, 0 to 1.
    pub probability: f32,
}

/// The `k` most probable classes of each row of `logits`, `[N, classes]`, best first; of equals the lower index first.
///
/// # Errors
///
/// Candle's, where `logits` has another number of dimensions.
pub fn top_k(logits: &Tensor, k: usize) -> Result<Vec<Vec<Prediction>>> {
    let rows = logits.to_dtype(DType::F32)?.to_vec2::<f32>()?;
    Ok(rows.iter().map(|row| top_k_of(row, k)).collect())
}

/// The `k` most probable classes by one image's `logits`, best first; of equals the lower index first.
pub fn top_k_of(logits: &[f32], k: usize) -> Vec<Prediction> {
    let normaliser = log_sum_exp(logits);
    let mut order: Vec<usize> = (0..logits.len()).collect();
    // By logits: the probabilities of close classes round to the same number.
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
    order.truncate(k);
    let probability = |index: usize| (f64::from(logits[index]) - normaliser).exp() as f32;
    order.into_iter().map(|index| Prediction { index, probability: probability(index) }).collect()
}

/// The logarithm of the sum of the exponentials, in f64 and without overflow.
pub(crate) fn log_sum_exp(logits: &[f32]) -> f64 {
    let max = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    max + logits.iter().map(|&logit| (f64::from(logit) - max).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn best_first_and_equals_by_index() {
        let logits = Tensor::new(&[[1f32, 3.0, 2.0, 3.0], [0.0, 0.0, 0.0, 0.0]], &Device::Cpu).unwrap();
        let top = top_k(&logits, 3).unwrap();
        let indices = |row: &[Prediction]| row.iter().map(|hit| hit.index).collect::<Vec<_>>();
        assert_eq!(indices(&top[0]), [1, 3, 2]);
        assert_eq!(indices(&top[1]), [0, 1, 2]);
        assert_eq!(top[1][0].probability, 0.25);
        assert_eq!(top_k(&logits, 9).unwrap()[0].len(), 4);
    }

    #[test]
    fn probabilities_survive_large_logits() {
        let top = top_k_of(&[1000.0, 999.0, -1000.0], 3);
        let expected = [0.731_058_6, 0.268_941_42, 0.0];
        for (hit, expected) in top.iter().zip(expected) {
            assert!((hit.probability - expected).abs() < 1e-6, "{hit:?}");
        }
    }
}
