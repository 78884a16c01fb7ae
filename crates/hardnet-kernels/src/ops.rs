//! Operations, a file or a folder each, forward and backward side by side.
//!
//! | operation | forward | backward |
//! |---|---|---|
//! | convolution | [`conv::direct`], [`conv::winograd`] | [`conv::input_gradient`], [`conv::weight_gradient`] |
//! | depthwise convolution | [`depthwise`] | [`depthwise::gradient`] |
//! | batch normalization and activation | folded into weights; in training [`batch_norm`] | [`batch_norm`] |
//! | pool, mean of a map | [`pool`] | [`pool`] |
//! | bilinear interpolation | [`upsample`] | [`upsample`] |
//! | linear layer | [`linear`] | [`linear`] |
//! | dropout | [`dropout`] | [`dropout`] |
//! | image, gradient of outputs | [`load`] | [`load`] |
//! | several layers together | [`fused`] | |
//! | layers of 8-bit integers, conversions | [`quantized`] | |
//!
//! A step knows layouts, packed weights and how its work is divided into tasks; `run` computes one task. Which step
//! computes a layer is decided in [`lower`](crate::lower).

pub(crate) mod batch_norm;
pub(crate) mod conv;
pub(crate) mod depthwise;
pub(crate) mod dropout;
pub(crate) mod fused;
pub(crate) mod linear;
pub(crate) mod load;
pub(crate) mod pool;
pub(crate) mod quantized;
pub(crate) mod store;
pub(crate) mod upsample;
