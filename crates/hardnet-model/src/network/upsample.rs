//! Bilinear interpolation on Candle: the reference of `hardnet-kernels`' `ops/upsample.rs`.
//!
//! Rows, then columns: each output pixel is a sum of the two that it lies between. Both are gathers, which every
//! backend has, with their gradients.

use candle_core::{Result, Tensor};
use hardnet_graph::{Alignment, Between};

/// Interpolates `x`, `[N, C, H, W]`, to `size`, rows and columns.
pub(super) fn bilinear(x: &Tensor, size: (usize, usize), alignment: Alignment) -> Result<Tensor> {
    let x = along(x, 2, size.0, alignment)?;
    along(&x, 3, size.1, alignment)
}

/// Interpolates along a dimension.
fn along(x: &Tensor, dim: usize, output: usize, alignment: Alignment) -> Result<Tensor> {
    let input = x.dim(dim)?;
    if input == output {
        return Ok(x.clone());
    }
    let between: Vec<Between> = (0..output).map(|at| alignment.between(at, output, input)).collect();
    let gather = |pixel: fn(&Between) -> usize, weight: fn(&Between) -> f64| {
        let index: Vec<u32> = between.iter().map(|between| pixel(between) as u32).collect();
        let weights: Vec<f64> = between.iter().map(weight).collect();
        let mut shape = [1; 4];
        shape[dim] = output;
        let weights = Tensor::from_vec(weights, &shape, x.device())?.to_dtype(x.dtype())?;
        x.contiguous()?.index_select(&Tensor::from_vec(index, output, x.device())?, dim)?.broadcast_mul(&weights)
    };
    gather(|between| between.first, |between| 1.0 - between.weight)?
        + gather(|between| between.second, |between| between.weight)?
}
