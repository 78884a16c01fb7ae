//! The harmonic link rule, which makes a network a HarDNet (Chao et al. 2019, section 3.1).
//!
//! A block numbers its input 0 and its layers from 1. Layer `l` reads layer `l - 2^n` for every `n` with `2^n` dividing
//! `l`. Drawn for a block of eight layers, each link from its source on the left to its reader on the right:
//!
//! ```text
//! layer     0   1   2   3   4   5   6   7   8
//! l - 1     o-->o-->o-->o-->o-->o-->o-->o-->o     every layer
//! l - 2     o------>o------>o------>o------>o     every second layer
//! l - 4     o-------------->o-------------->o     every fourth layer
//! l - 8     o------------------------------>o     every eighth layer
//! channels      k  km   k km^2  k  km   k km^3
//! output        x       x       x       x   x
//! ```
//!
//! Like the overtones of a string, longer links are rarer, hence the name. Once layer `2^n` is done, no layer after it
//! reads one before it: those maps can be dropped, but for the odd layers, which are part of the block's output. A
//! layer that many others read, one whose number has a high power of two, has more channels: `k * m^n` for the largest
//! `n` with `2^n` dividing `l`, so that what it has summed up of the layers before it is not squeezed into `k`
//! channels.

use crate::config::LinkOrder;

/// The largest number of layers in a block.
///
/// The reference implementation has powers up to `2^9` only: below `2^10` layers, the rule and it agree.
pub const MAX_LAYERS: usize = 1023;

/// Layers that `layer` reads, nearest first, in the order in which their channels are concatenated; none for layer 0,
/// the block's input.
///
/// ```
/// assert_eq!(hardnet_graph::link::sources(12).collect::<Vec<_>>(), [11, 10, 8]);
/// ```
pub fn sources(layer: usize) -> impl Iterator<Item = usize> {
    let powers = if layer == 0 { 0 } else { layer.trailing_zeros() + 1 };
    (0..powers).map(move |n| layer - (1 << n))
}

/// As [`sources`], in the order of `links`.
///
/// ```
/// use hardnet_graph::{LinkOrder, link};
///
/// assert_eq!(link::ordered_sources(12, LinkOrder::FarthestFirst), [8, 10, 11]);
/// ```
pub fn ordered_sources(layer: usize, links: LinkOrder) -> Vec<usize> {
    let mut sources: Vec<usize> = sources(layer).collect();
    if links == LinkOrder::FarthestFirst {
        sources.reverse();
    }
    sources
}

/// Output channels of `layer` (1 or higher) for growth rate `k` and multiplier `m`: the paper's `k * m^n`.
///
/// The product is taken factor by factor in `f64` and rounded to an even number as the reference implementation does,
/// `int(int(x + 1) / 2) * 2`: 22.4 gives 22 and 23.0 gives 24.
pub fn width(layer: usize, k: usize, m: f64) -> usize {
    let exact = (0..layer.trailing_zeros()).fold(k as f64, |channels, _| channels * m);
    (exact + 1.0) as usize / 2 * 2
}

/// Layers whose concatenation is the output of a block of `layers` layers: the odd ones and the last.
pub fn outputs(layers: usize) -> impl Iterator<Item = usize> {
    (1..=layers).filter(move |layer| layer % 2 == 1 || *layer == layers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_the_powers_of_two_that_divide() {
        let expected: [&[usize]; 17] = [
            &[],
            &[0],
            &[1, 0],
            &[2],
            &[3, 2, 0],
            &[4],
            &[5, 4],
            &[6],
            &[7, 6, 4, 0],
            &[8],
            &[9, 8],
            &[10],
            &[11, 10, 8],
            &[12],
            &[13, 12],
            &[14],
            &[15, 14, 12, 8, 0],
        ];
        for (layer, sources_of_layer) in expected.iter().enumerate() {
            assert_eq!(sources(layer).collect::<Vec<_>>(), *sources_of_layer, "layer {layer}");
        }
    }

    #[test]
    fn widths_round_to_even_numbers_as_the_reference_does() {
        // (layer, k, m, width) by Python's `int(int(x + 1) / 2) * 2`.
        let cases = [
            (1, 14, 1.7, 14),
            (2, 14, 1.7, 24),   // 23.8
            (4, 14, 1.7, 40),   // 40.46
            (8, 14, 1.7, 68),   // 68.782
            (16, 20, 1.6, 132), // 131.072
            (2, 20, 1.6, 32),
            (4, 160, 1.7, 462), // 462.4
            (3, 15, 1.7, 16),
            (16, 16, 1.7, 134), // 133.63...
        ];
        for (layer, k, m, expected) in cases {
            assert_eq!(width(layer, k, m), expected, "layer {layer}, k {k}, m {m}");
        }
    }

    #[test]
    fn outputs_are_odd_layers_and_the_last() {
        assert_eq!(outputs(4).collect::<Vec<_>>(), [1, 3, 4]);
        assert_eq!(outputs(5).collect::<Vec<_>>(), [1, 3, 5]);
        assert_eq!(outputs(1).collect::<Vec<_>>(), [1]);
    }
}
