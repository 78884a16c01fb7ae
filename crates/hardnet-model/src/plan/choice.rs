//! Which algorithm computes a convolution.
//!
//! Winograd's tiles of 4x4 outputs need a quarter of the multiplications, and four times the weights; tiles of 2x2 need 2.25 times
//! fewer and 1.8 times the weights. A layer of few pixels spends its time reading weights.

use hardnet_kernels::{Algorithm, Size};

use super::PlanOptions;
use crate::graph::{Conv, Node, Padding};

/// Pixels of a batch below which a layer is bound by its weights.
const FEW_PIXELS: usize = 100;

/// The algorithm for `node` on an input of `size`.
pub(super) fn algorithm(node: &Node, conv: &Conv, size: Size, options: &PlanOptions) -> Algorithm {
    let filtered = conv.kernel == 3 && conv.stride == 1 && conv.padding == Padding::all(1);
    if !filtered || node.inputs == [0] {
        return Algorithm::Direct;
    }
    if size.height * size.width * options.batch < FEW_PIXELS {
        return Algorithm::Winograd2;
    }
    Algorithm::Winograd4
}
