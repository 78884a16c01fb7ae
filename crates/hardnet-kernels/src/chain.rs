//! Layers computed together, some rows at a time, so that the maps between them never leave a level 2 cache.
//!
//! A chain is a sequence of layers each of which reads nothing but the one before: a 1x1 convolution and the depthwise
//! one or the pool behind it, or the image and everything up to the first depthwise convolution. A unit computes some rows of
//! the last map in turns. A turn asks every layer for the rows that the next one reads, and does not compute anew what
//! an earlier turn of the unit left; units next to each other compute the rows between them twice.
#![allow(unsafe_code)]

mod share;

use std::ops::Range as Rows;

use hardnet_graph::PoolKind;

use crate::context::Context;
use crate::depthwise;
use crate::direct::{self, Sums};
use crate::gemm::{self, Walk, multiply};
use crate::image::load_row;
use crate::map::{Frame, Layout};
use crate::memory::Piece;
use crate::window;
use hardnet_simd::{LANES, Simd};
use share::Share;

/// Layers of a chain at most.
pub(crate) const MAX_LINKS: usize = 4;

/// Values of the maps between the layers in one turn: less than half of a level 2 cache.
const TURN: usize = 48 << 10;

/// What a layer's window reads of the map before it, in rows.
#[derive(Clone, Copy, Debug)]
struct Reach {
    kernel: usize,
    stride: usize,
    top: usize,
}

impl Reach {
    /// The rows of the map before that `rows` of this one read; they may lie outside of it.
    fn of(self, rows: &Rows<isize>) -> Rows<isize> {
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
struct Link {
    work: Work,
    reach: Reach,
    /// Where some rows of the map lie in a thread's own memory; its size is that of the whole map.
    rows: Layout,
}

#[derive(Debug)]
enum Work {
    Load,
    Conv(Sums),
}

/// The last layer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Last {
    Depthwise { weights: Piece, bias: Piece, range: gemm::Range },
    Pool(PoolKind),
}

/// What is computed before the last layer.
#[derive(Clone, Copy)]
pub(crate) enum Before {
    /// The image.
    Load,
    /// A convolution, of the chain's inputs if it is the first layer.
    Conv(direct::Spec),
}

/// A chain to be made: the layers before the last, each with its map as it would lie in memory, and the last with its map.
pub(crate) struct Spec<'a> {
    /// Blocks of a vector.
    pub(crate) wide: usize,
    /// Maps that the first convolution reads, unless the chain begins with the image.
    pub(crate) inputs: &'a [Layout],
    pub(crate) before: Vec<(Before, Layout)>,
    pub(crate) last: Last,
    pub(crate) window: window::Side,
    pub(crate) output: Layout,
}

/// Output channels that a unit computes: their panels, of the one convolution of a chain of two layers, and their blocks.
#[derive(Clone, Debug)]
struct Group {
    panels: Rows<usize>,
    blocks: Rows<usize>,
}

/// A chain ready to run.
#[derive(Debug)]
pub(crate) struct Chain {
    links: Vec<Link>,
    last: Last,
    window: window::Side,
    output: Layout,
    groups: Vec<Group>,
    /// Output rows of a unit and of a turn, and units of a group.
    rows: usize,
    turn: usize,
    row_units: usize,
}

impl Chain {
    /// The chain of `spec` for `images` images on `threads` threads; `None` where the layers are faster one by one.
    pub(crate) fn new(spec: &Spec<'_>, images: usize, threads: usize) -> Option<Self> {
        let reach = Reach { kernel: spec.window.kernel, stride: spec.window.stride, top: spec.window.top };
        let mut links: Vec<Link> = Vec::with_capacity(spec.before.len());
        for (before, map) in &spec.before {
            let (work, reach) = match before {
                Before::Load => (Work::Load, Reach { kernel: 1, stride: 1, top: 0 }),
                Before::Conv(conv) => {
                    let reach = Reach { kernel: conv.kernel, stride: conv.stride, top: conv.padding.top };
                    let sums = match links.last() {
                        None => Sums::new(spec.inputs, map.size.blocks(), conv),
                        // Rows above are in the window of rows, not in a frame.
                        Some(link) => {
                            let mut conv = *conv;
                            conv.padding.top = 0;
                            Sums::new(&[link.rows], map.size.blocks(), &conv)
                        }
                    };
                    (Work::Conv(sums), reach)
                }
            };
            // Strides do not depend on how many rows there are; planes and offsets are set below.
            let frame = Frame { top: 0, ..map.frame };
            links.push(Link { work, reach, rows: Layout { frame, offset: 0, ..*map } });
        }
        let groups = groups(&links, spec.output.size.blocks());
        let share = Share::best(&links, reach, &groups, spec, images, threads)?;
        let mut chain = Self {
            links,
            last: spec.last,
            window: spec.window,
            output: spec.output,
            groups,
            rows: share.rows,
            turn: share.rows,
            row_units: spec.output.size.height.div_ceil(share.rows),
        };
        while chain.turn > 1 && chain.place(spec) > TURN {
            chain.turn = chain.turn.div_ceil(2);
        }
        chain.place(spec);
        Some(chain)
    }

    /// Gives every map between the layers its place in a thread's memory for the rows of a turn; the values that they need.
    fn place(&mut self, spec: &Spec<'_>) -> usize {
        let mut count = self.reach().count(self.turn);
        let mut counts = [0; MAX_LINKS];
        for (link, rows) in self.links.iter().zip(&mut counts).rev() {
            *rows = count;
            count = link.reach.count(count);
        }
        let most = self.groups.iter().map(|group| group.blocks.len()).max().unwrap_or(0);
        let mut offset = 0;
        let chained = self.links.len() > 1;
        for (at, rows) in counts.into_iter().enumerate().take(self.links.len()) {
            let previous = at.checked_sub(1).map(|at| self.links[at].rows);
            let link = &mut self.links[at];
            link.rows.frame.down = rows;
            link.rows.offset = offset;
            let planes = if chained { link.rows.planes() } else { most };
            offset += (planes * link.rows.plane()).next_multiple_of(LANES);
            if let (Some(previous), Work::Conv(_), Before::Conv(mut conv)) = (previous, &link.work, spec.before[at].0) {
                conv.padding.top = 0;
                link.work = Work::Conv(Sums::new(&[previous], link.rows.size.blocks(), &conv));
            }
        }
        offset
    }

    fn reach(&self) -> Reach {
        Reach { kernel: self.window.kernel, stride: self.window.stride, top: self.window.top }
    }

    /// Values of each thread's own memory.
    pub(crate) fn scratch(&self) -> usize {
        let most = self.groups.iter().map(|group| group.blocks.len()).max().unwrap_or(0);
        let last = self.links.last().map_or(0, |link| {
            let planes = if self.links.len() > 1 { link.rows.planes() } else { most };
            link.rows.offset + planes * link.rows.plane()
        });
        last.next_multiple_of(LANES)
    }

    /// Units of a run of `images` images.
    pub(crate) fn units(&self, images: usize) -> usize {
        images * self.row_units * self.groups.len()
    }

    /// Computes one unit.
    ///
    /// # Safety
    /// The layouts lie in the memory of each image of `context`, its own memory has [`Chain::scratch`] values, and no other thread
    /// has this unit of this step.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(&self, s: S, unit: usize, context: &Context<'_>) {
        let (unit, group) = (unit / self.groups.len(), &self.groups[unit % self.groups.len()]);
        let (image, row_unit) = (unit / self.row_units, unit % self.row_units);
        let memory = context.memory(image);
        if row_unit == 0 {
            for block in group.blocks.clone() {
                // SAFETY: the border is this unit's, the only one with the first rows of these blocks.
                unsafe { self.output.clear_border(memory, block) };
            }
        }
        let end = ((row_unit + 1) * self.rows).min(self.output.size.height);
        let mut held: [Rows<isize>; MAX_LINKS] = std::array::from_fn(|_| isize::MIN..isize::MIN);
        let mut start = row_unit * self.rows;
        while start < end {
            let rows = start..(start + self.turn).min(end);
            let mut fresh: [Rows<isize>; MAX_LINKS] = std::array::from_fn(|_| 0..0);
            let mut wanted = self.reach().of(&(rows.start as isize..rows.end as isize));
            for (at, link) in self.links.iter().enumerate().rev() {
                let kept = wanted.start..held[at].end.max(wanted.start);
                // SAFETY: rows that an earlier turn computed, in memory of this thread alone.
                unsafe { self.keep(link, group, &held[at], &kept, context) };
                fresh[at] = kept.end..wanted.end;
                held[at] = wanted;
                wanted = link.reach.of(&fresh[at]);
            }
            for (at, link) in self.links.iter().enumerate() {
                let before = at.checked_sub(1).map(|at| held[at].start);
                // SAFETY: what these rows read is in the chain's inputs or was computed just now.
                unsafe { self.link(s, link, group, image, fresh[at].clone(), held[at].start, before, context) };
            }
            let held = held[self.links.len() - 1].start;
            // SAFETY: rows of the output are this unit's, and what they read was computed just now.
            unsafe { self.finish(s, group, rows, held, memory, context) };
            start += self.turn;
        }
    }

    /// Planes of `link`'s rows that the unit has.
    #[inline(always)]
    fn planes(&self, link: &Link, group: &Group) -> usize {
        if self.links.len() > 1 { link.rows.planes() } else { group.blocks.len() }
    }

    /// Moves the rows `kept` of those that are `held` to the start of the window of rows.
    ///
    /// # Safety
    /// The rows lie in the thread's own memory.
    #[inline(always)]
    unsafe fn keep(&self, link: &Link, group: &Group, held: &Rows<isize>, kept: &Rows<isize>, context: &Context<'_>) {
        if kept.is_empty() || held.start == kept.start {
            return;
        }
        let (row, from) = (link.rows.row(), (kept.start - held.start) as usize);
        for plane in 0..self.planes(link, group) {
            let to = context.own.wrapping_add(link.rows.offset + plane * link.rows.plane());
            // SAFETY: the rows kept are some of those held, and lie in the plane before and after.
            unsafe { to.copy_from(to.wrapping_add(from * row), kept.len() * row) };
        }
    }

    /// Computes `rows` of `link`'s map, of which the window starts at row `held`, from the window of the map before, which starts
    /// at row `before`, or from the chain's inputs.
    ///
    /// # Safety
    /// As [`Chain::run`]; the rows lie in the window, and what they read in that before.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    unsafe fn link<S: Simd>(
        &self,
        s: S,
        link: &Link,
        group: &Group,
        image: usize,
        rows: Rows<isize>,
        held: isize,
        before: Option<isize>,
        context: &Context<'_>,
    ) {
        let map = &link.rows;
        let (row, pixels) = (map.row(), map.size.width * map.pixel());
        let inside = rows.start.max(0)..rows.end.min(map.size.height as isize);
        let left = map.frame.left * map.pixel();
        for plane in 0..self.planes(link, group) {
            for y in rows.clone() {
                let to = map.offset + plane * map.plane() + (y - held) as usize * row;
                let to = context.own.wrapping_add(to);
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
        let to = context.own.wrapping_add(map.offset + (inside.start - held) as usize * row + left);
        match &link.work {
            Work::Load => {
                for (at, y) in inside.enumerate() {
                    // SAFETY: a row of the window.
                    unsafe { load_row(map.size, context.pixels[image], y as usize, to.wrapping_add(at * row)) };
                }
            }
            Work::Conv(sums) => {
                let Reach { stride, top, .. } = link.reach;
                // The inputs of the chain have their rows above in their frames.
                let (from, first) = match before {
                    Some(before) => (context.own, inside.start * stride as isize - top as isize - before),
                    None => (context.memory(image), inside.start * stride as isize),
                };
                let from = from.wrapping_add(sums.input.0 + first as usize * (sums.input.1.row / stride));
                let walk = Walk::new(map.size.width, 0, sums.input.1, map.stride());
                let count = inside.len() * map.size.width;
                let panels = if self.links.len() > 1 { &sums.panels[..] } else { &sums.panels[group.panels.clone()] };
                let mut block = group.blocks.start;
                for &blocks in panels {
                    let to = to.wrapping_add((block - group.blocks.start) * map.plane());
                    let panel = sums.panel(context, blocks, block, to, map.plane());
                    // SAFETY: the windows of these pixels lie in the inputs' frames or in the rows before, the pixels in the window of
                    // rows, in planes of the group's blocks; weights were packed for these panels.
                    unsafe { multiply(s, &sums.runs, from, walk, count, &panel) };
                    block += blocks;
                }
            }
        }
    }

    /// Computes `rows` of the output from the window of the last map before, which starts at row `held`.
    ///
    /// # Safety
    /// As [`Chain::run`]; the window has what the rows read.
    #[inline(always)]
    unsafe fn finish<S: Simd>(
        &self,
        s: S,
        group: &Group,
        rows: Rows<usize>,
        held: isize,
        memory: *mut f32,
        context: &Context<'_>,
    ) {
        let map = &self.links[self.links.len() - 1].rows;
        let out = &self.output;
        let reach = self.reach();
        for block in group.blocks.clone() {
            let plane = map.offset + (block - group.blocks.start) * map.plane();
            let plane = plane + (map.frame.left - self.window.left) * LANES;
            // SAFETY: weights and biases were packed for every block; the windows of a row's outputs lie in the rows held, and the
            // outputs in the map.
            unsafe {
                match &self.last {
                    Last::Depthwise { weights, bias, range } => {
                        let first = reach.of(&(rows.start as isize..rows.start as isize + 1)).start - held;
                        let lines = depthwise::Rows {
                            stride: reach.stride,
                            range: *range,
                            from: context.own.add(plane + first as usize * map.row()),
                            row: map.row(),
                            to: memory.add(out.origin() + block * out.plane() + rows.start * out.row()),
                            to_row: out.row(),
                            count: rows.len(),
                            width: out.size.width,
                        };
                        let weights = context.weights(*weights).add(block * depthwise::SIDE * depthwise::SIDE * LANES);
                        lines.run(s, weights, context.weights(*bias).add(block * LANES));
                    }
                    Last::Pool(kind) => {
                        for y in rows.clone() {
                            let first = reach.of(&(y as isize..y as isize + 1)).start - held;
                            let line = window::Line {
                                from: context.own.add(plane + first as usize * map.row()),
                                row: map.row(),
                                rows: reach.kernel,
                                columns: map.size.width,
                                to: memory.add(out.origin() + block * out.plane() + y * out.row()),
                                width: out.size.width,
                            };
                            line.run(s, *kind, (reach.kernel, reach.kernel), reach.stride, 0);
                        }
                    }
                }
            }
        }
    }
}

/// One panel to a group where a single convolution is before the last layer, and all panels together elsewhere.
fn groups(links: &[Link], blocks: usize) -> Vec<Group> {
    match links {
        [Link { work: Work::Conv(sums), .. }] => {
            let mut block = 0;
            let group = |(panel, &blocks): (usize, &usize)| {
                block += blocks;
                Group { panels: panel..panel + 1, blocks: block - blocks..block }
            };
            sums.panels.iter().enumerate().map(group).collect()
        }
        _ => vec![Group { panels: 0..0, blocks: 0..blocks }],
    }
}
