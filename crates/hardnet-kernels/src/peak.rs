//! The peak of floating-point operations that the processor reaches.
#![allow(unsafe_code)]

use std::time::{Duration, Instant};

use hardnet_simd::{Isa, Kernel, LANES, Simd, dispatch, widest_blocks, widest_tiles};

use crate::error::Result;
use crate::exec::buffer::{AlignedBuffer, READ_PADDING};
use crate::exec::thread_pool::ThreadPool;
use crate::gemm::{Clamp, KSegment, Panel, Stride, TileCursor, multiply};

/// Rows of weights: with the values of a tile, half of a level 1 cache.
const DEPTH: usize = 128;

/// Vectors of a tile.
fn vectors(tiles: [usize; 3]) -> usize {
    if tiles[1] == 0 { 1 } else { 2 }
}

/// Floating-point operations in a second of `threads` threads whose micro-kernel finds everything in its level 1 cache,
/// a multiply-add counted as two: the best of some rounds that take about `time` together.
///
/// # Errors
///
/// [`Error::Thread`](crate::Error::Thread) where threads cannot be started.
pub fn peak_flops(isa: Isa, threads: usize, time: Duration) -> Result<f64> {
    let mut pool = ThreadPool::new(threads)?;
    let tiles = widest_tiles(isa);
    let vectors = vectors(tiles);
    let (pixels, blocks) = (tiles[vectors - 1], vectors * widest_blocks(isa));
    let flops = (2 * DEPTH * pixels * blocks * LANES * ROUND * pool.size()) as f64;
    let begun = Instant::now();
    let mut best = 0_f64;
    while best == 0.0 || begun.elapsed() < time {
        let started = Instant::now();
        pool.run(&|_| dispatch(isa, Round));
        best = best.max(flops / started.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// Tiles of a round: some milliseconds.
const ROUND: usize = 5_000;

/// A number of tiles on one thread.
struct Round;

impl Kernel for Round {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let vectors = vectors(S::Widest::TILES);
        let (pixels, blocks) = (S::Widest::TILES[vectors - 1], vectors * S::Widest::BLOCKS);
        // Pixels lie side by side, as in maps; their values overlap.
        let values = AlignedBuffer::zeroed(pixels * LANES + DEPTH);
        let weights = AlignedBuffer::zeroed(DEPTH * blocks * LANES + READ_PADDING);
        let mut output = AlignedBuffer::zeroed(pixels * blocks * LANES);
        let panel = Panel {
            blocks,
            weights: weights.as_ptr(),
            bias: weights.as_ptr(),
            output: output.as_mut_ptr(),
            plane: pixels * LANES,
            clamp: Clamp::NONE,
            prefetch: (weights.as_ptr(), 0),
        };
        let segments = [KSegment { offset: 0, count: DEPTH }];
        let step = Stride { row: 0, column: LANES };
        for _ in 0..ROUND {
            // SAFETY: each buffer has the values of the tile.
            unsafe {
                multiply(s, &segments, values.as_ptr(), TileCursor::new(usize::MAX, 0, step, step), pixels, &panel)
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn something_is_measured_on_every_set() {
        for isa in Isa::of_f32() {
            let flops = peak_flops(isa, 2, Duration::from_millis(1)).unwrap();
            assert!(flops.is_finite() && flops > 0.0, "{isa}: {flops}");
        }
    }
}
