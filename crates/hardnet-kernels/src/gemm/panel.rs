//! Panels of output channels and the segments of inputs that they are multiplied by.

use hardnet_simd::{Isa, widest_blocks, widest_tiles};

use super::MAX_VECTORS;

/// Most blocks of output channels in a panel.
pub(crate) const MAX_BLOCKS: usize = 2 * MAX_VECTORS;

/// Consecutive inputs along `k`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KSegment {
    /// Values from the pixel's address.
    pub(crate) offset: usize,
    /// Number of values.
    pub(crate) count: usize,
}

/// Bounds of results: an activation that is a clamp.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)]
pub struct Clamp {
    /// The least result.
    pub low: f32,
    /// The greatest result.
    pub high: f32,
}

impl Clamp {
    /// No bounds: no activation.
    pub const NONE: Self = Self { low: f32::NEG_INFINITY, high: f32::INFINITY };
    /// `max(x, 0)`.
    pub const RELU: Self = Self { low: 0.0, high: f32::INFINITY };
    /// `min(max(x, 0), 6)`.
    pub const RELU6: Self = Self { low: 0.0, high: 6.0 };
}

/// One panel: `blocks` blocks of output channels, their weights `[k, blocks, 8]`, after which
/// [`READ_PADDING`](crate::exec::buffer::READ_PADDING) values are readable, and biases `[blocks, 8]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panel {
    pub(crate) blocks: usize,
    pub(crate) weights: *const f32,
    /// Or null, where the sums continue from what the output holds.
    pub(crate) bias: *const f32,
    /// Output of the first block.
    pub(crate) output: *mut f32,
    /// Values from one block's output to the next's.
    pub(crate) plane: usize,
    pub(crate) clamp: Clamp,
    /// Weights that are needed after these: their address and number.
    pub(crate) prefetch: (*const f32, usize),
}

/// Products of a sum below which a tile's time is not that of its products alone: tiles of many pixels are then worth
/// more than those that read a value for three vectors.
const SHALLOW: usize = 32;

/// Blocks of each panel of `blocks` blocks of output channels that are sums of `products` products on `isa`.
pub(crate) fn panels(isa: Isa, blocks: usize, products: usize) -> Vec<usize> {
    if widest_tiles(isa)[1] == 0 {
        return vec![1; blocks];
    }
    split_into_panels(widest_blocks(isa), blocks, products)
}

/// [`panels`] for vectors of `widest` blocks: pairs of vectors, and where one is left a triple, or one by itself.
fn split_into_panels(widest: usize, blocks: usize, products: usize) -> Vec<usize> {
    let pair = 2 * widest;
    let mut panels = vec![pair; blocks / pair];
    match (blocks % pair, panels.last_mut()) {
        (0, _) => {}
        (rest, Some(last)) if rest <= widest && products >= SHALLOW => *last += rest,
        (rest, _) => panels.push(rest),
    }
    panels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_have_all_blocks() {
        for blocks in 0..40 {
            for products in [1, SHALLOW - 1, SHALLOW, 1000] {
                for widest in [1, 2] {
                    let panels = split_into_panels(widest, blocks, products);
                    assert_eq!(panels.iter().sum::<usize>(), blocks);
                    assert!(panels.iter().all(|panel| panel.div_ceil(widest) <= MAX_VECTORS));
                }
            }
        }
        let narrow = |products| split_into_panels(1, 7, products);
        assert_eq!((narrow(1000), narrow(9)), (vec![2, 2, 3], vec![2, 2, 2, 1]));
        let wide = |blocks| split_into_panels(2, blocks, 1000);
        assert_eq!((wide(9), wide(10), wide(11), wide(1)), (vec![4, 5], vec![4, 6], vec![4, 4, 3], vec![1]));
    }
}
