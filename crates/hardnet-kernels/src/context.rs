//! What a step sees of a running program.

use crate::memory::{Piece, Store};

/// The memory of a run. Steps write to disjoint parts of it from several threads, so it is a pointer and not a slice.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    /// Maps: `images` times `image` values.
    pub(crate) maps: *mut f32,
    /// Values of the maps of one image.
    pub(crate) image: usize,
    /// Images of this run.
    pub(crate) images: usize,
    /// Values between layers of one step, shared by all threads.
    pub(crate) scratch: *mut f32,
    /// Values of one thread alone.
    pub(crate) own: *mut f32,
    /// Packed weights.
    pub(crate) store: &'a Store,
    /// The images, each `[C, H, W]`.
    pub(crate) pixels: &'a [&'a [f32]],
}

impl Context<'_> {
    /// The memory of the maps of image `index`, which must be below `images`.
    pub(crate) fn memory(&self, index: usize) -> *mut f32 {
        debug_assert!(index < self.images);
        self.maps.wrapping_add(index * self.image)
    }

    /// A piece of the packed weights.
    pub(crate) fn weights(&self, piece: Piece) -> *const f32 {
        self.store.get(piece).as_ptr()
    }
}
