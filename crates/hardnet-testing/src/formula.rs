//! Deterministic weights and inputs from names alone, as `tests/golden/formula.py` defines them.

use safetensors::tensor::{Dtype, TensorView, serialize};

/// Names and shapes of tensors.
pub type Tensors = Vec<(String, Vec<usize>)>;

/// How [`safetensors()`] stores values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// 32-bit floating point.
    F32,
    /// 16-bit floating point.
    F16,
    /// Brain floating point.
    Bf16,
    /// 32-bit integers: a file that no network reads.
    I32,
}

/// `count` values in [0, 1) for the tensor `name`: SplitMix64 seeded by FNV-1a of the name.
fn uniform(name: &str, count: usize) -> impl Iterator<Item = f64> {
    const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;
    let fnv = |h: u64, byte: u8| (h ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
    let seed = name.bytes().fold(0xCBF2_9CE4_8422_2325, fnv);
    (1..=count as u64).map(move |i| {
        let x = seed.wrapping_add(i.wrapping_mul(GAMMA)).wrapping_add(GAMMA);
        let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 31)) >> 40) as f64 / f64::from(1 << 24)
    })
}

/// The tensor `name` of `shape`; its name decides its range.
pub fn tensor(name: &str, shape: &[usize]) -> Vec<f32> {
    let per_output: usize = shape.iter().skip(1).product();
    let (scale, shift) = if name.ends_with("norm.weight") || name.ends_with("running_var") {
        (0.5, 0.75)
    } else if name.ends_with("norm.bias") {
        (0.4, -0.1)
    } else if name.ends_with("running_mean") {
        (0.2, -0.1)
    } else if name.ends_with("conv.weight") {
        return centred(name, shape, (6.0 / per_output as f64).sqrt());
    } else if name == "x" {
        (4.0, -2.0)
    } else if name.ends_with(".weight") {
        return centred(name, shape, (3.0 / shape.get(1).copied().unwrap_or(1) as f64).sqrt());
    } else {
        (0.2, -0.1)
    };
    uniform(name, shape.iter().product()).map(|u| (shift + scale * u) as f32).collect()
}

fn centred(name: &str, shape: &[usize], bound: f64) -> Vec<f32> {
    uniform(name, shape.iter().product()).map(|u| ((2.0 * u - 1.0) * bound) as f32).collect()
}

/// The bytes of a safetensors file with the formula's values, and `metadata` under the key `hardnet`.
pub fn safetensors(tensors: &Tensors, encoding: Encoding, metadata: Option<&str>) -> Vec<u8> {
    let with_values = tensors.iter().map(|(name, shape)| (name.clone(), shape.clone(), tensor(name, shape)));
    safetensors_of(with_values.collect(), encoding, metadata)
}

/// The bytes of a safetensors file with these names, shapes and values.
pub fn safetensors_of(
    tensors: Vec<(String, Vec<usize>, Vec<f32>)>,
    encoding: Encoding,
    metadata: Option<&str>,
) -> Vec<u8> {
    let (dtype, encode): (Dtype, fn(f32) -> Vec<u8>) = match encoding {
        Encoding::F32 => (Dtype::F32, |v| v.to_le_bytes().to_vec()),
        Encoding::F16 => (Dtype::F16, |v| f16_bits(v).to_le_bytes().to_vec()),
        Encoding::Bf16 => (Dtype::BF16, |v| bf16_bits(v).to_le_bytes().to_vec()),
        Encoding::I32 => (Dtype::I32, |v| (v as i32).to_le_bytes().to_vec()),
    };
    let encoded: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .into_iter()
        .map(|(name, shape, values)| (name, shape, values.into_iter().flat_map(encode).collect()))
        .collect();
    let views = encoded.iter().map(|(name, shape, bytes)| {
        (name, TensorView::new(dtype, shape.clone(), bytes).expect("as many bytes as the shape says"))
    });
    let metadata = metadata.map(|json| [("hardnet".to_string(), json.to_string())].into());
    serialize(views, metadata).expect("names and shapes are sound")
}

/// The nearest bfloat16, ties to even, of a finite value.
fn bf16_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16) as u16
}

/// The nearest binary16, ties to even, of a value below 65504; smaller than 2^-14 becomes zero.
fn f16_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let magnitude = bits & 0x7FFF_FFFF;
    if magnitude < 0x3880_0000 {
        return sign;
    }
    let rounded = magnitude + 0x0FFF + ((magnitude >> 13) & 1);
    sign | ((rounded - 0x3800_0000) >> 13) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_values_are_the_scripts() {
        for (name, expected) in crate::golden::first_values() {
            let shape: &[usize] = match name.as_str() {
                "x" => &[1, 3, 224, 224],
                "base.0.conv.weight" => &[32, 3, 3, 3],
                "base.16.3.weight" => &[1000, 1024],
                _ => &[32],
            };
            assert_eq!(tensor(&name, shape)[..4], expected[..], "{name}");
        }
    }

    #[test]
    fn halves_round_to_even() {
        // By numpy.float16 and by truncation with carry.
        let cases =
            [(1.0, 0x3C00, 0x3F80), (-0.1, 0xAE66, 0xBDCD), (0.333_333_34, 0x3555, 0x3EAB), (6.0, 0x4600, 0x40C0)];
        for (value, half, brain) in cases {
            assert_eq!((f16_bits(value), bf16_bits(value)), (half, brain), "{value}");
        }
    }
}
