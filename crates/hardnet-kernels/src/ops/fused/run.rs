//! The tasks of a fused group: some rows of the last map, with the rows of all maps before that they need.

use std::ops::Range;

use hardnet_simd::{LANES, Simd};

use super::{ChannelGroup, FusedGroup, FusedStage, LastStage, MAX_STAGES, Reach, Work};
use crate::exec::context::Context;
use crate::gemm::{TileCursor, multiply};
use crate::ops::depthwise::{self, DepthwiseFilter, DepthwiseRows};
use crate::ops::load::load_row;
use crate::ops::pool::PoolRow;

impl FusedGroup {
    /// Computes one task.
    ///
    /// # Safety
    /// As [`Step::run`](crate::exec::program::Step::run).
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(&self, s: S, task: usize, context: &Context<'_>) {
        let (task, group) = (task / self.groups.len(), &self.groups[task % self.groups.len()]);
        let (image, row_task) = (task / self.row_tasks, task % self.row_tasks);
        let memory = context.memory(image);
        if row_task == 0 {
            for block in group.blocks.clone() {
                // SAFETY: the halo is this task's, the only one with the first rows of these blocks.
                unsafe { self.output.clear_halo(memory, block) };
            }
        }
        let end = ((row_task + 1) * self.rows).min(self.output.size.height);
        let mut held: [Range<isize>; MAX_STAGES] = std::array::from_fn(|_| isize::MIN..isize::MIN);
        let mut start = row_task * self.rows;
        while start < end {
            let rows = start..(start + self.round).min(end);
            let mut fresh: [Range<isize>; MAX_STAGES] = std::array::from_fn(|_| 0..0);
            let mut wanted = self.reach().rows(&(rows.start as isize..rows.end as isize));
            for (at, stage) in self.stages.iter().enumerate().rev() {
                let kept = wanted.start..held[at].end.max(wanted.start);
                // SAFETY: rows that an earlier round computed, in scratch memory of this thread.
                unsafe { self.keep_rows(stage, group, &held[at], &kept, context) };
                fresh[at] = kept.end..wanted.end;
                held[at] = wanted;
                wanted = stage.reach.rows(&fresh[at]);
            }
            for (at, stage) in self.stages.iter().enumerate() {
                let before = at.checked_sub(1).map(|at| held[at].start);
                // SAFETY: what these rows read is in the group's inputs or was computed just now.
                unsafe { self.stage(s, stage, group, image, fresh[at].clone(), held[at].start, before, context) };
            }
            let held = held[self.stages.len() - 1].start;
            // SAFETY: rows of the output are this task's, and what they read was computed just now.
            unsafe { self.finish(s, group, rows, held, memory, context) };
            start += self.round;
        }
    }

    /// Planes of `stage`'s rows that the task has.
    #[inline(always)]
    fn planes(&self, stage: &FusedStage, group: &ChannelGroup) -> usize {
        if self.stages.len() > 1 { stage.rows.planes() } else { group.blocks.len() }
    }

    /// Moves the rows `kept` of those that are `held` to the start of the window of rows.
    ///
    /// # Safety
    /// The rows lie in the thread's scratch memory.
    #[inline(always)]
    unsafe fn keep_rows(
        &self,
        stage: &FusedStage,
        group: &ChannelGroup,
        held: &Range<isize>,
        kept: &Range<isize>,
        context: &Context<'_>,
    ) {
        if kept.is_empty() || held.start == kept.start {
            return;
        }
        let (row, from) = (stage.rows.row(), (kept.start - held.start) as usize);
        for plane in 0..self.planes(stage, group) {
            let to = context.thread_scratch.wrapping_add(stage.rows.offset + plane * stage.rows.plane());
            // SAFETY: the rows kept are some of those held, and lie in the plane before and after.
            unsafe { to.copy_from(to.wrapping_add(from * row), kept.len() * row) };
        }
    }

    /// Computes `rows` of `stage`'s map, whose window starts at row `held`, from the window of the map before,
    /// which starts at row `before`, or from the group's inputs.
    ///
    /// # Safety
    /// As [`FusedGroup::run`]; the rows lie in the window, and what they read in that before.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    unsafe fn stage<S: Simd>(
        &self,
        s: S,
        stage: &FusedStage,
        group: &ChannelGroup,
        image: usize,
        rows: Range<isize>,
        held: isize,
        before: Option<isize>,
        context: &Context<'_>,
    ) {
        let map = &stage.rows;
        let (row, pixels) = (map.row(), map.size.width * map.pixel());
        let inside = rows.start.max(0)..rows.end.min(map.size.height as isize);
        let left = map.halo.left * map.pixel();
        for plane in 0..self.planes(stage, group) {
            for y in rows.clone() {
                let to = map.offset + plane * map.plane() + (y - held) as usize * row;
                let to = context.thread_scratch.wrapping_add(to);
                // SAFETY: one row of the window, or what lies left and right of its pixels.
                unsafe {
                    if inside.contains(&y) {
                        to.write_bytes(0, left);
                        to.add(left + pixels).write_bytes(0, row - left - pixels);
                    } else {
                        to.write_bytes(0, row);
                    }
                }
            }
        }
        if inside.is_empty() {
            return;
        }
        let to = context.thread_scratch.wrapping_add(map.offset + (inside.start - held) as usize * row + left);
        match &stage.work {
            Work::Load => {
                for (at, y) in inside.enumerate() {
                    // SAFETY: a row of the window.
                    unsafe { load_row(map.size, context.pixels[image], y as usize, to.wrapping_add(at * row)) };
                }
            }
            Work::Conv(gemm) => {
                let Reach { stride, top, .. } = stage.reach;
                // The inputs of the group have their rows above in their halos.
                let (from, first) = match before {
                    Some(before) => (context.thread_scratch, inside.start * stride as isize - top as isize - before),
                    None => (context.memory(image), inside.start * stride as isize),
                };
                let from = from.wrapping_add(first as usize * (gemm.stride.row / stride));
                let cursor = TileCursor::new(map.size.width, 0, gemm.stride, map.stride());
                let count = inside.len() * map.size.width;
                let panels = if self.stages.len() > 1 { &gemm.panels[..] } else { &gemm.panels[group.panels.clone()] };
                let mut block = group.blocks.start;
                for &blocks in panels {
                    let to = to.wrapping_add((block - group.blocks.start) * map.plane());
                    let panel = gemm.panel(context, (block, blocks), to, map.plane(), true);
                    // SAFETY: the windows of these pixels lie in the inputs' halos or in the rows before, the pixels in
                    // the window of rows, in planes of the group's blocks; weights were packed for these panels.
                    unsafe { multiply(s, &gemm.segments, from, cursor, count, &panel) };
                    block += blocks;
                }
            }
        }
    }

    /// Computes `rows` of the output from the window of the last map before, which starts at row `held`.
    ///
    /// # Safety
    /// As [`FusedGroup::run`]; the window has what the rows read.
    #[inline(always)]
    unsafe fn finish<S: Simd>(
        &self,
        s: S,
        group: &ChannelGroup,
        rows: Range<usize>,
        held: isize,
        memory: *mut f32,
        context: &Context<'_>,
    ) {
        let map = &self.stages[self.stages.len() - 1].rows;
        let out = &self.output;
        let reach = self.reach();
        for block in group.blocks.clone() {
            let plane = map.offset + (block - group.blocks.start) * map.plane();
            let plane = plane + (map.halo.left - self.window.left) * LANES;
            // SAFETY: weights and biases were packed for every block; the windows of a row's outputs lie in the rows
            // held, and the outputs in the map.
            unsafe {
                match &self.last {
                    LastStage::Depthwise(DepthwiseFilter { weights, bias, clamp }) => {
                        let first = reach.rows(&(rows.start as isize..rows.start as isize + 1)).start - held;
                        let lines = DepthwiseRows {
                            stride: reach.stride,
                            clamp: *clamp,
                            from: context.thread_scratch.add(plane + first as usize * map.row()),
                            row: map.row(),
                            to: memory.add(out.origin() + block * out.plane() + rows.start * out.row()),
                            to_row: out.row(),
                            count: rows.len(),
                            width: out.size.width,
                        };
                        let weights = context.weights(*weights).add(block * depthwise::TAPS * LANES);
                        lines.run(s, weights, context.weights(*bias).add(block * LANES));
                    }
                    LastStage::Pool(kind) => {
                        for y in rows.clone() {
                            let first = reach.rows(&(y as isize..y as isize + 1)).start - held;
                            let row = PoolRow {
                                from: context.thread_scratch.add(plane + first as usize * map.row()),
                                row: map.row(),
                                rows: reach.kernel,
                                columns: map.size.width,
                                to: memory.add(out.origin() + block * out.plane() + y * out.row()),
                                width: out.size.width,
                            };
                            row.run(s, *kind, (reach.kernel, reach.kernel), reach.stride, 0);
                        }
                    }
                }
            }
        }
    }
}
