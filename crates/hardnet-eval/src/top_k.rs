//! From logits to classes.

/// A class and its probability.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Prediction {
    /// Index of the class, from 0.
    pub index: usize,
    /// Softmax over all classes, 0 to 1.
    pub probability: f32,
}

/// Returns the `k` most probable classes of one image, best first; of equals the lower index first.
///
/// There are fewer than `k` if there are fewer classes.
pub fn top_k(logits: &[f32], k: usize) -> Vec<Prediction> {
    let normalizer = log_sum_exp(logits);
    let mut order: Vec<usize> = (0..logits.len()).collect();
    // By logits: the probabilities of close classes round to the same number.
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
    order.truncate(k);
    let probability = |index: usize| (f64::from(logits[index]) - normalizer).exp() as f32;
    order.into_iter().map(|index| Prediction { index, probability: probability(index) }).collect()
}

/// Computes the logarithm of the sum of the exponentials, in f64 and without overflow.
pub fn log_sum_exp(logits: &[f32]) -> f64 {
    let max = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    max + logits.iter().map(|&logit| (f64::from(logit) - max).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_first_and_equals_by_index() {
        let indices = |row: &[Prediction]| row.iter().map(|hit| hit.index).collect::<Vec<_>>();
        let logits = [1.0, 3.0, 2.0, 3.0];
        assert_eq!(indices(&top_k(&logits, 3)), [1, 3, 2]);
        let equal = top_k(&[0.0; 4], 3);
        assert_eq!(indices(&equal), [0, 1, 2]);
        assert_eq!(equal[0].probability, 0.25);
        assert_eq!(top_k(&logits, 9).len(), 4);
    }

    #[test]
    fn probabilities_survive_large_logits() {
        let top = top_k(&[1000.0, 999.0, -1000.0], 3);
        let expected = [0.731_058_6, 0.268_941_42, 0.0];
        for (hit, expected) in top.iter().zip(expected) {
            assert!((hit.probability - expected).abs() < 1e-6, "{hit:?}");
        }
    }
}
