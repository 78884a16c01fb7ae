//! How the rows of a fused group are divided into tasks, and whether the group is worth it.
//!
//! Times are modeled in cycles of a core with two fused multiply-adds of a vector in a cycle, of one block or two,
//! which is enough to choose between few rows, whose neighbors compute much twice, and few tasks, which leave threads
//! without work at the end.

use hardnet_simd::widest_blocks;

use super::{ChannelGroup, FusedSpec, FusedStage, Reach, Work};
use crate::map::{ChannelBlocks, Layout};

/// Cycles of a barrier of all threads.
const BARRIER: usize = 3000;

/// Cycles to claim a task.
const CLAIM: usize = 200;

/// Cycles of the last layer for a vector of its output, with what it reads in a cache.
const LAST: usize = 6;

/// Cycles more for each vector that a layer before wrote to memory for it, and that it reads from there.
const FETCH: usize = 4;

/// Bytes of inputs that stay in a level 2 cache while panel after panel reads them.
const CACHE: usize = 256 << 10;

/// Bytes that come from beyond that cache in a cycle.
const BEYOND: usize = 32;

/// Rows of the output that are a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) rows: usize,
}

impl Partition {
    /// The partition that is done first; `None` where one layer after the other is done earlier. Groups of more than
    /// two layers are always worth it: they begin with the image, whose maps are the largest.
    pub(super) fn best(
        stages: &[FusedStage],
        reach: Reach,
        groups: &[ChannelGroup],
        spec: &FusedSpec<'_>,
        images: usize,
        threads: usize,
    ) -> Option<Self> {
        let height = spec.output.size.height;
        let wide = widest_blocks(spec.isa);
        let model = Model { stages, reach, groups, inputs: spec.inputs, output: &spec.output, wide };
        let partitions = (1..=height.min(4 * threads.max(4))).map(|tasks| height.div_ceil(tasks));
        let (cycles, rows) = partitions.map(|rows| (model.cycles(rows, images, threads), rows)).min()?;
        (stages.len() > 1 || cycles < model.layer_by_layer(images, threads)).then_some(Self { rows })
    }
}

struct Model<'a> {
    stages: &'a [FusedStage],
    reach: Reach,
    groups: &'a [ChannelGroup],
    inputs: &'a [Layout],
    output: &'a Layout,
    /// Blocks of a vector.
    wide: usize,
}

impl Model<'_> {
    /// Cycles of all tasks of `rows` rows on `threads` threads, each task taken by the first that is free.
    fn cycles(&self, rows: usize, images: usize, threads: usize) -> usize {
        let height = self.output.size.height;
        let mut busy = vec![0; threads];
        for _ in 0..images {
            for start in (0..height).step_by(rows) {
                for group in self.groups {
                    let cycles = self.task(group, rows.min(height - start), rows < height);
                    if let Some(first) = busy.iter_mut().min() {
                        *first += cycles;
                    }
                }
            }
        }
        busy.into_iter().max().unwrap_or(0) + BARRIER
    }

    /// Cycles of a task; the whole map needs no rows beyond its own.
    fn task(&self, group: &ChannelGroup, rows: usize, part: bool) -> usize {
        let mut cycles = CLAIM + group.blocks.len() * rows * self.output.size.width * LAST / self.wide;
        let mut count = self.reach.count(rows);
        for stage in self.stages.iter().rev() {
            let size = stage.rows.size;
            let rows = if part { count.min(size.height) } else { size.height };
            if let Work::Conv(gemm) = &stage.work {
                let blocks = if self.stages.len() > 1 { size.blocks() } else { group.blocks.len() };
                cycles += blocks.div_ceil(self.wide) * rows * size.width * gemm.depth / 2;
            }
            count = stage.reach.count(count);
        }
        let channels: usize = self.inputs.iter().map(|input| input.size.channels).sum();
        let bytes =
            self.inputs.first().map_or(0, |input| 4 * channels * input.size.width * count.min(input.size.height));
        if self.groups.len() > 1 && bytes > CACHE {
            cycles += bytes / BEYOND;
        }
        cycles
    }

    /// Cycles of the layers one by one.
    fn layer_by_layer(&self, images: usize, threads: usize) -> usize {
        let size = self.output.size;
        let last = LAST + FETCH * self.reach.stride * self.reach.stride;
        let mut cycles = size.blocks() * size.height * size.width * last / self.wide;
        for stage in self.stages {
            let size = stage.rows.size;
            if let Work::Conv(gemm) = &stage.work {
                cycles += size.blocks().div_ceil(self.wide) * size.height * size.width * gemm.depth / 2;
            }
        }
        (cycles * images).div_ceil(threads) + BARRIER * (1 + self.stages.len())
    }
}
