//! The algorithm of a convolution.
//!
//! Only 3x3 convolutions of stride 1 and padding 1 have a choice; all others are computed directly, as they are
//! defined. Winograd's minimal filtering (Lavin and Gray 2015) trades multiplications for memory:
//!
//! | algorithm | multiplications | weights held |
//! |---|---|---|
//! | direct | 9 for each output | 9 for each pair of channels |
//! | Winograd, tiles of 2x2 outputs | 4 (2.25 times fewer) | 16 |
//! | Winograd, tiles of 4x4 outputs | 2.25 (4 times fewer) | 36 |
//! | Winograd, filters transformed on the fly | as above, and the transforms | 9 |
//!
//! The choice follows from the pixels of the batch, the channels and the instruction set:
//!
//! * Many pixels: tiles of 4x4 outputs, the fewest multiplications.
//! * Few pixels ([`FEW_PIXELS`]): reading weights takes the time, so tiles of 2x2 outputs, whose weights are fewer.
//! * A batch of a deep layer ([`HEAVY`]): enough pixels for tiles of 4x4 outputs, but their weights would be most of
//!   the plan's memory; they are transformed on the fly, which many pixels ([`MANY_PIXELS`]) pay for.
//! * AVX-512: it multiplies faster, so that more layers wait for weights ([`FEW_PIXELS_AVX512`]), and it has registers
//!   to transform the filters of [`REGISTER_TILES`] tiles without writing them anywhere.
//!
//! The number of threads is not part of it: results do not depend on threads. The times of all algorithms for the
//! layers of the networks are in `docs/performance/choice-avx2.json` and `choice-avx512.json`, which
//! `benches/choice.py` measures; the portable kernels follow the former.

use hardnet_graph::{Conv, Node, Padding, Shape};
use hardnet_kernels::Algorithm;

use crate::options::PlanOptions;

/// Pixels of a batch below which a layer is bound by its weights.
const FEW_PIXELS: usize = 100;

/// The same with AVX-512.
const FEW_PIXELS_AVX512: usize = 300;

/// Tiles of 4x4 outputs of a batch that AVX-512 multiplies by weights in registers.
const REGISTER_TILES: usize = 4;

/// Pixels of a batch from which on it costs little to transform filters on the fly.
const MANY_PIXELS: usize = 300;

/// How many times the values of all maps the transformed weights must be to be transformed on the fly.
const HEAVY: usize = 8;

/// Chooses the algorithm for `node` on an input of `size`.
pub(crate) fn algorithm(node: &Node, conv: &Conv, size: Shape, options: &PlanOptions) -> Algorithm {
    let winograd = conv.kernel == (3, 3) && conv.stride == 1 && conv.padding == Padding::all(1);
    if !winograd || node.inputs == [0] {
        return Algorithm::Direct;
    }
    if let Some(algorithm) = options.algorithm {
        return algorithm;
    }
    let pixels = size.height.saturating_mul(size.width).saturating_mul(options.chosen_batch());
    let avx512 = options.isa.avx512().is_some();
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
