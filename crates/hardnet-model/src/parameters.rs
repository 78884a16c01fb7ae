//! Parameters between Candle and everything else.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use hardnet_graph::{Graph, ParamInfo};
use hardnet_params::{Parameters, WeightsFile};

use crate::error::Result;

/// The parameters of a file as f32 tensors on `device`, under PyTorch's names.
///
/// # Errors
///
/// [`Error::Quantized`](hardnet_params::Error::Quantized) for 8-bit weights, as [`Parameters::values`] of the file,
/// and Candle's, as where the device is out of memory.
pub fn var_builder(file: &WeightsFile, device: &Device) -> Result<VarBuilder<'static>> {
    file.expect_floats()?;
    let parameters = file.parameters();
    let tensor = |param: ParamInfo| {
        let values = parameters.values(&param)?;
        let tensor = Tensor::from_vec(values, &param.shape[..], &Device::Cpu)?.to_device(device)?;
        Ok((param.name, tensor))
    };
    let params = Graph::new(file.config())?.params();
    let tensors = params.into_iter().map(tensor).collect::<Result<HashMap<_, _>>>()?;
    Ok(VarBuilder::from_tensors(tensors, DType::F32, device))
}

/// The tensors of a [`VarBuilder`] as [`Parameters`], for a [`Plan`](crate::Plan) of a network that is trained on
/// Candle.
pub struct VarParameters<'a>(pub VarBuilder<'a>);

impl Parameters for VarParameters<'_> {
    fn values(&self, param: &ParamInfo) -> hardnet_params::Result<Vec<f32>> {
        let values = || self.0.get(param.shape.as_slice(), &param.name)?.flatten_all()?.to_vec1();
        values().map_err(|error| hardnet_params::Error::Source { name: param.name.clone(), source: Box::new(error) })
    }
}
