//! The part of a running program that steps see.
#![allow(unsafe_code)]

use super::buffer::{PackedSlice, PackedWeights};

/// The memory of a run. Steps write to disjoint parts of it from several threads, so it is pointers and not slices.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    /// Maps: `images` times `image_stride` values.
    pub(super) maps: *mut f32,
    /// Values of the maps of one image.
    pub(crate) image_stride: usize,
    /// Images of this run.
    pub(crate) images: usize,
    /// Values between phases, shared by all threads.
    pub(crate) scratch: *mut f32,
    /// Values of one thread alone.
    pub(crate) thread_scratch: *mut f32,
    pub(super) weights: &'a PackedWeights,
    /// The images, each `[C, H, W]`.
    pub(crate) pixels: &'a [&'a [f32]],
    pub(crate) lists: Lists<'a>,
}

/// The flat lists of values outside maps: the output of inference, and what training reads and writes.
#[derive(Clone, Copy)]
pub(crate) struct Lists<'a> {
    pub(crate) parameters: &'a [f32],
    /// The output, one image after the other.
    pub(crate) outputs: *mut f32,
    /// The gradient of the outputs, one image after the other.
    pub(crate) output_gradient: &'a [f32],
    /// The gradients of all parameters, in the backward pass.
    pub(crate) gradients: *mut f32,
    /// The statistics of all normalizations, in the forward pass.
    pub(crate) statistics: *mut f32,
    /// The seed of dropout.
    pub(crate) seed: u64,
    /// What the normalization of the next step takes from the whole batch, of which this is a part.
    pub(crate) whole: Option<Whole<'a>>,
}

/// The sums of a normalization over all parts of a batch.
#[derive(Clone, Copy)]
pub(crate) struct Whole<'a> {
    /// Images of all parts.
    pub(crate) images: usize,
    /// The two sums of each channel, `[2, channels]`.
    pub(crate) sums: &'a [f64],
}

impl Lists<'_> {
    /// No lists.
    pub(crate) const NONE: Self = Self {
        parameters: &[],
        outputs: std::ptr::null_mut(),
        output_gradient: &[],
        gradients: std::ptr::null_mut(),
        statistics: std::ptr::null_mut(),
        seed: 0,
        whole: None,
    };
}

impl Context<'_> {
    /// The memory of the maps of image `index`, which must be below `images`.
    #[inline(always)]
    pub(crate) fn memory(&self, index: usize) -> *mut f32 {
        debug_assert!(index < self.images);
        self.maps.wrapping_add(index * self.image_stride)
    }

    /// The first value of a slice of the packed weights.
    #[inline(always)]
    pub(crate) fn weights(&self, slice: PackedSlice) -> *const f32 {
        self.weights.as_ptr(slice)
    }

    /// The same for the steps that write it, in training.
    #[inline(always)]
    pub(crate) fn weights_mut(&self, slice: PackedSlice) -> *mut f32 {
        self.weights.as_ptr(slice)
    }
}

/// A context that threads share.
pub(super) struct Shared<'a>(pub(super) Context<'a>);

// SAFETY: the pointers are to memory that the run borrows mutably; the contract of `Step::run` gives each task its own
// part of it.
unsafe impl Sync for Shared<'_> {}
