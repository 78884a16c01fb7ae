//! Synthetic parameters: values that follow from names alone, for measurements and tests without a weights file.
//!
//! The same values as `tests/golden/formula.py` gives: SplitMix64, seeded by the FNV-1a hash of a tensor's name, in a
//! range that its kind needs so that maps neither vanish nor grow.

use hardnet_graph::{Config, Graph, ParamInfo};

use crate::error::Result;
use crate::parameters::Parameters;

/// Parameters by [`values`].
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::exhaustive_structs)]
pub struct Synthetic;

impl Parameters for Synthetic {
    fn values(&self, param: &ParamInfo) -> Result<Vec<f32>> {
        Ok(values(&param.name, &param.shape))
    }
}

/// Name, shape and values of a tensor.
pub type NamedValues = (String, Vec<usize>, Vec<f32>);

/// Every parameter of `config`, in the order of [`Graph::params`].
///
/// # Errors
///
/// As [`Graph::new`].
pub fn parameters(config: &Config) -> Result<Vec<NamedValues>> {
    let params = Graph::new(config)?.params().into_iter();
    let valued = params.map(|param| {
        let values = values(&param.name, &param.shape);
        (param.name, param.shape, values)
    });
    Ok(valued.collect())
}

/// The values of the tensor `name`; its name decides their range. `x` is an image.
pub fn values(name: &str, shape: &[usize]) -> Vec<f32> {
    let per_output: usize = shape.iter().skip(1).product();
    let inputs = shape.get(1).copied().unwrap_or(1);
    // The least value and the length of the range.
    let (least, length) = if name.ends_with("norm.weight") || name.ends_with("running_var") {
        (0.75, 0.5)
    } else if name.ends_with("norm.bias") {
        (-0.1, 0.4)
    } else if name.ends_with("running_mean") {
        (-0.1, 0.2)
    } else if name.ends_with("conv.weight") {
        return centered(name, shape, (6.0 / per_output as f64).sqrt());
    } else if name == "x" {
        (-2.0, 4.0)
    } else if name.ends_with(".weight") {
        return centered(name, shape, (3.0 / inputs as f64).sqrt());
    } else {
        (-0.1, 0.2)
    };
    uniform(name, shape).map(|u| (least + length * u) as f32).collect()
}

fn centered(name: &str, shape: &[usize], bound: f64) -> Vec<f32> {
    uniform(name, shape).map(|u| ((2.0 * u - 1.0) * bound) as f32).collect()
}

/// As many values in [0, 1) as `shape` has.
fn uniform(name: &str, shape: &[usize]) -> impl Iterator<Item = f64> {
    const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
    let seed = name.bytes().fold(0xCBF2_9CE4_8422_2325, hash);
    (1..=shape.iter().product::<usize>() as u64).map(move |at| {
        let x = seed.wrapping_add(GAMMA.wrapping_mul(at + 1));
        let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 31)) >> 40) as f64 / f64::from(1 << 24)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_values_are_the_scripts() {
        for (name, expected) in hardnet_testing::golden::first_values() {
            let shape: &[usize] = match name.as_str() {
                "x" => &[1, 3, 224, 224],
                "base.0.conv.weight" => &[32, 3, 3, 3],
                "base.16.3.weight" => &[1000, 1024],
                _ => &[32],
            };
            assert_eq!(values(&name, shape)[..4], expected[..], "{name}");
        }
    }
}
