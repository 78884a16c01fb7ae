//! The choice of layers that are computed together.

use hardnet_graph::Padding;
use hardnet_simd::Isa;

use super::inference::Data;
use super::layers::{IMAGE, Node, Op};
use crate::algorithm::Algorithm;
use crate::inference::step::StepInfo;
use crate::map::Layout;
use crate::ops::depthwise::{self, DepthwiseFilter};
use crate::ops::fused::{FusedGroup, FusedSpec, LastStage, LastWindow, MAX_STAGES, StageSpec};

/// The layers `first..=last` of a fused group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: usize,
    pub(super) last: usize,
}

impl Span {
    /// Whether layer `at` is one of them.
    pub(super) fn contains(self, at: usize) -> bool {
        (self.first..=self.last).contains(&at)
    }
}

/// Finds groups in a network.
pub(super) struct Fuser<'a> {
    pub(super) nodes: &'a [Node<Data>],
    pub(super) isa: Isa,
    pub(super) threads: usize,
    pub(super) images: usize,
}

impl Fuser<'_> {
    /// The groups that are expected to be faster than their layers one by one; `layouts` need no offsets yet.
    pub(super) fn spans(&self, layouts: &[Layout], outputs: &[usize]) -> Vec<Span> {
        let mut readers = vec![0; self.nodes.len()];
        self.nodes.iter().flat_map(|node| node.layer.op.inputs()).for_each(|&map| readers[map] += 1);
        outputs.iter().for_each(|&map| readers[map] += 1);
        // Whether layer `at` alone reads the map before it, and reads nothing else.
        let alone = |at: usize| self.nodes[at].layer.op.inputs() == [at - 1] && readers[at - 1] == 1;
        let conv = |at: usize| {
            let node = &self.nodes[at];
            matches!(node.layer.op, Op::Conv { .. }) && node.data.float_algorithm() == Some(Algorithm::Direct)
        };
        let span = |last: usize| {
            self.last(last)?;
            let mut first = last;
            while first > 0 && alone(first) && conv(first - 1) {
                first -= 1;
            }
            if first == 1 && alone(1) && last <= MAX_STAGES {
                first = IMAGE;
            } else {
                // Maps in the middle of a network are small: one layer before the last.
                first = first.max(last - 1);
            }
            let span = Span { first, last };
            (first < last && self.group(span, layouts).is_some()).then_some(span)
        };
        (1..self.nodes.len()).filter_map(span).collect()
    }

    /// The group of the layers of `span`.
    pub(super) fn group(&self, span: Span, layouts: &[Layout]) -> Option<FusedGroup> {
        let inputs: Vec<Layout> = self.nodes[span.first].layer.op.inputs().iter().map(|&map| layouts[map]).collect();
        let stage = |at: usize| {
            let node = &self.nodes[at];
            match node.layer.op {
                Op::Conv { kernel, stride, padding, .. } => {
                    StageSpec::Conv { kernel, stride, padding, filter: node.data.filter }
                }
                _ => StageSpec::Load,
            }
        };
        let stages = (span.first..span.last).map(|at| (stage(at), layouts[at])).collect();
        let (last, window) = self.last(span.last)?;
        let spec = FusedSpec { isa: self.isa, inputs: &inputs, stages, last, window, output: layouts[span.last] };
        FusedGroup::new(&spec, self.images, self.threads)
    }

    /// Layer `at` as the last of a group, and its window, if it can be one.
    fn last(&self, at: usize) -> Option<(LastStage, LastWindow)> {
        let Node { layer, data } = &self.nodes[at];
        data.float_algorithm()?;
        match layer.op {
            Op::Depthwise { stride, padding: Padding { top, left, .. }, .. } => {
                let (weights, bias, clamp) = (data.filter.weights, data.filter.bias, data.filter.clamp);
                let last = LastStage::Depthwise(DepthwiseFilter { weights, bias, clamp });
                Some((last, LastWindow { kernel: depthwise::SIDE, stride, top, left }))
            }
            // Padding is zeros between layers, and nothing to a maximum.
            Op::Pool { pool, .. } if pool.padding == Padding::default() => {
                let window = LastWindow { kernel: pool.kernel, stride: pool.stride, top: 0, left: 0 };
                Some((LastStage::Pool(pool.kind), window))
            }
            _ => None,
        }
    }

    /// Counts the layers of `span` as its last.
    pub(super) fn merge_infos(&self, span: Span, infos: &mut [StepInfo]) {
        let count = |at: usize| self.nodes[at].layer.size.count();
        let inputs = match span.first {
            IMAGE => count(IMAGE),
            first => self.nodes[first].layer.op.inputs().iter().map(|&map| count(map)).sum(),
        };
        let mut whole = StepInfo::new(FUSED);
        for info in &mut infos[span.first..=span.last] {
            whole.macs += info.macs;
            whole.weights += info.weights;
            *info = StepInfo { fused_into: Some(span.last), ..StepInfo::new(WITHIN_FUSED) };
        }
        whole.bytes = 4 * (inputs + count(span.last)) as u64;
        infos[span.last] = whole;
    }
}

/// The kernel of the last of fused layers, and of those before it, for reports.
pub(super) const FUSED: &str = "fused";
pub(super) const WITHIN_FUSED: &str = "within fused";
