//! Safetensors files of any encoding, as tests need them.

use safetensors::tensor::{Dtype, TensorView, serialize};

/// Names, shapes and values of tensors.
pub type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

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

/// The bytes of a safetensors file with these tensors, and `metadata` under the key `hardnet`.
pub fn safetensors(tensors: Tensors, encoding: Encoding, metadata: Option<&str>) -> Vec<u8> {
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
    fn halves_round_to_even() {
        // By numpy.float16 and by truncation with carry.
        let cases =
            [(1.0, 0x3C00, 0x3F80), (-0.1, 0xAE66, 0xBDCD), (0.333_333_34, 0x3555, 0x3EAB), (6.0, 0x4600, 0x40C0)];
        for (value, half, brain) in cases {
            assert_eq!((f16_bits(value), bf16_bits(value)), (half, brain), "{value}");
        }
    }
}
