//! Convolutions over all channels of a list of maps.

pub(crate) mod direct;
pub(crate) mod input_gradient;
pub(crate) mod interpolated;
pub(crate) mod pack;
pub(crate) mod spread;
pub(crate) mod weight_gradient;
pub(crate) mod winograd;
