//! The two-dimensional transforms of one tile in one block of channels.
//!
//! Loops are over indices of fixed bounds, so that they unroll and the values of a tile stay in registers.
#![allow(unsafe_code, clippy::needless_range_loop)]

use super::Points;
use crate::gemm::Range;
use crate::simd::{LANES, Simd};

/// Transforms the `A` x `A` window at `from`, whose rows are `row` values apart, to values `frequency` apart from `to` on.
///
/// # Safety
/// The window is valid for reading, the `A * A` vectors at `to` for writing.
#[inline(always)]
pub(super) unsafe fn input_tile<S: Simd, P: Points<A, M>, const A: usize, const M: usize>(
    s: S,
    from: *const f32,
    row: usize,
    to: *mut f32,
    frequency: usize,
) {
    let mut columns = [[s.splat(0.0); A]; A];
    for x in 0..A {
        // SAFETY: a column of the window.
        let d = std::array::from_fn(|y| unsafe { s.load(from.add(y * row + x * LANES)) });
        let transformed = P::input(s, d);
        for y in 0..A {
            columns[y][x] = transformed[y];
        }
    }
    for (y, d) in columns.into_iter().enumerate() {
        for (x, value) in P::input(s, d).into_iter().enumerate() {
            // SAFETY: one of the `A * A` vectors.
            unsafe { s.store(to.add((y * A + x) * frequency), value) };
        }
    }
}

/// Where the outputs of a tile go.
pub(super) struct Output {
    /// The first of them.
    pub(super) to: *mut f32,
    /// Values from row to row.
    pub(super) row: usize,
    /// Rows and columns that the map has of the tile.
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// Transforms the products `frequency` values apart from `from` on to outputs, with `bias` added and bounded by `range`.
///
/// # Safety
/// The `A * A` vectors at `from` are valid for reading, the rows and columns of `output` for writing.
#[inline(always)]
pub(super) unsafe fn output_tile<S: Simd, P: Points<A, M>, const A: usize, const M: usize>(
    s: S,
    from: *const f32,
    frequency: usize,
    output: &Output,
    bias: S::V,
    range: Range,
) {
    let mut columns = [[s.splat(0.0); A]; M];
    for x in 0..A {
        // SAFETY: one column of the `A * A` vectors.
        let m = std::array::from_fn(|y| unsafe { s.load(from.add((y * A + x) * frequency)) });
        let transformed = P::output(s, m);
        for y in 0..M {
            columns[y][x] = transformed[y];
        }
    }
    let (low, high) = (s.splat(range.low), s.splat(range.high));
    for (y, m) in columns.into_iter().enumerate() {
        if y == output.rows {
            break;
        }
        for (x, value) in P::output(s, m).into_iter().enumerate() {
            if x < output.columns {
                let value = s.min(high, s.max(low, s.add(value, bias)));
                // SAFETY: a row and a column that the map has.
                unsafe { s.store(output.to.add(y * output.row + x * LANES), value) };
            }
        }
    }
}

/// Transforms the taps, `[3 * 3, lanes]`, in f64 and rounds once.
pub(super) fn weights<P: Points<A, M>, const A: usize, const M: usize>(
    taps: &[[f64; LANES]; 9],
) -> [[[f32; LANES]; A]; A] {
    let mut out = [[[0.0; LANES]; A]; A];
    // `[A, 3]`: the filter's columns transformed.
    let mut columns = [[[0.0; LANES]; 3]; A];
    for (column, row) in columns.iter_mut().zip(&P::WEIGHTS) {
        for x in 0..3 {
            for lane in 0..LANES {
                column[x][lane] = row[0] * taps[x][lane] + row[1] * taps[3 + x][lane] + row[2] * taps[6 + x][lane];
            }
        }
    }
    for (out, column) in out.iter_mut().zip(&columns) {
        for (out, row) in out.iter_mut().zip(&P::WEIGHTS) {
            for lane in 0..LANES {
                out[lane] = (row[0] * column[0][lane] + row[1] * column[1][lane] + row[2] * column[2][lane]) as f32;
            }
        }
    }
    out
}
