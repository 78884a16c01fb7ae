//! Which maps exist while a layer runs.

use hardnet_graph::{Graph, NodeId, Shape};

use crate::figures::{LayerFigures, elements};

/// Bytes of an element: maps are f32.
const ELEMENT_BYTES: u64 = 4;

/// How long maps are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Keep {
    /// Until their last reader is done.
    Links,
    /// As dense networks do: what a block reads and what each of its layers writes, until the block's output was read.
    /// Maps between the convolutions of one layer are dropped.
    Blocks,
}

/// The layers between which a map exists, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct Life {
    /// The layer that writes it.
    pub first: NodeId,
    /// The last that it is kept for.
    pub last: NodeId,
}

/// The life of every node's map. Outputs live to the end.
pub fn lives(graph: &Graph, keep: Keep) -> Vec<Life> {
    let count = graph.nodes().len();
    let mut lives: Vec<Life> =
        graph.last_readers().into_iter().enumerate().map(|(first, last)| Life { first, last }).collect();
    graph.outputs().iter().for_each(|&output| lives[output].last = count - 1);
    if keep == Keep::Blocks {
        for block in graph.blocks() {
            let end = block.outputs.iter().map(|&output| lives[output].last).max().unwrap_or(0);
            for &id in block.inputs.iter().chain(block.layers.iter().filter_map(|layer| layer.last())) {
                lives[id].last = lives[id].last.max(end);
            }
        }
    }
    lives
}

/// Bytes of the maps that exist while each layer runs; none beyond 64 bits.
pub(crate) fn live(graph: &Graph, figures: &[LayerFigures], keep: Keep) -> Option<Vec<u64>> {
    let lives = lives(graph, keep);
    let mut dying = vec![0_u64; figures.len()];
    let mut sums = Vec::with_capacity(figures.len());
    let mut alive = 0_u64;
    for (id, figures) in figures.iter().enumerate() {
        let own = bytes(figures.output)?;
        alive = alive.checked_add(own)?;
        dying[lives[id].last] += own;
        sums.push(alive);
        alive -= dying[id];
    }
    Some(sums)
}

/// Bytes of a map.
pub(crate) fn bytes(shape: Shape) -> Option<u64> {
    elements(shape)?.checked_mul(ELEMENT_BYTES)
}
