//! Transforms of inputs, of filters and of products.
#![allow(unsafe_code, clippy::needless_range_loop)]

use hardnet_simd::{BYTE_LANES, Words, WordsKernel};

use super::MAX_SIDE;
use crate::ops::depthwise::{SIDE as ROW, TAPS};

/// [`unrolled`] of at most six turns. Arrays of vectors are not made by functions of the standard library, whose
/// closures would be compiled without the set's instructions.
macro_rules! six {
    ($i:ident in $count:ident, $body:block) => {
        hardnet_simd::unrolled!($i in $count, $body, 0 1 2 3 4 5)
    };
}
pub(super) use six;

/// A row or a column of inputs by the matrix of inputs.
#[inline(always)]
fn input_line<D: Words, const SIDE: usize>(d: D, v: [D::W; SIDE]) -> [D::W; SIDE] {
    let mut out = v;
    if SIDE == 4 {
        out[0] = d.sub_words(v[0], v[2]);
        out[1] = d.add_words(v[1], v[2]);
        out[2] = d.sub_words(v[2], v[1]);
        out[3] = d.sub_words(v[1], v[3]);
    } else {
        // 4 (v0 - v2) + v4 - v2, and the same one further.
        out[0] = d.add_words(fourfold(d, d.sub_words(v[0], v[2])), d.sub_words(v[SIDE - 2], v[2]));
        out[SIDE - 1] = d.add_words(fourfold(d, d.sub_words(v[1], v[3])), d.sub_words(v[SIDE - 1], v[3]));
        let (even, odd) = (d.sub_words(fourfold(d, v[2]), v[SIDE - 2]), d.sub_words(fourfold(d, v[1]), v[3]));
        out[1] = d.add_words(even, odd);
        out[2] = d.sub_words(even, odd);
        let (even, half) = (d.sub_words(v[SIDE - 2], v[2]), d.sub_words(v[3], v[1]));
        let odd = d.add_words(half, half);
        out[3] = d.add_words(even, odd);
        out[SIDE - 2] = d.sub_words(even, odd);
    }
    out
}

/// Four times a vector.
#[inline(always)]
fn fourfold<D: Words>(d: D, value: D::W) -> D::W {
    let double = d.add_words(value, value);
    d.add_words(double, double)
}

/// Transforms sixteen channels of a tile, to `to` and `step` values further for each position.
///
/// # Safety
/// The window is valid for reading, all positions for writing.
#[inline(always)]
pub(super) unsafe fn transform_inputs<D: Words, const SIDE: usize>(
    d: D,
    from: *const u8,
    row: usize,
    to: *mut i16,
    step: usize,
) {
    // SAFETY: the caller's promise.
    let mut rows = [[unsafe { d.widen(from) }; SIDE]; SIDE];
    six!(y in SIDE, {
        six!(x in SIDE, {
            // SAFETY: the caller's promise.
            rows[y][x] = unsafe { d.widen(from.add(y * row + x * BYTE_LANES)) };
        });
        rows[y] = input_line(d, rows[y]);
    });
    six!(x in SIDE, {
        let mut column = rows[0];
        six!(y in SIDE, {
            column[y] = rows[y][x];
        });
        let column = input_line(d, column);
        six!(y in SIDE, {
            // SAFETY: the caller's promise.
            unsafe { d.store_words(to.add((y * SIDE + x) * step), column[y]) };
        });
    });
}

/// Four times a vector of sums.
#[inline(always)]
fn fourfold_sums<D: Words>(d: D, value: D::Sums) -> D::Sums {
    let double = d.add_sums(value, value);
    d.add_sums(double, double)
}

/// Six times a vector of sums.
#[inline(always)]
fn six_times<D: Words>(d: D, value: D::Sums) -> D::Sums {
    let double = d.add_sums(value, value);
    d.add_sums(double, d.add_sums(double, double))
}

/// A row or a column of products by the matrix of outputs.
#[inline(always)]
fn output_line<D: Words, const M: usize, const SIDE: usize>(d: D, v: [D::Sums; SIDE]) -> [D::Sums; M] {
    let (sum, difference) = (d.add_sums(v[1], v[2]), d.sub_sums(v[1], v[2]));
    let mut out = [sum; M];
    if M == 2 {
        out[0] = d.add_sums(v[0], sum);
        out[1] = d.sub_sums(difference, v[3]);
    } else {
        let (far, apart) = (d.add_sums(v[3], v[SIDE - 2]), d.sub_sums(v[3], v[SIDE - 2]));
        let (fourfold, difference) = (fourfold_sums(d, sum), fourfold_sums(d, difference));
        out[0] = d.add_sums(six_times(d, v[0]), d.add_sums(fourfold, far));
        out[1] = d.add_sums(difference, d.add_sums(apart, apart));
        out[M - 2] = fourfold_sums(d, d.add_sums(sum, far));
        // 8 apart + 24 v5, half of it.
        let half = fourfold_sums(d, d.add_sums(apart, d.add_sums(v[SIDE - 1], d.add_sums(v[SIDE - 1], v[SIDE - 1]))));
        out[M - 1] = d.add_sums(difference, d.add_sums(half, half));
    }
    out
}

/// The outputs of a tile as multiples of their sums, column by column, from products `step` values apart.
///
/// # Safety
/// All positions are valid for reading.
#[inline(always)]
pub(super) unsafe fn transform_products<D: Words, const M: usize, const SIDE: usize>(
    d: D,
    from: *const i32,
    step: usize,
) -> [[D::Sums; M]; M] {
    let mut rows = [[d.no_sums(); M]; SIDE];
    six!(y in SIDE, {
        let mut line = [d.no_sums(); SIDE];
        six!(x in SIDE, {
            // SAFETY: the caller's promise.
            line[x] = unsafe { d.load_sums(from.add((y * SIDE + x) * step)) };
        });
        rows[y] = output_line(d, line);
    });
    let mut columns = [[d.no_sums(); M]; M];
    six!(x in M, {
        let mut line = [d.no_sums(); SIDE];
        six!(y in SIDE, {
            line[y] = rows[y][x];
        });
        columns[x] = output_line(d, line);
    });
    columns
}

/// The last position of a side of tiles of 4x4 outputs.
const MAX_POSITION: usize = MAX_SIDE - 1;

/// Filters of a panel of output channels, as [`pack`](super::pack) leaves those of tiles of 4x4 outputs.
#[derive(Clone, Copy)]
pub(super) struct Filters {
    pub(super) taps: *const i8,
    /// Pairs of input channels.
    pub(super) pairs: usize,
    /// Output channels.
    pub(super) lanes: usize,
}

/// Transforms filters to row `Y` of positions, at `to`: for each of its [`MAX_SIDE`] positions, pairs of input channels
/// by output channels. It is run where the filters are valid for reading and all these values for writing.
pub(super) struct TransformFilters<const Y: usize> {
    pub(super) filters: Filters,
    pub(super) to: *mut i16,
}

impl<const Y: usize> WordsKernel for TransformFilters<Y> {
    type Output = ();

    #[inline(always)]
    fn run<D: Words>(self, d: D) {
        let Filters { taps, pairs, lanes } = self.filters;
        let position = 2 * pairs * lanes;
        for pair in 0..pairs {
            for first in (0..lanes).step_by(D::LANES) {
                let at = |tap: usize| taps.wrapping_add(2 * ((pair * TAPS + tap) * lanes + first));
                // SAFETY: vectors of the pair's weights of each tap.
                let columns = unsafe {
                    [
                        filter_column::<D, Y>(d, at(0), at(ROW), at(2 * ROW)),
                        filter_column::<D, Y>(d, at(1), at(ROW + 1), at(2 * ROW + 1)),
                        filter_column::<D, Y>(d, at(2), at(ROW + 2), at(2 * ROW + 2)),
                    ]
                };
                let row = filter_line(d, columns);
                six!(x in MAX_SIDE, {
                    let to = self.to.wrapping_add(x * position + 2 * (pair * lanes + first));
                    // SAFETY: the vector of these weights at one position.
                    unsafe { d.store_pairs(to, row[x]) };
                });
            }
        }
    }
}

/// Position `Y` of a column of a filter by the matrix of filters.
///
/// # Safety
/// A vector of each tap is valid for reading.
#[inline(always)]
unsafe fn filter_column<D: Words, const Y: usize>(d: D, a: *const i8, b: *const i8, c: *const i8) -> D::Pairs {
    // SAFETY: the caller's promise.
    unsafe {
        match Y {
            0 => d.widen_pairs(a),
            MAX_POSITION => d.widen_pairs(c),
            _ => filter_line(d, [d.widen_pairs(a), d.widen_pairs(b), d.widen_pairs(c)])[Y],
        }
    }
}

/// A column of a filter, or a row, by the matrix of filters.
#[inline(always)]
fn filter_line<D: Words>(d: D, [a, b, c]: [D::Pairs; ROW]) -> [D::Pairs; MAX_SIDE] {
    let double = d.add_pairs(c, c);
    let (outer, far) = (d.add_pairs(a, c), d.add_pairs(a, d.add_pairs(double, double)));
    let double = d.add_pairs(b, b);
    [a, d.add_pairs(outer, b), d.sub_pairs(outer, b), d.add_pairs(far, double), d.sub_pairs(far, double), c]
}

#[cfg(test)]
mod tests {
    use hardnet_simd::{Isa, dispatch_words};

    use super::super::ByteTile;
    use super::*;

    /// Filters whose weights are at the bounds, transformed to all positions.
    struct Check;

    impl WordsKernel for Check {
        type Output = ();

        #[inline(always)]
        fn run<D: Words>(self, d: D) {
            let (pairs, lanes) = (3, 2 * D::LANES);
            let bytes: Vec<i8> = (0..pairs * TAPS * lanes * 2).map(|at| [127, -127, 3, -50, 0][at * at % 5]).collect();
            let filters = Filters { taps: bytes.as_ptr(), pairs, lanes };
            let mut rows = vec![vec![0_i16; MAX_SIDE * pairs * lanes * 2]; MAX_SIDE];
            d.call_words(TransformFilters::<0> { filters, to: rows[0].as_mut_ptr() });
            d.call_words(TransformFilters::<1> { filters, to: rows[1].as_mut_ptr() });
            d.call_words(TransformFilters::<2> { filters, to: rows[2].as_mut_ptr() });
            d.call_words(TransformFilters::<3> { filters, to: rows[3].as_mut_ptr() });
            d.call_words(TransformFilters::<4> { filters, to: rows[4].as_mut_ptr() });
            d.call_words(TransformFilters::<5> { filters, to: rows[5].as_mut_ptr() });
            for (pair, lane) in (0..pairs).flat_map(|pair| (0..2 * lanes).map(move |lane| (pair, lane))) {
                let weights = std::array::from_fn(|tap| bytes[(pair * TAPS + tap) * lanes * 2 + lane]);
                let expected = ByteTile::Four.transform(&weights);
                for (y, x) in (0..MAX_SIDE).flat_map(|y| (0..MAX_SIDE).map(move |x| (y, x))) {
                    assert_eq!(rows[y][(x * pairs + pair) * lanes * 2 + lane], expected[y][x], "{pair} {lane} {y} {x}");
                }
            }
        }
    }

    #[test]
    fn filters_are_transformed_alike_on_every_set() {
        for isa in Isa::available() {
            dispatch_words(isa, Check);
        }
    }
}
