//! Which layers are computed together.

use hardnet_graph::Padding;

use super::{Algorithm, Builder, Op};
use crate::chain::{Before, Chain, Last, MAX_LINKS, Spec};
use crate::depthwise;
use crate::direct;
use crate::map::{Layout, Map};
use crate::step::StepInfo;
use crate::window::Side;
use hardnet_simd::widest_blocks;

/// The first and the last layer of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) first: usize,
    pub(super) last: usize,
}

impl Builder {
    /// The chains that are faster than their layers one by one; `layouts` need no offsets yet.
    pub(super) fn chains(&self, layouts: &[Layout], outputs: &[Map], images: usize) -> Vec<Ends> {
        let mut readers = vec![0; self.ops.len()];
        self.ops.iter().flat_map(|(_, op)| op.inputs()).for_each(|map| readers[map.0] += 1);
        outputs.iter().for_each(|map| readers[map.0] += 1);
        // Whether nothing but the layer behind it reads the map before `at`.
        let alone = |at: usize| self.ops[at].1.inputs() == [Map(at - 1)] && readers[at - 1] == 1;
        let conv = |at: usize| matches!(&self.ops[at].1, Op::Conv { algorithm: Algorithm::Direct, .. });
        let chain = |last: usize| {
            self.end(last)?;
            let mut first = last;
            while first > 0 && alone(first) && conv(first - 1) {
                first -= 1;
            }
            if first == 1 && alone(1) && last <= MAX_LINKS {
                first = 0;
            } else {
                // Maps in the middle of a network are small: one layer before the last.
                first = first.max(last - 1);
            }
            let ends = Ends { first, last };
            (first < last && self.chain(ends, layouts, images).is_some()).then_some(ends)
        };
        (1..self.ops.len()).filter_map(chain).collect()
    }

    /// The chain between `ends`.
    pub(super) fn chain(&self, ends: Ends, layouts: &[Layout], images: usize) -> Option<Chain> {
        let inputs: Vec<Layout> = self.ops[ends.first].1.inputs().iter().map(|map| layouts[map.0]).collect();
        let before = |at: usize| match &self.ops[at].1 {
            Op::Conv { conv, weights, bias, .. } => {
                let &super::Conv { kernel, stride, padding, range, .. } = conv;
                let (weights, bias) = (*weights, *bias);
                Before::Conv(direct::Spec { isa: self.isa, kernel, stride, padding, range, weights, bias })
            }
            _ => Before::Load,
        };
        let before = (ends.first..ends.last).map(|at| (before(at), layouts[at])).collect();
        let (last, window) = self.end(ends.last)?;
        let spec =
            Spec { wide: widest_blocks(self.isa), inputs: &inputs, before, last, window, output: layouts[ends.last] };
        Chain::new(&spec, images, self.team.size())
    }

    /// What layer `at` is as the last of a chain, and its window, if it can be one.
    fn end(&self, at: usize) -> Option<(Last, Side)> {
        match &self.ops[at].1 {
            Op::Depthwise { conv, weights, bias, .. } => {
                let Padding { top, left, .. } = conv.padding;
                let last = Last::Depthwise { weights: *weights, bias: *bias, range: conv.range };
                Some((last, Side { kernel: depthwise::SIDE, stride: conv.stride, top, left }))
            }
            // Padding is zeros between layers, and nothing to a maximum.
            Op::Pool { pool, .. } if pool.padding == Padding::default() => {
                Some((Last::Pool(pool.kind), Side { kernel: pool.kernel, stride: pool.stride, top: 0, left: 0 }))
            }
            _ => None,
        }
    }

    /// Counts the layers of a chain as its last.
    pub(super) fn merge_infos(&mut self, ends: Ends) {
        let inputs = self.ops[ends.first].1.inputs().iter().map(|map| self.ops[map.0].0.count()).sum::<usize>();
        let inputs = if ends.first == 0 { self.ops[0].0.count() } else { inputs };
        let mut whole = StepInfo { kernel: "chain", macs: 0, bytes: 0, weights: 0 };
        for info in &mut self.infos[ends.first..=ends.last] {
            whole.macs += info.macs;
            whole.weights += info.weights;
            *info = StepInfo::LATER;
        }
        whole.bytes = 4 * (inputs + self.ops[ends.last].0.count()) as u64;
        self.infos[ends.last] = whole;
    }
}
