//! Where a plan's parameters come from.

use candle_nn::VarBuilder;

use crate::error::Result;
use crate::formula;
use hardnet_graph::ParamInfo;

/// A source of parameters, asked for each once.
pub trait Parameters {
    /// The values of `param` in the order of its shape.
    ///
    /// # Errors
    ///
    /// Where the source does not have it.
    fn values(&self, param: &ParamInfo) -> Result<Vec<f32>>;
}

impl Parameters for VarBuilder<'_> {
    fn values(&self, param: &ParamInfo) -> Result<Vec<f32>> {
        Ok(self.get(param.shape.as_slice(), &param.name)?.flatten_all()?.to_vec1()?)
    }
}

/// Parameters by [`formula::values`].
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::exhaustive_structs)]
pub struct Formula;

impl Parameters for Formula {
    fn values(&self, param: &ParamInfo) -> Result<Vec<f32>> {
        Ok(formula::values(&param.name, &param.shape))
    }
}
