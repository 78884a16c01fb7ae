//! Products whose weights are packed as they are and transformed on the fly.
//!
//! Transformed weights are four times as many as the filter's, or 1.8 times: deep layers, whose maps are small, then
//! spend their time and most of the memory on them. Here a task has some panels of output channels at all positions of
//! the transform domain:
//!
//! ```text
//! for chunk of input channels {
//!     for panel of the task {
//!         transform the panel's weights of the chunk      into scratch memory of the thread, in its level 2 cache
//!         for position { multiply all tiles by them }
//!     }
//! }
//! ```
//!
//! so that every weight comes from memory once for a group of tiles, and inputs once for a task. A transform costs
//! about as much as the products of three tiles.
#![allow(unsafe_code, clippy::needless_range_loop)]

use std::marker::PhantomData;
use std::ops::Range;

use hardnet_simd::{Isa, Kernel, LANES, Simd, dispatch};

use super::{TILE_STRIDE, Winograd, WinogradTransform, in_register, odd_lines};
use crate::exec::buffer::{PackedSlice, PackedWeights, READ_PADDING};
use crate::exec::context::Context;
use crate::filter::{Filter, rounded};
use crate::gemm::{Clamp, Panel, TileCursor, multiply};
use crate::ops::conv::pack::for_each_panel;

/// Weights of a filter.
pub(super) const TAPS: usize = 9;

/// Blocks of input channels that are transformed together: for a panel at 36 positions, half of a level 2 cache.
const CHUNK: usize = 12;

/// Packs panels of `[in, vectors, 9, lanes]`, where the last vector may have fewer blocks than others.
pub(super) fn pack(
    filter: &Filter<'_>,
    inputs: usize,
    (isa, threads): (Isa, usize),
    packed_weights: &mut PackedWeights,
) -> PackedSlice {
    let outputs = filter.bias.len();
    packed_weights.push(TAPS * inputs * outputs.next_multiple_of(LANES), |packed| {
        for_each_panel(packed, outputs, (inputs, TAPS), (isa, threads), &|first, lanes, panel| {
            dispatch(isa, PackPanel { filter, inputs, first, lanes, panel });
        });
    })
}

/// Packs the panel of the output channels from `first` on.
struct PackPanel<'a> {
    filter: &'a Filter<'a>,
    inputs: usize,
    first: usize,
    lanes: usize,
    panel: &'a mut [f32],
}

impl Kernel for PackPanel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { filter, inputs, first, lanes, panel } = self;
        let wide = S::Widest::BLOCKS * LANES;
        for lane in 0..lanes.min(filter.bias.len() - first) {
            let channel = first + lane;
            let scale = filter.scale[channel];
            let weights = &filter.weights[channel * inputs * TAPS..][..inputs * TAPS];
            let vector = lane / wide * wide;
            let to = &mut panel[vector * TAPS + lane - vector..];
            for (to, weights) in to.chunks_mut(TAPS * lanes).zip(weights.chunks_exact(TAPS)) {
                for (to, &weight) in to.iter_mut().step_by(wide.min(lanes - vector)).zip(weights) {
                    *to = rounded(f64::from(weight) * scale);
                }
            }
        }
    }
}

/// How products are divided into tasks: panels in so many shares, by rows of positions in so many parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Division {
    panels: usize,
    parts: usize,
}

impl Division {
    /// For `panels` panels on `threads` threads: several shares for each thread, so that one helps another. Weights are
    /// read for each part, so there are two only where threads would have unequally many panels.
    pub(super) fn new(panels: usize, threads: usize) -> Self {
        let even = panels.is_multiple_of(threads) || panels >= 4 * threads;
        Self { panels: panels.min(2 * threads), parts: if even { 1 } else { 2 } }
    }

    /// Tasks of the products.
    pub(super) fn tasks(self) -> usize {
        self.panels * self.parts
    }

    /// The panels of `task`, of `panels`, and the rows of positions, of `rows`.
    fn share(self, task: usize, panels: usize, rows: usize) -> (Range<usize>, Range<usize>) {
        let share = |number: usize, shares: usize, of: usize| number * of / shares..(number + 1) * of / shares;
        (share(task % self.panels, self.panels, panels), share(task / self.panels, self.parts, rows))
    }
}

/// Values of the transformed weights of one of `panels`, for one thread.
pub(super) fn scratch(positions: usize, panels: &[usize]) -> usize {
    positions * odd_lines(CHUNK * LANES * panels.iter().max().map_or(0, |blocks| blocks * LANES)) + READ_PADDING
}

/// Multiplies `tiles` tiles at all positions for the panels of `task`.
///
/// # Safety
/// As [`Step::run`](crate::exec::program::Step::run).
#[inline(always)]
pub(super) unsafe fn products<S: Simd, P: WinogradTransform<A, M>, const A: usize, const M: usize>(
    s: S,
    layer: &Winograd,
    task: usize,
    tiles: usize,
    context: &Context<'_>,
) {
    let (share, rows) = layer.division.share(task, layer.panels.len(), A);
    if S::Widest::BLOCKS > 1 && tiles == in_register::TILES {
        // SAFETY: the caller's promises.
        unsafe { in_register::products::<S, P, A, M>(s, layer, share, rows, context) };
        return;
    }
    let panels = &layer.panels[share.clone()];
    let before: usize = layer.panels[..share.start].iter().sum();
    let mut channels = 0;
    for (at, segments) in layer.segments.chunks(CHUNK).enumerate() {
        let depth: usize = segments.iter().map(|segment| segment.count).sum();
        let mut block = before;
        for &blocks in panels {
            let lanes = blocks * LANES;
            let taps = (block * layer.depth * LANES + channels * lanes) * TAPS;
            let taps = context.weights(layer.weights).wrapping_add(taps);
            let position = odd_lines(depth * lanes);
            let to = context.thread_scratch;
            let filters = Filters { taps, depth, blocks };
            // SAFETY: weights were packed for these panels and channels; the transformed ones fit the scratch memory of
            // this thread.
            s.widest().call(unsafe { Transform::<P, A, M>::new(filters, to, position, rows.clone()) });
            // Meanwhile weights that are needed next are prefetched, a part of them at each position.
            let count = depth * lanes * TAPS;
            let part = count.div_ceil(A * rows.len());
            let next = taps.wrapping_add(if panels.len() > 1 { layer.depth * lanes * TAPS } else { count });
            for number in A * rows.start..A * rows.end {
                let inputs = context.scratch.wrapping_add(number * layer.input_position_stride());
                let products = A * A * layer.input_position_stride() + number * layer.output_position_stride();
                let panel = Panel {
                    blocks,
                    weights: to.wrapping_add(number * position),
                    bias: if at == 0 { context.weights(layer.zeros) } else { std::ptr::null() },
                    output: context.scratch.wrapping_add(products + block * layer.group * LANES),
                    plane: layer.group * LANES,
                    clamp: Clamp::NONE,
                    prefetch: (next.wrapping_add((number - A * rows.start) * part), part),
                };
                let cursor = TileCursor::new(usize::MAX, 0, TILE_STRIDE, TILE_STRIDE);
                // SAFETY: inputs and products of one position lie within the scratch memory, the products of these
                // panels are this task's alone and hold the sums of the channels before; the weights were transformed
                // just now.
                unsafe { multiply(s, segments, inputs, cursor, tiles, &panel) };
            }
            block += blocks;
        }
        channels += depth;
    }
}

/// Filters of `depth` input channels by a panel of `blocks` blocks of output channels, as [`pack`] leaves them.
struct Filters {
    taps: *const f32,
    depth: usize,
    blocks: usize,
}

/// The transform of filters to vectors at some rows of `A * A` positions, `position` values apart.
struct Transform<P: WinogradTransform<A, M>, const A: usize, const M: usize> {
    filters: Filters,
    to: *mut f32,
    position: usize,
    rows: Range<usize>,
    transform: PhantomData<P>,
}

impl<P: WinogradTransform<A, M>, const A: usize, const M: usize> Transform<P, A, M> {
    /// # Safety
    /// Until the transform is run:
    /// * `filters.taps` is valid for reading `depth * blocks * LANES` filters of [`TAPS`] values, and [`READ_PADDING`]
    ///   values more,
    /// * `to` plus `position` times each position of `rows` is valid for writing `depth * blocks * LANES` values, which
    ///   no other thread reads or writes.
    #[inline(always)]
    unsafe fn new(filters: Filters, to: *mut f32, position: usize, rows: Range<usize>) -> Self {
        Self { filters, to, position, rows, transform: PhantomData }
    }
}

impl<P: WinogradTransform<A, M>, const A: usize, const M: usize> Kernel for Transform<P, A, M> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Filters { taps: from, depth, blocks: all } = self.filters;
        for input in 0..depth {
            for block in (0..all).step_by(S::BLOCKS) {
                let blocks = S::BLOCKS.min(all - block);
                let mask = s.mask(blocks);
                let lanes = (input * all + block) * LANES;
                let mut taps = [s.splat(0.0); TAPS];
                for tap in 0..TAPS {
                    let from = from.wrapping_add(lanes * TAPS + tap * blocks * LANES);
                    // SAFETY: a vector of the weights of one of `depth` input channels, or a part of it with what lies
                    // after.
                    taps[tap] = unsafe { s.load(from) };
                }
                // The filter's columns transformed.
                let left = P::weights(s, [taps[0], taps[3], taps[6]]);
                let middle = P::weights(s, [taps[1], taps[4], taps[7]]);
                let right = P::weights(s, [taps[2], taps[5], taps[8]]);
                for y in 0..A {
                    if !self.rows.contains(&y) {
                        continue;
                    }
                    let row = P::weights(s, [left[y], middle[y], right[y]]);
                    for x in 0..A {
                        let to = self.to.wrapping_add((y * A + x) * self.position + lanes);
                        // SAFETY: the vector of these weights at one position.
                        unsafe { s.store_masked(to, mask, row[x]) };
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_have_every_panel_at_every_position_once() {
        for rows in [4, 6] {
            for panels in 1..20 {
                for threads in 1..8 {
                    let division = Division::new(panels, threads);
                    let mut times = vec![0; panels * rows];
                    for task in 0..division.tasks() {
                        let (panels, part) = division.share(task, panels, rows);
                        assert!(!panels.is_empty() && !part.is_empty(), "task {task} of {division:?}");
                        panels.for_each(|panel| part.clone().for_each(|row| times[panel * rows + row] += 1));
                    }
                    assert!(times.iter().all(|&times| times == 1), "{panels} panels, {threads} threads: {times:?}");
                }
            }
        }
    }
}
