//! Training on the CPU: a network's forward and backward pass with memory planned for both.
//!
//! A [`Builder`] takes the layers of a network, each with the maps that it reads; [`Builder::finish`] gives a
//! [`Program`], which computes outputs and the batch's statistics of a batch of images ([`Program::forward`]) and the
//! gradients of all parameters ([`Program::backward`]), those of the last layers first, which a [`GradientObserver`]
//! can have while the others are computed. Parameters, gradients and statistics are flat lists in the order in which
//! layers were added:
//!
//! * a convolution has its weights, `[out, in, k, k]`, then the scales and biases of its normalization, `[out]` each;
//!   its statistics are the means and the unbiased variances of the batch, `[out]` each;
//! * a linear layer has its weights, `[out, in]`, then its biases, `[out]`; it has no statistics.
//!
//! # How it computes
//!
//! Maps lie as in inference, in planes of eight channels, and a layer reads a list of them as if they were
//! concatenated. Two maps are saved of each normalized layer for the backward pass: the convolution's output, which the
//! gradient of that output later overwrites, and the layer's. The gradient of a map is gathered: one convolution, by
//! rotated filters, of the gradients of all layers that read the map, written once. The gradient of weights is a
//! product over pixels by outputs and inputs, both where they lie.
//!
//! A program may compute a part of a batch ([`BatchPart`]). The sums of its normalizations are then added to those of
//! the other parts, between the step that computes them and the one that uses them.
//!
//! Results do not depend on the number of threads, nor does a sum's order on who computes it.

mod observer;
mod part;
mod program;
pub(crate) mod step;

pub use crate::lower::training::Builder;
pub use crate::ops::dropout::dropout_keeps;
pub use observer::GradientObserver;
pub use part::{BatchPart, Stopped};
pub use program::Program;
