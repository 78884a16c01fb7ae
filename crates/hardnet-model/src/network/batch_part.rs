//! Batch normalization of a part of a batch by the statistics of all parts, in operations of Candle.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor, Var};
use candle_nn::BatchNorm;
use hardnet_kernels::training::BatchPart;

/// The normalized `x`, `[N, C, H, W]`, of which `part` has N images. Moves the running statistics if the part does.
pub(super) fn normalize(norm: &BatchNorm, x: &Tensor, part: &Arc<dyn BatchPart>) -> Result<Tensor> {
    let (_, channels, height, width) = x.dims4()?;
    let count = (part.images() * height * width) as f64;
    let per_channel = |values: &Tensor| values.reshape((1, channels, 1, 1));
    let mean = (total(x, part)? / count)?;
    let centered = x.broadcast_sub(&per_channel(&mean)?)?;
    let squares = total(&centered.sqr()?, part)?;
    if part.updates_running_statistics() {
        let momentum = norm.momentum();
        let batch = [(norm.running_mean(), mean), (norm.running_var(), (&squares / (count - 1.0))?)];
        for (running, batch) in batch {
            // It is a variable, which this shares.
            let moved = ((running * (1.0 - momentum))? + (batch.detach() * momentum)?)?;
            Var::from_tensor(running)?.set(&moved)?;
        }
    }
    let deviation = ((squares / count)? + norm.eps())?.sqrt()?;
    let y = centered.broadcast_div(&per_channel(&deviation)?)?;
    match norm.weight_and_bias() {
        Some((weight, bias)) => y.broadcast_mul(&per_channel(weight)?)?.broadcast_add(&per_channel(bias)?),
        None => Ok(y),
    }
}

/// The sum of each channel of `[N, C, H, W]` over all parts, `[C]`.
fn total(x: &Tensor, part: &Arc<dyn BatchPart>) -> Result<Tensor> {
    let own = x.sum((0, 2, 3))?;
    let values = own.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.contiguous()?;
    values.apply_op1(AllReduce(Arc::clone(part)))?.to_dtype(x.dtype())?.to_device(x.device())
}

/// The sum of a tensor over all parts. So is its gradient, as every part's loss depends on the sum.
struct AllReduce(Arc<dyn BatchPart>);

impl CustomOp1 for AllReduce {
    fn name(&self) -> &'static str {
        "all-reduce"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let values = storage.as_slice::<f64>()?;
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("expected values in a row, got strides {:?}", layout.stride());
        };
        let mut values = values[start..end].to_vec();
        self.0.all_reduce(&mut values).map_err(candle_core::Error::wrap)?;
        Ok((CpuStorage::F64(values), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        gradient.contiguous()?.apply_op1_no_bwd(&Self(Arc::clone(&self.0))).map(Some)
    }
}
