//! Time of each layer of a plan.

use std::time::Duration;

use hardnet_model::{Plan, peak_flops};
use serde::Serialize;

use crate::failure::Result;
use crate::printer::Printer;

/// Duration of the measurement of the processor's peak.
const PEAK_TIME: Duration = Duration::from_millis(200);

/// The layers in order. Field names are API.
#[derive(Serialize)]
pub(super) struct Profile {
    /// Peak of the micro-kernel on values in the level 1 cache, counting a multiply-add as two operations.
    peak_gflops: f64,
    layers: Vec<Layer>,
}

#[derive(Serialize)]
struct Layer {
    name: String,
    kernel: &'static str,
    ms: f64,
    /// Operations of the layer's definition, whatever the algorithm, divided by its time.
    gflops: f64,
    share_of_peak: f64,
    /// Feature maps read and written for the batch, and weights read once.
    map_bytes: u64,
    weight_bytes: u64,
}

impl Profile {
    /// Measures the mean over `iters` runs, after a warm-up run.
    pub(super) fn measure(plan: &mut Plan, images: &[Vec<f32>], iters: usize) -> Result<Self> {
        let options = *plan.options();
        let peak_gflops = peak_flops(options.isa, options.threads, PEAK_TIME)? / 1e9;
        let steps = plan.steps();
        let mut times = vec![Duration::ZERO; steps.len()];
        plan.run(images)?;
        for _ in 0..iters {
            plan.profile(images, &mut times)?;
        }
        let batch = images.len() as u64;
        let layers = steps.into_iter().zip(times).map(|(step, time)| {
            let seconds = time.as_secs_f64() / iters as f64;
            let gflops = if seconds > 0.0 { 2e-9 * (step.macs * batch) as f64 / seconds } else { 0.0 };
            Layer {
                name: step.name,
                kernel: step.kernel,
                ms: 1000.0 * seconds,
                gflops,
                share_of_peak: gflops / peak_gflops,
                map_bytes: step.map_bytes * batch,
                weight_bytes: step.weight_bytes,
            }
        });
        Ok(Self { peak_gflops, layers: layers.collect() })
    }

    pub(super) fn print(&self, printer: &Printer) -> Result<()> {
        printer.line(format_args!("peak     {:.0} GFLOP/s of the micro-kernel\n", self.peak_gflops))?;
        printer.line(
            "layer                         kernel              ms   GFLOP/s   of peak   maps KiB   weights KiB",
        )?;
        for layer in &self.layers {
            let kib = |bytes: u64| bytes as f64 / 1024.0;
            printer.line(format_args!(
                "{:<28}  {:<13} {:>8.3} {:>9.1} {:>7.0} % {:>10.0} {:>13.0}",
                layer.name,
                layer.kernel,
                layer.ms,
                layer.gflops,
                100.0 * layer.share_of_peak,
                kib(layer.map_bytes),
                kib(layer.weight_bytes)
            ))?;
        }
        Ok(())
    }
}
