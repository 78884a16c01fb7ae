//! What a step sees of a running program.
#![allow(unsafe_code)]

use crate::memory::Piece;

/// The memory of a pass over a batch. Steps write to disjoint parts of it from several threads.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    /// Maps, scratch memory and packed weights.
    pub(super) base: crate::context::Context<'a>,
    /// The images, `[N, C, H, W]`.
    pub(super) pixels: &'a [f32],
    pub(super) parameters: &'a [f32],
    /// The gradient of the outputs, one image after the other.
    pub(super) output_gradient: &'a [f32],
    /// The gradients of all parameters, in the backward pass.
    pub(super) gradients: *mut f32,
    /// The statistics of all normalisations, in the forward pass.
    pub(super) statistics: *mut f32,
    /// What dropout follows from.
    pub(super) seed: u64,
}

impl Context<'_> {
    /// The memory of the maps of one image.
    pub(super) fn memory(&self, image: usize) -> *mut f32 {
        self.base.memory(image)
    }

    /// Images of this pass.
    pub(super) fn images(&self) -> usize {
        self.base.images
    }

    /// The first value of a piece, which steps write to.
    pub(super) fn at(&self, piece: Piece) -> *mut f32 {
        self.base.store.at(piece)
    }
}

/// A context that threads share: they write to parts of its memory that are theirs by their units.
pub(super) struct Shared<'a>(pub(super) Context<'a>);

// SAFETY: the pointers are to memory that the program borrows mutably during the pass; who writes where is settled by the claims on
// units.
unsafe impl Sync for Shared<'_> {}
