//! One pass over a batch as operations of Candle.
//!
//! [`Pass`] computes the network's maps from the images; in the backward pass it computes the gradients of all
//! parameters. It has no parameters among its arguments: an operation has three at most, and concatenating them would
//! make Candle add the gradients of the whole to zeros, split them, and add each part to zeros once more, in fresh
//! memory each time. Instead it reads a token, a value that says nothing, which a chain of [`Attach`] operations hands
//! on, one for each parameter:
//!
//! ```text
//! token -- Attach(parameter 0) -- Attach(parameter 1) -- ... -- Pass(images) -- maps
//! ```
//!
//! In the backward pass Candle visits them from the right: [`Pass`] computes, and each [`Attach`] gives its parameter
//! the gradient that is there by then.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Storage, Tensor};
use hardnet_kernels::training::GradientObserver;

use super::{Compiled, State, lock};

/// A program in use by one pass, which keeps the maps of its images for the gradients. It is given back when the last
/// tensor that may ask for gradients is gone.
struct Lease {
    compiled: Mutex<Option<Compiled>>,
    state: Arc<State>,
}

impl Lease {
    fn with<T>(&self, compute: impl FnOnce(&mut Compiled) -> Result<T>) -> Result<T> {
        compute(lock(&self.compiled).as_mut().expect("held until the lease is dropped"))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(mut compiled) = self.compiled.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            compiled.program.set_part(None);
            lock(&self.state.idle).push(compiled);
        }
    }
}

/// The network's maps of a batch, `[N, values of an image]`.
pub(super) struct Pass {
    lease: Arc<Lease>,
    statistics: Arc<Mutex<Vec<f32>>>,
    seed: u64,
    observer: Option<Arc<dyn GradientObserver>>,
}

impl Pass {
    /// Runs the program forward on `images`, `[N, C, H, W]`, with `parameters` in its order. Returns the maps, through
    /// which gradients reach the parameters that are variables or depend on some, and the statistics of the batch.
    pub(super) fn run(
        mut compiled: Compiled,
        state: &Arc<State>,
        images: &Tensor,
        parameters: &[&Tensor],
        (seed, observer): (u64, Option<Arc<dyn GradientObserver>>),
    ) -> Result<(Tensor, Vec<f32>)> {
        let mut ranges = Vec::with_capacity(parameters.len());
        let mut first = 0;
        for parameter in parameters {
            let range = first..first + parameter.elem_count();
            first = range.end;
            let Some(to) = compiled.parameters.get_mut(range.clone()) else {
                candle_core::bail!("the network has more parameters than its program");
            };
            let values = parameter.contiguous()?;
            let (storage, layout) = values.storage_and_layout();
            let Storage::Cpu(storage) = &*storage else { candle_core::bail!("expected parameters on the CPU") };
            to.copy_from_slice(slice(storage, layout)?);
            ranges.push(range);
        }
        let lease = Arc::new(Lease { compiled: Mutex::new(Some(compiled)), state: Arc::clone(state) });
        let mut token = Tensor::zeros(1, images.dtype(), images.device())?;
        for (parameter, range) in parameters.iter().zip(ranges) {
            if parameter.track_op() {
                token = token.apply_op2(parameter, Attach { lease: Arc::clone(&lease), range })?;
            }
        }
        let statistics = Arc::new(Mutex::new(Vec::new()));
        let pass = Self { lease, statistics: Arc::clone(&statistics), seed, observer };
        let maps = images.contiguous()?.apply_op2(&token, pass)?;
        let statistics = std::mem::take(&mut *lock(&statistics));
        Ok((maps, statistics))
    }
}

impl CustomOp2 for Pass {
    fn name(&self) -> &'static str {
        "hardnet-training"
    }

    fn cpu_fwd(
        &self,
        images: &CpuStorage,
        images_layout: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let images = slice(images, images_layout)?;
        let count = images_layout.dims()[0];
        self.lease.with(|Compiled { program, parameters, .. }| {
            let mut outputs = vec![0.0; count * program.output_len()];
            let mut statistics = vec![0.0; program.statistics()];
            let run = program.forward(images, parameters, self.seed, &mut outputs, &mut statistics);
            run.map_err(candle_core::Error::wrap)?;
            *lock(&self.statistics) = statistics;
            Ok((CpuStorage::F32(outputs), Shape::from((count, program.output_len()))))
        })
    }

    fn bwd(
        &self,
        _: &Tensor,
        token: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let (storage, layout) = gradient.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else {
            candle_core::bail!("gradients of a pass on the CPU are computed there");
        };
        let gradient = slice(storage, layout)?;
        self.lease.with(|Compiled { program, parameters, gradients, .. }| {
            let observer = self.observer.as_deref();
            let computed = program.backward_observed(parameters, gradient, gradients, observer);
            computed.map_err(candle_core::Error::wrap)
        })?;
        Ok((None, Some(token.zeros_like()?)))
    }
}

/// Makes the token depend on a parameter.
struct Attach {
    lease: Arc<Lease>,
    /// Where the parameter is among all.
    range: Range<usize>,
}

impl CustomOp2 for Attach {
    fn name(&self) -> &'static str {
        "hardnet-parameter"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![0.0]), Shape::from(1)))
    }

    fn bwd(
        &self,
        token: &Tensor,
        parameter: &Tensor,
        _: &Tensor,
        _: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = self.lease.with(|compiled| {
            Tensor::from_slice(&compiled.gradients[self.range.clone()], parameter.shape(), parameter.device())
        })?;
        Ok((token.track_op().then(|| token.zeros_like()).transpose()?, Some(gradient)))
    }
}

/// The values of a contiguous tensor.
fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let values = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => candle_core::bail!("expected values in a row, got strides {:?}", layout.stride()),
    }
}
