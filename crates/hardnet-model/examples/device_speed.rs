//! Times the four networks on a device by Candle, and Candle's own depthwise convolutions.
//!
//! ```text
//! cargo run --release -p hardnet-model --example device_speed -- [cpu|cuda|metal] [SECONDS] [BATCH,...]
//! ```
//!
//! Prints a line of JSON for each network and batch size: the median milliseconds of a forward pass at 224x224 pixels,
//! and, for networks with depthwise convolutions, those of Candle's `conv2d` with a group for each channel, all layers
//! one after the other. The networks use nine strided products in place of it. `tools/gpu/check.py` runs this program.

use std::io::Write;
use std::time::{Duration, Instant};

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use hardnet_graph::Op;
use hardnet_model::{Graph, HarDNet, Variant};
use hardnet_params::synthetic;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const SIDE: usize = 224;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let name = arguments.first().map_or("cpu", String::as_str);
    let device = match name {
        "cpu" => Device::Cpu,
        "cuda" => Device::new_cuda(0)?,
        "metal" => Device::new_metal(0)?,
        other => return Err(format!("`{other}` is not a device, expected cpu, cuda or metal").into()),
    };
    let seconds = arguments.get(1).map_or(Ok(2.0), |text| text.parse())?;
    let batches = arguments.get(2).map_or("1,8,64", String::as_str).split(',').map(str::parse);
    let batches: Vec<usize> = batches.collect::<Result<_, _>>()?;
    for variant in Variant::ALL {
        let network = network(variant, &device)?;
        let convolutions = depthwise(&Graph::new(&variant.into())?, &device)?;
        for &batch in &batches {
            let images = Tensor::zeros((batch, 3, SIDE, SIDE), DType::F32, &device)?;
            let forward = median(seconds, &device, || network.forward(&images).map(drop))?;
            let input =
                |layer: &Depthwise| Tensor::zeros((batch, layer.channels, layer.side, layer.side), DType::F32, &device);
            let inputs = convolutions.iter().map(input).collect::<candle_core::Result<Vec<_>>>()?;
            let all = || inputs.iter().zip(&convolutions).try_for_each(|(x, layer)| layer.run(x));
            let candle = (!inputs.is_empty()).then(|| median(seconds, &device, all)).transpose()?;
            let line = serde_json::json!({
                "network": variant.name(), "batch": batch, "device": name, "ms": forward, "candle_depthwise_ms": candle,
            });
            writeln!(std::io::stdout(), "{line}")?;
        }
    }
    Ok(())
}

fn network(variant: Variant, device: &Device) -> Result<HarDNet> {
    let parameters = VarMap::new();
    let network = HarDNet::new(&variant.into(), VarBuilder::from_varmap(&parameters, DType::F32, device))?;
    for param in network.graph().params() {
        let values = Tensor::from_vec(synthetic::values(&param.name, &param.shape), &param.shape[..], device)?;
        parameters.data().lock().expect("no other thread")[&param.name].set(&values)?;
    }
    Ok(network)
}

/// A depthwise convolution by Candle.
struct Depthwise {
    weight: Tensor,
    channels: usize,
    /// Side of its input.
    side: usize,
    stride: usize,
}

impl Depthwise {
    fn run(&self, x: &Tensor) -> candle_core::Result<()> {
        x.conv2d(&self.weight, 1, self.stride, 1, self.channels).map(drop)
    }
}

/// The depthwise convolutions of a network.
fn depthwise(graph: &Graph, device: &Device) -> Result<Vec<Depthwise>> {
    let shapes = graph.shapes(SIDE, SIDE)?;
    let mut found = Vec::new();
    for node in graph.nodes() {
        if let Op::Conv(conv) = &node.op
            && conv.is_depthwise()
        {
            let (channels, side) = (node.in_channels, shapes[node.inputs[0]].height);
            let weight = Tensor::ones((channels, 1, 3, 3), DType::F32, device)?;
            found.push(Depthwise { weight, channels, side, stride: conv.stride });
        }
    }
    Ok(found)
}

/// Median milliseconds of `run`, over `seconds` and at least five runs, after two that do not count.
fn median(seconds: f64, device: &Device, mut run: impl FnMut() -> candle_core::Result<()>) -> Result<f64> {
    let mut times = Vec::new();
    let begun = Instant::now();
    while times.len() < 7 || begun.elapsed() < Duration::from_secs_f64(seconds) {
        let started = Instant::now();
        run()?;
        device.synchronize()?;
        times.push(1e3 * started.elapsed().as_secs_f64());
    }
    let times = &mut times[2..];
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}
