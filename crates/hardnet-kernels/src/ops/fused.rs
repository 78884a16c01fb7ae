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
//! depthwise one or the pool after it, or the image and everything up to the first depthwise convolution. [`Partition`]
//! decides how many rows a task has, and whether the group is worth it. This file prepares a group; [`run`] computes
//! its tasks.
#![allow(unsafe_code)]

mod partition;
mod run;

use std::ops::Range;

use hardnet_graph::{Padding, PoolKind};
use hardnet_simd::{Isa, LANES};

use crate::map::{ChannelBlocks, Halo, Layout};
use crate::ops::conv::direct::{ConvGemm, ConvInput, PackedFilter, RowOrder};
use crate::ops::depthwise::DepthwiseFilter;
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
pub(crate) struct FusedSpec<'a> {
    pub(crate) isa: Isa,
    /// Maps that the first convolution reads, unless the group begins with the image.
    pub(crate) inputs: &'a [Layout],
    pub(crate) stages: Vec<(StageSpec, Layout)>,
    pub(crate) last: LastStage,
    pub(crate) window: LastWindow,
    pub(crate) output: Layout,
}

impl FusedSpec<'_> {
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
    pub(crate) fn new(spec: &FusedSpec<'_>, images: usize, threads: usize) -> Option<Self> {
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
    fn place(&mut self, spec: &FusedSpec<'_>) -> usize {
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
