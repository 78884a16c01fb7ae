//! Which samples are loaded, and in which order.

/// Where a sample stands in the order, which it is, and how often it occurs before.
#[derive(Clone, Copy)]
pub(super) struct OrderedSample {
    pub(super) position: usize,
    pub(super) index: usize,
    pub(super) repeat: u32,
}

/// Which samples are loaded, by position.
#[derive(Default)]
pub(super) struct Order {
    pub(super) count: usize,
    /// All samples in their order if there is none.
    pub(super) indices: Option<Vec<u32>>,
    /// How often each occurs before; empty if none occurs twice.
    pub(super) repeats: Vec<u32>,
}

impl Order {
    pub(super) fn at(&self, position: usize) -> OrderedSample {
        let index = self.indices.as_ref().map_or(position, |indices| indices[position] as usize);
        OrderedSample { position, index, repeat: self.repeats.get(position).copied().unwrap_or(0) }
    }
}
