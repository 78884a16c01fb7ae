//! Fused layers: computed together, some rows at a time, so that the maps between them never leave a level 2 cache.
//!
//! The naive way computes layer by layer: a map is written to memory and read back. Depth-first execution computes, for
//! some rows of the last layer, the rows that they need of every layer before (Alwani, Chen, Ferdman and Milder,
//! "Fused-layer CNN accelerators", 2016):
//!
//! ```text
//! for task, some rows of the last map {
//!     for round, some of these rows {
//!         for stage {
//!             keep the rows that the round before left
//!             compute the fresh rows
//!         }
//!         compute the rows of the last layer
//!     }
//! }
//!
//! image  --3x3 of stride 2-->  map  --depthwise 3x3-->  last map
//! rows 9 .. 24                 rows 5 .. 12             rows 6 .. 11
//! ```
//!
//! Each stage has a window of rows in scratch memory of the thread. A round keeps the rows that it shares with the one
//! before; neighboring tasks compute the rows between them twice.
//!
//! A [`FusedGroup`] is a sequence of layers each of which alone reads the one before: a 1x1 convolution and the
//! depthwise one or the pool after it, or the image and everything up to the first depthwise convolution.
//! [`Partition`] decides how many rows a task has, and whether the group is worth it.
#![allow(unsafe_code)]

mod partition;

use std::ops::Range;

use hardnet_graph::{Padding, PoolKind};
use hardnet_simd::{Isa, LANES, Simd};

use crate::exec::context::Context;
use crate::gemm::{TileCursor, multiply};
use crate::map::{Halo, Layout};
use crate::ops::conv::direct::{ConvGemm, ConvInput, PackedFilter, RowOrder};
use crate::ops::depthwise::{self, DepthwiseFilter, DepthwiseRows};
use crate::ops::load::load_row;
use crate::ops::pool::PoolRow;
use partition::Partition;

/// Stages before the last layer at most.
pub(crate) const MAX_STAGES: usize = 4;

/// Values of the maps between the layers in one round: less than half of a level 2 cache.
const ROUND_VALUES: usize = 48 << 10;

/// The rows that a layer's windows read of the map before it.
#[derive(Clone, Copy, Debug)]
struct Reach {
    kernel: usize,
    stride: usize,
    top: usize,
}

impl Reach {
    /// The rows of the map before that `rows` of this one read; they may lie outside of it.
    fn rows(self, rows: &Range<isize>) -> Range<isize> {
        let first = |row: isize| row * self.stride as isize - self.top as isize;
        first(rows.start)..first(rows.end - 1) + self.kernel as isize
    }

    /// The number of rows that `count` rows read.
    fn count(self, count: usize) -> usize {
        (count - 1) * self.stride + self.kernel
    }
}

/// A layer other than the last.
#[derive(Debug)]
struct FusedStage {
    work: Work,
    reach: Reach,
    /// Where the window of rows lies in a thread's scratch memory; its size is that of the whole map.
    rows: Layout,
}

#[derive(Debug)]
enum Work {
    Load,
    Conv(ConvGemm),
}

/// The last layer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LastStage {
    Depthwise(DepthwiseFilter),
    Pool(PoolKind),
}

/// The windows of the last layer, in rows and columns alike but for the padding above and on the left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastWindow {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) top: usize,
    pub(crate) left: usize,
}

/// A layer other than the last, to be made ready.
#[derive(Clone, Copy)]
pub(crate) enum StageSpec {
    /// The image.
    Load,
    /// A convolution, of the group's inputs if it is the first layer.
    Conv { kernel: usize, stride: usize, padding: Padding, filter: PackedFilter },
}

/// A group to be made ready: the layers before the last, each with its map as it would lie in memory, and the last with
/// its map.
pub(crate) struct Spec<'a> {
    pub(crate) isa: Isa,
    /// Maps that the first convolution reads, unless the group begins with the image.
    pub(crate) inputs: &'a [Layout],
    pub(crate) stages: Vec<(StageSpec, Layout)>,
    pub(crate) last: LastStage,
    pub(crate) window: LastWindow,
    pub(crate) output: Layout,
}

impl Spec<'_> {
    /// The product of a convolution for `blocks` blocks of output channels, of the rows of the stage before or of the
    /// inputs.
    fn gemm(&self, stage: &StageSpec, previous: Option<Layout>, blocks: usize) -> Option<ConvGemm> {
        let &StageSpec::Conv { kernel, stride, mut padding, filter } = stage else { return None };
        let inputs: Vec<ConvInput> = match previous {
            // Rows above are in the window of rows, not in a halo.
            Some(layout) => {
                padding.top = 0;
                vec![ConvInput { layout, kernel, padding }]
            }
            None => self.inputs.iter().map(|&layout| ConvInput { layout, kernel, padding }).collect(),
        };
        Some(ConvGemm::new(self.isa, &inputs, RowOrder::Taps, stride, blocks, filter))
    }
}

/// Output channels that a task computes: their panels, of the one convolution of a group of two layers, and their
/// blocks.
#[derive(Clone, Debug)]
struct ChannelGroup {
    panels: Range<usize>,
    blocks: Range<usize>,
}

/// A group ready to run.
#[derive(Debug)]
pub(crate) struct FusedGroup {
    stages: Vec<FusedStage>,
    last: LastStage,
    window: LastWindow,
    output: Layout,
    groups: Vec<ChannelGroup>,
    /// Output rows of a task and of a round, and tasks of an image for each group of channels.
    rows: usize,
    round: usize,
    row_tasks: usize,
}

impl FusedGroup {
    /// The group of `spec` for `images` images on `threads` threads; `None` where the layers are expected to be faster
    /// one by one.
    pub(crate) fn new(spec: &Spec<'_>, images: usize, threads: usize) -> Option<Self> {
        let reach = Reach { kernel: spec.window.kernel, stride: spec.window.stride, top: spec.window.top };
        let mut stages: Vec<FusedStage> = Vec::with_capacity(spec.stages.len());
        for (stage, map) in &spec.stages {
            let previous = stages.last().map(|stage| stage.rows);
            let (work, reach) = match stage {
                StageSpec::Load => (Work::Load, Reach { kernel: 1, stride: 1, top: 0 }),
                StageSpec::Conv { kernel, stride, padding, .. } => {
                    let reach = Reach { kernel: *kernel, stride: *stride, top: padding.top };
                    (Work::Conv(spec.gemm(stage, previous, map.size.blocks())?), reach)
                }
            };
            // Strides do not depend on how many rows there are; planes and offsets are set below.
            let halo = Halo { top: 0, ..map.halo };
            stages.push(FusedStage { work, reach, rows: Layout { halo, offset: 0, ..*map } });
        }
        let groups = groups(&stages, spec.output.size.blocks());
        let partition = Partition::best(&stages, reach, &groups, spec, images, threads)?;
        let mut group = Self {
            stages,
            last: spec.last,
            window: spec.window,
            output: spec.output,
            groups,
            rows: partition.rows,
            round: partition.rows,
            row_tasks: spec.output.size.height.div_ceil(partition.rows),
        };
        while group.round > 1 && group.place(spec) > ROUND_VALUES {
            group.round = group.round.div_ceil(2);
        }
        group.place(spec);
        Some(group)
    }

    /// Gives every map between the layers its place in a thread's memory for the rows of a round; the values that they
    /// need.
    fn place(&mut self, spec: &Spec<'_>) -> usize {
        let mut count = self.reach().count(self.round);
        let mut counts = [0; MAX_STAGES];
        for (stage, rows) in self.stages.iter().zip(&mut counts).rev() {
            *rows = count;
            count = stage.reach.count(count);
        }
        let most = self.groups.iter().map(|group| group.blocks.len()).max().unwrap_or(0);
        let mut offset = 0;
        let several = self.stages.len() > 1;
        for (at, rows) in counts.into_iter().enumerate().take(self.stages.len()) {
            let previous = at.checked_sub(1).map(|at| self.stages[at].rows);
            let stage = &mut self.stages[at];
            stage.rows.halo.down = rows;
            stage.rows.offset = offset;
            let planes = if several { stage.rows.planes() } else { most };
            offset += (planes * stage.rows.plane()).next_multiple_of(LANES);
            if let Some(previous) = previous
                && let Some(gemm) = spec.gemm(&spec.stages[at].0, Some(previous), stage.rows.size.blocks())
            {
                stage.work = Work::Conv(gemm);
            }
        }
        offset
    }

    fn reach(&self) -> Reach {
        Reach { kernel: self.window.kernel, stride: self.window.stride, top: self.window.top }
    }

    /// Values of scratch memory of each thread.
    pub(crate) fn scratch(&self) -> usize {
        let most = self.groups.iter().map(|group| group.blocks.len()).max().unwrap_or(0);
        let last = self.stages.last().map_or(0, |stage| {
            let planes = if self.stages.len() > 1 { stage.rows.planes() } else { most };
            stage.rows.offset + planes * stage.rows.plane()
        });
        last.next_multiple_of(LANES)
    }

    /// Tasks of a run of `images` images.
    pub(crate) fn tasks(&self, images: usize) -> usize {
        images * self.row_tasks * self.groups.len()
    }

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

/// One panel to a group where a single convolution is before the last layer, and all panels together elsewhere.
fn groups(stages: &[FusedStage], blocks: usize) -> Vec<ChannelGroup> {
    match stages {
        [FusedStage { work: Work::Conv(gemm), .. }] => {
            let mut block = 0;
            let group = |(panel, &blocks): (usize, &usize)| {
                block += blocks;
                ChannelGroup { panels: panel..panel + 1, blocks: block - blocks..block }
            };
            gemm.panels.iter().enumerate().map(group).collect()
        }
        _ => vec![ChannelGroup { panels: 0..0, blocks: 0..blocks }],
    }
}
