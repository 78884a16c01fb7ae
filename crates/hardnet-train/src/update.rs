//! The arithmetic of optimizers and averages, one pass over memory on the CPU.

use candle_core::{CpuStorage, InplaceOp3, Layout, Result, Tensor, Var};

/// Factors of [`blend`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Factors {
    /// Factor of the old value.
    pub(crate) keep: f64,
    /// Factor of the old value as part of the change; added to `keep`, a small factor would be rounded off.
    pub(crate) target: f64,
    pub(crate) first: f64,
    pub(crate) second: f64,
}

/// Replaces `target` by `keep * old + (target * old + first * .. + second * ..)`, for tensors of one shape.
pub(crate) fn blend(target: &Var, factors: Factors, first: &Tensor, second: &Tensor) -> Result<()> {
    let (first, second) = (first.detach().contiguous()?, second.detach().contiguous()?);
    if target.device().is_cpu() {
        return target.inplace_op3(&first, &second, &Blend(factors));
    }
    let old = target.as_detached_tensor();
    let change = ((&old * factors.target)? + (first * factors.first)?)?;
    target.set(&((old * factors.keep)? + (change + (second * factors.second)?)?)?)
}

struct Blend(Factors);

impl InplaceOp3 for Blend {
    fn name(&self) -> &'static str {
        "blend"
    }

    fn cpu_fwd(
        &self,
        target: &mut CpuStorage,
        target_layout: &Layout,
        first: &CpuStorage,
        first_layout: &Layout,
        second: &CpuStorage,
        second_layout: &Layout,
    ) -> Result<()> {
        let part = |layout: &Layout| match layout.contiguous_offsets() {
            Some((start, end)) => Ok(start..end),
            None => candle_core::bail!("blend needs contiguous tensors"),
        };
        let (target_part, first_part, second_part) = (part(target_layout)?, part(first_layout)?, part(second_layout)?);
        let CpuStorage::F32(target) = target else { candle_core::bail!("blend needs tensors of f32") };
        let (first, second) = (&first.as_slice::<f32>()?[first_part], &second.as_slice::<f32>()?[second_part]);
        let factors = [self.0.keep, self.0.target, self.0.first, self.0.second];
        let [keep, of_target, of_first, of_second] = factors.map(|factor| factor as f32);
        for ((target, first), second) in target[target_part].iter_mut().zip(first).zip(second) {
            *target = keep * *target + (of_target * *target + of_first * first + of_second * second);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn a_blend_is_the_sum_of_its_parts() {
        let target = Var::new(&[1f32, 2.0, 3.0], &Device::Cpu).unwrap();
        let first = Tensor::new(&[10f32, 20.0, 30.0], &Device::Cpu).unwrap();
        let second = Tensor::new(&[[7f32, 1.0], [8.0, 1.0], [9.0, 1.0]], &Device::Cpu).unwrap();
        let second = second.narrow(1, 0, 1).unwrap().squeeze(1).unwrap();
        blend(&target, Factors { keep: 0.25, target: 0.25, first: 2.0, second: -1.0 }, &first, &second).unwrap();
        assert_eq!(target.to_vec1::<f32>().unwrap(), [13.5, 33.0, 52.5]);
    }
}
