//! Interpolation after a 1x1 convolution instead of before it.
//!
//! Both are linear, one over channels and the other over pixels, and an interpolation's weights add up to one, so that
//! they may be exchanged: `conv(upsample(a), b) = upsample(conv(a)) + conv(b)`, where the bias counts once. The
//! convolution of `a` then has the pixels of the small map, a quarter in FC-HarDNet's decoder, and fewer channels are
//! interpolated.

use hardnet_graph::Alignment;

use super::fuse::{FUSED, WITHIN_FUSED};
use super::halo::Demand;
use super::inference::Data;
use super::layers::{Node, Op};
use crate::algorithm::Algorithm;
use crate::inference::step::StepInfo;
use crate::map::{Halo, Shape};

/// A 1x1 convolution whose first inputs are interpolated maps that nothing else reads.
#[derive(Clone, Debug)]
pub(super) struct Commuted {
    /// The convolution.
    pub(super) conv: usize,
    /// Its interpolated inputs, and the maps that they are interpolated from.
    interpolated: Vec<usize>,
    pub(super) sources: Vec<usize>,
    /// Its other inputs.
    pub(super) others: Vec<usize>,
    pub(super) alignment: Alignment,
    /// The convolution of the sources.
    pub(super) small: Shape,
}

impl Commuted {
    /// Those of a network with these outputs.
    pub(super) fn all(nodes: &[Node<Data>], outputs: &[usize]) -> Vec<Self> {
        let mut readers = vec![0; nodes.len()];
        nodes.iter().flat_map(|node| node.layer.op.inputs()).chain(outputs).for_each(|&map| readers[map] += 1);
        (1..nodes.len()).filter_map(|conv| Self::new(nodes, &readers, conv)).collect()
    }

    /// The convolution `conv`, if it is one and fewer values are interpolated.
    fn new(nodes: &[Node<Data>], readers: &[usize], conv: usize) -> Option<Self> {
        let Node { layer, data } = &nodes[conv];
        let Op::Conv { inputs, kernel: 1, stride: 1, .. } = &layer.op else { return None };
        if data.float_algorithm() != Some(Algorithm::Direct) {
            return None;
        }
        // A pool or a depthwise convolution may be fused with it instead.
        let is_fused = |node: &Node<Data>| matches!(node.layer.op, Op::Pool { .. } | Op::Depthwise { .. });
        if nodes.iter().any(|node| is_fused(node) && node.layer.op.inputs().contains(&conv)) {
            return None;
        }
        let upsample = |&map: &usize| match nodes[map].layer.op {
            Op::Upsample { input, alignment } if readers[map] == 1 => Some((input, alignment, nodes[input].layer.size)),
            _ => None,
        };
        let (_, alignment, size) = upsample(inputs.first()?)?;
        let alike = |&(_, other, of): &(usize, Alignment, Shape)| {
            other == alignment && (of.height, of.width) == (size.height, size.width)
        };
        let sources: Vec<usize> =
            inputs.iter().map_while(|map| upsample(map).filter(alike)).map(|(map, ..)| map).collect();
        let (interpolated, others) = inputs.split_at(sources.len());
        let channels: usize = sources.iter().map(|&map| nodes[map].layer.size.channels).sum();
        let fewer = layer.size.channels <= channels && size.height * size.width < layer.size.height * layer.size.width;
        let (interpolated, others) = (interpolated.to_vec(), others.to_vec());
        let small = Shape { channels: layer.size.channels, ..size };
        (fewer && !others.is_empty()).then_some(Self { conv, interpolated, sources, others, alignment, small })
    }

    /// Whether `map` is interpolated by the convolution's step and has no place.
    pub(super) fn interpolates(&self, map: usize) -> bool {
        self.interpolated.contains(&map)
    }

    /// The halos of the sources, which are read together.
    pub(super) fn demand(&self) -> Demand {
        let halo = Halo { down: self.small.height, right: self.small.width, ..Halo::default() };
        Demand { maps: self.sources.clone(), halo }
    }

    /// Counts the interpolations as the convolution.
    pub(super) fn merge_infos(&self, nodes: &[Node<Data>], infos: &mut [StepInfo]) {
        for &map in &self.interpolated {
            infos[map] = StepInfo { fused_into: Some(self.conv), ..StepInfo::new(WITHIN_FUSED) };
        }
        let maps = self.sources.iter().chain(&self.others).chain([&self.conv]);
        let values: usize = maps.map(|&map| nodes[map].layer.size.count()).sum();
        infos[self.conv].bytes = 4 * (values + 2 * self.small.count()) as u64;
        infos[self.conv].kernel = FUSED;
    }
}
