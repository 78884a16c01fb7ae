//! Times whole training steps: forward, cross entropy, backward, SGD with momentum and weight decay.
//!
//! ```text
//! cargo run --release -p hardnet-model --example training_step -- VARIANT SIDE BATCH STEPS
//! ```
//!
//! Prints one line of JSON: milliseconds of each step, the first left out, and the peak of the process's memory in MiB.
//! Threads are those of Candle, by `RAYON_NUM_THREADS`; `HARDNET_ISA` names the instruction set.

use std::io::Write;
use std::time::Instant;

use candle_core::{CpuStorage, DType, Device, InplaceOp3, Layout, ModuleT, Result, Tensor};
use candle_nn::{VarBuilder, VarMap};
use hardnet_model::{Config, HarDNet, Isa, Variant};
use hardnet_params::synthetic;

/// `a = keep * a + one * b + two * c`, in place.
struct Blend {
    keep: f32,
    one: f32,
    two: f32,
}

impl InplaceOp3 for Blend {
    fn name(&self) -> &'static str {
        "blend"
    }

    fn cpu_fwd(
        &self,
        a: &mut CpuStorage,
        _: &Layout,
        b: &CpuStorage,
        _: &Layout,
        c: &CpuStorage,
        _: &Layout,
    ) -> Result<()> {
        let (CpuStorage::F32(a), CpuStorage::F32(b), CpuStorage::F32(c)) = (a, b, c) else {
            candle_core::bail!("expected f32");
        };
        for ((a, b), c) in a.iter_mut().zip(b).zip(c) {
            *a = self.keep * *a + self.one * b + self.two * c;
        }
        Ok(())
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [variant, side, batch, steps] = &arguments[..] else { return Err("expected VARIANT SIDE BATCH STEPS".into()) };
    let (variant, side, batch, steps): (Variant, usize, usize, usize) =
        (variant.parse()?, side.parse()?, batch.parse()?, steps.parse()?);
    let device = Device::Cpu;
    let parameters = VarMap::new();
    let network = HarDNet::new(&Config::from(variant), VarBuilder::from_varmap(&parameters, DType::F32, &device))?;
    let network = network.with_isa(Isa::from_environment()?);
    let mut trained = Vec::new();
    for param in network.graph().params() {
        let variable = parameters.data().lock().expect("no thread panicked")[&param.name].clone();
        variable.set(&Tensor::from_vec(synthetic::values(&param.name, &param.shape), &param.shape[..], &device)?)?;
        if param.kind.is_trained() {
            trained.push((variable.clone(), variable.zeros_like()?));
        }
    }
    let shape = [batch, 3, side, side];
    let images = Tensor::from_vec(synthetic::values("x", &shape), &shape, &device)?;
    let labels: Vec<u32> = (0..batch as u32).map(|at| at * 37 % 1000).collect();
    let labels = Tensor::new(labels, &device)?;
    let mut times = Vec::new();
    for _ in 0..=steps {
        let start = Instant::now();
        let loss = candle_nn::loss::cross_entropy(&network.forward_t(&images, true)?, &labels)?;
        let gradients = loss.backward()?;
        for (variable, momentum) in &trained {
            let gradient = gradients.get(variable).ok_or("a parameter has no gradient")?.contiguous()?;
            momentum.inplace_op3(&gradient, variable.as_tensor(), &Blend { keep: 0.9, one: 1.0, two: 6e-5 })?;
            variable.as_tensor().inplace_op3(momentum, &gradient, &Blend { keep: 1.0, one: -0.01, two: 0.0 })?;
        }
        loss.to_scalar::<f32>()?;
        times.push(1000.0 * start.elapsed().as_secs_f64());
    }
    let line = serde_json::json!({ "ms": times[1..], "peak_mib": peak_mib().unwrap_or(0.0) });
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

/// The most memory that this process has had, where the system says.
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}
