//! How the rows of a chain are shared out, and whether a chain is worth it.
//!
//! Times are modelled in cycles of a core with two fused multiply-adds of a vector in a cycle, of one block or two, which is enough to
//! choose between few rows, whose neighbours compute much twice, and few units, which leave threads without work at the end.

use super::{Group, Link, Reach, Spec, Work};
use crate::map::Layout;

/// Cycles of a meeting of all threads.
const MEETING: usize = 3000;

/// Cycles to take a unit.
const UNIT: usize = 200;

/// Cycles of the last layer for a vector of its output, with what it reads in a cache.
const LAST: usize = 6;

/// Cycles more for each vector that a layer before wrote to memory for it, and that it reads from there.
const FETCH: usize = 4;

/// Bytes of inputs that stay in a level 2 cache while panel after panel reads them.
const CACHE: usize = 256 << 10;

/// Bytes that come from beyond that cache in a cycle.
const BEYOND: usize = 32;

/// Rows of the output that are a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) rows: usize,
}

impl Share {
    /// The share that is done first; `None` where one layer after the other is done earlier. Chains of more than two layers are
    /// always worth it: they begin with the image, whose maps are the largest.
    pub(super) fn best(
        links: &[Link],
        reach: Reach,
        groups: &[Group],
        spec: &Spec<'_>,
        images: usize,
        threads: usize,
    ) -> Option<Self> {
        let height = spec.output.size.height;
        let wide = spec.wide;
        let model = Model { links, reach, groups, inputs: spec.inputs, output: &spec.output, wide };
        let shares = (1..=height.min(4 * threads.max(4))).map(|units| height.div_ceil(units));
        let (cycles, rows) = shares.map(|rows| (model.cycles(rows, images, threads), rows)).min()?;
        (links.len() > 1 || cycles < model.apart(images, threads)).then_some(Self { rows })
    }
}

struct Model<'a> {
    links: &'a [Link],
    reach: Reach,
    groups: &'a [Group],
    inputs: &'a [Layout],
    output: &'a Layout,
    /// Blocks of a vector.
    wide: usize,
}

impl Model<'_> {
    /// Cycles of all units of `rows` rows on `threads` threads, each unit taken by the first that is free.
    fn cycles(&self, rows: usize, images: usize, threads: usize) -> usize {
        let height = self.output.size.height;
        let mut busy = vec![0; threads];
        for _ in 0..images {
            for start in (0..height).step_by(rows) {
                for group in self.groups {
                    let cycles = self.unit(group, rows.min(height - start), rows < height);
                    if let Some(first) = busy.iter_mut().min() {
                        *first += cycles;
                    }
                }
            }
        }
        busy.into_iter().max().unwrap_or(0) + MEETING
    }

    /// Cycles of a unit; the whole map needs no rows beyond its own.
    fn unit(&self, group: &Group, rows: usize, part: bool) -> usize {
        let mut cycles = UNIT + group.blocks.len() * rows * self.output.size.width * LAST / self.wide;
        let mut count = self.reach.count(rows);
        for link in self.links.iter().rev() {
            let size = link.rows.size;
            let rows = if part { count.min(size.height) } else { size.height };
            if let Work::Conv(sums) = &link.work {
                let blocks = if self.links.len() > 1 { size.blocks() } else { group.blocks.len() };
                cycles += blocks.div_ceil(self.wide) * rows * size.width * sums.depth / 2;
            }
            count = link.reach.count(count);
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
    fn apart(&self, images: usize, threads: usize) -> usize {
        let size = self.output.size;
        let last = LAST + FETCH * self.reach.stride * self.reach.stride;
        let mut cycles = size.blocks() * size.height * size.width * last / self.wide;
        for link in self.links {
            let size = link.rows.size;
            if let Work::Conv(sums) = &link.work {
                cycles += size.blocks().div_ceil(self.wide) * size.height * size.width * sums.depth / 2;
            }
        }
        (cycles * images).div_ceil(threads) + MEETING * (1 + self.links.len())
    }
}
