//! Dropout whose choice follows from a seed: what is repeated with the seed is the same to the last bit.

use candle_core::{Result, Tensor};

use crate::graph::NodeId;

/// Sets each value of `x` to zero with `probability`, below 1, and divides the others by what is left of 1.
///
/// Which values are kept depends on `seed`, `node` and their place alone: the numbers are SplitMix64's.
pub(super) fn dropout(x: &Tensor, probability: f32, seed: u64, node: NodeId) -> Result<Tensor> {
    let stream = mixed(seed ^ mixed(node as u64 + 1));
    // Of 2^24 equally likely numbers, those below the threshold are dropped.
    let threshold = (f64::from(probability) * f64::from(1 << 24)).round() as u64;
    let kept = (1.0 / (1.0 - f64::from(probability))) as f32;
    let value = |at: usize| if mixed(stream.wrapping_add(at as u64)) >> 40 < threshold { 0.0 } else { kept };
    let mask: Vec<f32> = (0..x.elem_count()).map(value).collect();
    x * Tensor::from_vec(mask, x.shape(), x.device())?.to_dtype(x.dtype())?
}

fn mixed(x: u64) -> u64 {
    let x = x.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    #[test]
    fn a_share_is_dropped_and_the_mean_stays() {
        let x = Tensor::ones((100, 1000), DType::F32, &Device::Cpu).unwrap();
        let run = |seed, node| dropout(&x, 0.2, seed, node).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let values = run(1, 7);
        let dropped = values.iter().filter(|&&value| value == 0.0).count();
        assert!(dropped.abs_diff(20_000) < 700, "{dropped}");
        assert!(values.iter().all(|&value| value == 0.0 || value == 1.25));
        assert_eq!(values, run(1, 7));
        // Of another seed or node, as many agree as chance has it: 0.8 * 0.8 + 0.2 * 0.2.
        for other in [run(2, 7), run(1, 8)] {
            let agreeing = values.iter().zip(&other).filter(|(a, b)| a == b).count();
            assert!(agreeing.abs_diff(68_000) < 900, "{agreeing}");
        }
    }
}
