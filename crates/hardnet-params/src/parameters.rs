//! Sources of parameters.

use hardnet_graph::ParamInfo;

use crate::error::Result;

/// A source of parameters; each is read once.
pub trait Parameters {
    /// The values of `param` in the order of its shape.
    ///
    /// # Errors
    ///
    /// Where the source does not have it.
    fn values(&self, param: &ParamInfo) -> Result<Vec<f32>>;
}
