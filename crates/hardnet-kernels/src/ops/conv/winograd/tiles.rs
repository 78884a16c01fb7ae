//! The two-dimensional transforms of tiles in one block of channels.
//!
//! The tiles next to each other in a row are transformed in two passes, columns and rows, with what the first leaves in
//! a level 1 cache. The columns that two tiles share are transformed once, and few streams of values far apart are open
//! at a time. Wide vectors have neighboring columns or tiles. Loops inside a tile are over indices of fixed bounds, so
//! that they unroll and its values stay in registers.
#![allow(unsafe_code, clippy::needless_range_loop)]

use std::mem::MaybeUninit;

use hardnet_simd::{LANES, Simd};

use super::WinogradTransform;
use crate::gemm::Clamp;

/// Tiles that are transformed together at most.
pub(super) const TILES: usize = 16;

/// Pixels of a row of the inputs of [`TILES`] tiles of 4x4 outputs.
const PIXELS: usize = 4 * TILES + 2;

/// Values between the passes: of the columns of the inputs of [`TILES`] tiles of 4x4 outputs, or of the rows of their
/// outputs, which are fewer.
#[repr(align(64))]
struct Between(MaybeUninit<[f32; PIXELS * 6 * LANES]>);

/// Transforms the `A` x `A` windows of `tiles` tiles, at most [`TILES`]; the first is at `from`, and their rows
/// are `row` values apart, to values `position` apart, those of the first from `to` on and the next ones after each.
///
/// # Safety
/// The windows are valid for reading, the `tiles` vectors at each of the `A * A` positions for writing.
#[inline(always)]
pub(super) unsafe fn input_tiles<S: Simd, P: WinogradTransform<A, M>, const A: usize, const M: usize>(
    s: S,
    from: *const f32,
    row: usize,
    to: *mut f32,
    position: usize,
    tiles: usize,
) {
    debug_assert!(tiles <= TILES && A <= 6 && A == M + 2);
    let mut between = Between(MaybeUninit::uninit());
    // `[A, columns, 8]`
    let between = between.0.as_mut_ptr().cast::<f32>();
    // Columns are even in number.
    for x in (0..tiles * M + A - M).step_by(S::BLOCKS) {
        // SAFETY: columns of the windows; there is room for as many as `TILES` tiles have.
        unsafe {
            let d = std::array::from_fn(|y| s.load(from.add(y * row + x * LANES)));
            for (y, value) in P::input(s, d).into_iter().enumerate() {
                s.store(between.add((y * PIXELS + x) * LANES), value);
            }
        }
    }
    for y in 0..A {
        for tile in (0..tiles).step_by(S::BLOCKS) {
            let blocks = S::BLOCKS.min(tiles - tile);
            // SAFETY: columns written above; a vector at each of `A` positions for each tile.
            unsafe {
                let from = between.add((y * PIXELS + tile * M) * LANES);
                let d = std::array::from_fn(|x| s.gather(from.add(x * LANES), M * LANES, blocks));
                for (x, value) in P::input(s, d).into_iter().enumerate() {
                    s.store_masked(to.add((y * A + x) * position + tile * LANES), s.mask(blocks), value);
                }
            }
        }
    }
}

/// Where the outputs of tiles go.
pub(super) struct Output {
    /// The first of them.
    pub(super) to: *mut f32,
    /// Values from row to row.
    pub(super) row: usize,
    /// Rows and columns that the map has of the tiles together.
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// Transforms the products of `tiles` tiles, at most [`TILES`], which lie as [`input_tiles`] leaves them, to outputs,
/// with `bias` added and bounded by `clamp`.
///
/// # Safety
/// The vectors at the `A * A` positions are valid for reading, the rows and columns of `output` for writing.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
pub(super) unsafe fn output_tiles<S: Simd, P: WinogradTransform<A, M>, const A: usize, const M: usize>(
    s: S,
    from: *const f32,
    position: usize,
    tiles: usize,
    output: &Output,
    bias: S::V,
    clamp: Clamp,
) {
    debug_assert!(tiles <= TILES && A <= 6 && A == M + 2);
    let mut between = Between(MaybeUninit::uninit());
    // `[M, A, TILES, 8]`
    let between = between.0.as_mut_ptr().cast::<f32>();
    for x in 0..A {
        for tile in (0..tiles).step_by(S::BLOCKS) {
            let mask = s.mask(S::BLOCKS.min(tiles - tile));
            // SAFETY: a vector at each of `A` positions for each tile; `M * A * TILES` vectors fit.
            unsafe {
                let from = from.add(x * position + tile * LANES);
                let m = std::array::from_fn(|y| s.load_masked(from.add(y * A * position), mask));
                for (y, value) in P::output(s, m).into_iter().enumerate() {
                    s.store(between.add(((y * A + x) * TILES + tile) * LANES), value);
                }
            }
        }
    }
    let (low, high) = (s.splat(clamp.low), s.splat(clamp.high));
    for tile in (0..tiles).step_by(S::BLOCKS) {
        for y in 0..M.min(output.rows) {
            // SAFETY: rows written above.
            let m = std::array::from_fn(|x| unsafe { s.load(between.add(((y * A + x) * TILES + tile) * LANES)) });
            for (x, value) in P::output(s, m).into_iter().enumerate() {
                // Tiles whose column `x` the map has.
                let blocks = (output.columns + M - 1 - x) / M;
                if tile < blocks {
                    let value = s.min(high, s.max(low, s.add(value, bias)));
                    let to = output.to.wrapping_add(y * output.row + (tile * M + x) * LANES);
                    // SAFETY: a row and columns that the map has.
                    unsafe { s.scatter(to, M * LANES, S::BLOCKS.min(blocks.min(tiles) - tile), value) };
                }
            }
        }
    }
}
