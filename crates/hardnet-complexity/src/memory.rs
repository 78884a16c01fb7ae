//! Which maps exist while a layer runs.

use hardnet_graph::{Graph, NodeId, Shape};

use crate::figures::{LayerFigures, elements};

/// Bytes of an element: maps are f32.
const ELEMENT_BYTES: u64 = 4;

/// How long maps are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retention {
    /// Until their last reader is done.
    Links,
    /// As dense networks do: what a block reads and what each of its layers writes, until the block's output was read.
    /// Maps between the convolutions of one layer are dropped.
    Blocks,
}

/// The layers between which a map exists, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct Lifetime {
    /// The layer that writes it.
    pub first: NodeId,
    /// The last that it is kept for.
    pub last: NodeId,
}

/// Computes the lifetime of every node's map. Outputs are kept to the end.
pub fn lifetimes(graph: &Graph, retention: Retention) -> Vec<Lifetime> {
    let count = graph.nodes().len();
    let mut lifetimes: Vec<Lifetime> =
        graph.last_readers().into_iter().enumerate().map(|(first, last)| Lifetime { first, last }).collect();
    graph.outputs().iter().for_each(|&output| lifetimes[output].last = count - 1);
    if retention == Retention::Blocks {
        for block in graph.blocks() {
            let end = block.outputs.iter().map(|&output| lifetimes[output].last).max().unwrap_or(0);
            for &id in block.inputs.iter().chain(block.layers.iter().filter_map(|layer| layer.last())) {
                lifetimes[id].last = lifetimes[id].last.max(end);
            }
        }
    }
    lifetimes
}

/// Bytes of the maps that exist while each layer runs; none beyond 64 bits.
pub(crate) fn live(graph: &Graph, figures: &[LayerFigures], retention: Retention) -> Option<Vec<u64>> {
    let lifetimes = lifetimes(graph, retention);
    let mut dying = vec![0_u64; figures.len()];
    let mut sums = Vec::with_capacity(figures.len());
    let mut alive = 0_u64;
    for (id, figures) in figures.iter().enumerate() {
        let own = bytes(figures.output)?;
        alive = alive.checked_add(own)?;
        dying[lifetimes[id].last] += own;
        sums.push(alive);
        alive -= dying[id];
    }
    Some(sums)
}

/// Bytes of a map.
pub(crate) fn bytes(shape: Shape) -> Option<u64> {
    elements(shape)?.checked_mul(ELEMENT_BYTES)
}
