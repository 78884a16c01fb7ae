//! From logits to classes.

use candle_core::{D, DType, Result, Tensor};

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
    let logits = logits.to_dtype(DType::F32)?;
    let probabilities = candle_nn::ops::softmax(&logits, D::Minus1)?.to_vec2::<f32>()?;
    let rows = logits.to_vec2::<f32>()?;
    Ok(rows
        .iter()
        .zip(&probabilities)
        .map(|(row, probabilities)| {
            let mut order: Vec<usize> = (0..row.len()).collect();
            // By logits: probabilities of close classes round to the same number.
            order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
            order.truncate(k);
            order
                .into_iter()
                .map(|index| Prediction {
                    index,
                    probability: probabilities[index],
                })
                .collect()
        })
        .collect())
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
}
