//! The harmonic link rule, the one thing that makes a HarDNet (paper, section 3).
//!
//! A block numbers its input 0 and its layers from 1. Layer `l` reads layer `l - 2^n` for every `n` with `2^n` dividing
//! `l`, and has `k * m^n` channels for the largest such `n`. The block's output is its odd layers and its last one.

/// The largest number of layers in a block.
///
/// The reference implementation looks at powers up to `2^9` only, so that the rule and it agree below `2^10`.
pub const MAX_LAYERS: usize = 1023;

/// The layers that `layer` reads, nearest first, in the order in which their channels are concatenated.
///
/// Empty for layer 0, the block's input.
///
/// ```
/// assert_eq!(hardnet_graph::link::sources(12).collect::<Vec<_>>(), [11, 10, 8]);
/// ```
pub fn sources(layer: usize) -> impl Iterator<Item = usize> {
    let powers = if layer == 0 { 0 } else { layer.trailing_zeros() + 1 };
    (0..powers).map(move |n| layer - (1 << n))
}

/// Output channels of `layer` (1 or higher) for growth rate `k` and multiplier `m`.
///
/// The product is taken factor by factor in `f64` and rounded to an even number as the reference implementation does,
/// `int(int(x + 1) / 2) * 2`: 22.4 gives 22 and 23.0 gives 24.
pub fn width(layer: usize, k: usize, m: f64) -> usize {
    let exact = (0..layer.trailing_zeros()).fold(k as f64, |channels, _| channels * m);
    (exact + 1.0) as usize / 2 * 2
}

/// The layers whose concatenation is the output of a block of `layers` layers: the odd ones and the last.
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
