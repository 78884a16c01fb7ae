//! Which algorithm computes a convolution.
//!
//! Winograd's tiles of 4x4 outputs need a quarter of the multiplications, and four times the weights; tiles of 2x2 need 2.25 times
//! fewer and 1.8 times the weights. A layer of few pixels spends its time reading weights. In a batch, the last layers have
//! enough pixels for tiles of 4x4 outputs, and their transformed weights would be most of the plan's memory. AVX-512 computes faster, so
//! that more layers wait for weights, and has registers to transform those of four tiles without writing them anywhere. The times
//! of all algorithms for the layers of the networks are in `docs/performance/choice-avx2.json` and
//! `choice-avx512.json`, which `benches/choice.py` made; the portable kernels follow the former.

use hardnet_graph::{Conv, Node, Padding};
use hardnet_kernels::{Algorithm, Isa, Size};

use crate::options::PlanOptions;

/// Pixels of a batch below which a layer is bound by its weights, and with AVX-512.
const FEW_PIXELS: usize = 100;
const FEW_PIXELS_AVX512: usize = 300;

/// Tiles of 4x4 outputs of a batch that AVX-512 multiplies by weights in registers.
const REGISTER_TILES: usize = 4;

/// Pixels of a batch from which on it costs little to transform weights as they are read.
const MANY_PIXELS: usize = 300;

/// Times that transformed weights must be as many as the values of all maps to be transformed as they are read.
const HEAVY: usize = 8;

/// The algorithm for `node` on an input of `size`.
pub(crate) fn algorithm(node: &Node, conv: &Conv, size: Size, options: &PlanOptions) -> Algorithm {
    let filtered = conv.kernel == (3, 3) && conv.stride == 1 && conv.padding == Padding::all(1);
    if !filtered || node.inputs == [0] {
        return Algorithm::Direct;
    }
    if let Some(algorithm) = options.algorithm {
        return algorithm;
    }
    let pixels = size.height.saturating_mul(size.width).saturating_mul(options.chosen_batch());
    let avx512 = matches!(options.isa, Isa::Avx512(_));
    if pixels < if avx512 { FEW_PIXELS_AVX512 } else { FEW_PIXELS } {
        let tiles = size.height.div_ceil(4) * size.width.div_ceil(4) * options.chosen_batch();
        let in_register = avx512 && tiles == REGISTER_TILES;
        return if in_register { Algorithm::Winograd4OnTheFly } else { Algorithm::Winograd2 };
    }
    let (weights, channels) = (36 * node.in_channels * node.out_channels, node.in_channels + node.out_channels);
    if pixels >= MANY_PIXELS && weights / HEAVY > channels.saturating_mul(pixels) {
        return Algorithm::Winograd4OnTheFly;
    }
    Algorithm::Winograd4
}
