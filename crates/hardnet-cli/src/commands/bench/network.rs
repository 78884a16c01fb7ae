//! `hardnet bench MODEL`: the speed of a network, and the difference of its logits from the reference.

mod profile;

use std::time::{Duration, Instant};

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use clap::Args;
use hardnet_classifier::{ClassifierBuilder, Engine, Precision};
use hardnet_eval::ToolRecord;
use hardnet_model::{Algorithm, Config, Graph, HarDNet, Parameters, Plan, WeightsFile};
use hardnet_params::synthetic;
use hardnet_quantize::{QuantizeOptions, quantize};
use profile::Profile;
use serde::Serialize;

use super::data::DataArgs;
use crate::failure::{Exit, Failure, Result};
use crate::format::at_least_one;
use crate::model::{EngineChoice, name_of, plan_options};
use crate::network::NetworkName;
use crate::printer::Printer;
use crate::report;
use crate::weights::tell;

/// Warm-up runs.
const WARM_UP: usize = 3;

/// Options of the network benchmark.
#[derive(Args, Debug)]
pub(crate) struct NetworkArgs {
    /// Timed iterations
    #[arg(long, value_name = "N", default_value = "30", value_parser = at_least_one)]
    iters: usize,
    /// Show the time of each layer (native engine)
    #[arg(long)]
    profile: bool,
    /// Algorithm of all 3x3 convolutions with stride 1: direct, winograd-2x2, winograd-4x4, winograd-2x2-otf or
    /// winograd-4x4-otf [default: the fastest for each]
    #[arg(long, value_name = "NAME")]
    algorithm: Option<Algorithm>,
    /// Skip the comparison with the logits of the Candle network
    #[arg(long)]
    no_reference: bool,
}

/// Result of the benchmark. Field names are API.
#[derive(Serialize)]
struct NetworkReport {
    schema_version: u32,
    tool: ToolRecord,
    model: String,
    /// Path, tag or address of the weights, or `formula` for synthetic ones.
    weights: String,
    engine: &'static str,
    /// `f32` or `int8`.
    precision: &'static str,
    isa: String,
    threads: usize,
    batch_size: usize,
    img_size: usize,
    iters: usize,
    /// From the file to a network that is ready to run.
    load_ms: f64,
    latency_ms: Latency,
    images_per_second: f64,
    /// Peak memory of the process, before the comparison with the reference.
    peak_rss_mib: Option<f64>,
    /// Memory of the plan: weights, feature maps and scratch.
    plan_mib: Option<f64>,
    /// Multiply-adds of the layers' definitions, for one image.
    multiply_adds: Option<u64>,
    /// Largest absolute difference of a logit from the Candle network's.
    max_logit_difference: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Profile>,
}

/// Milliseconds for one batch.
#[derive(Serialize)]
struct Latency {
    median: f64,
    min: f64,
    p95: f64,
}

/// From a batch of images to the logits of all of them.
type Network = dyn FnMut(&[Vec<f32>]) -> Result<Vec<f32>>;

/// Where parameters come from.
enum Weights {
    File(Box<WeightsFile>),
    Formula(Config),
}

impl Weights {
    fn config(&self) -> &Config {
        match self {
            Self::File(file) => file.config(),
            Self::Formula(config) => config,
        }
    }

    /// The preprocessing in the file's metadata.
    fn pipeline(&self) -> Option<&serde_json::Value> {
        match self {
            Self::File(file) if file.config().decoder.is_some() => None,
            Self::File(file) => file.metadata().and_then(|metadata| metadata.pipeline.as_ref()),
            Self::Formula(_) => None,
        }
    }

    /// The precision that is measured, where `wanted` is that of the command line.
    fn precision(&self, wanted: Option<Precision>) -> Result<Precision> {
        let stored = match self {
            Self::File(file) if file.quantization().is_some() => Precision::Int8,
            _ => Precision::F32,
        };
        if let (Self::File(file), Precision::Int8, Some(Precision::F32)) = (self, stored, wanted) {
            file.expect_floats()?;
        }
        Ok(wanted.unwrap_or(stored))
    }

    fn plan(self, precision: Precision, options: &hardnet_model::PlanOptions) -> Result<Plan> {
        let quantized = |config: &Config, parameters: &dyn Parameters| -> Result<Plan> {
            let quantized = quantize(&Graph::new(config)?, parameters, &QuantizeOptions::default())?;
            Ok(Plan::quantized(config, &quantized, options)?)
        };
        match self {
            Self::File(file) if precision == Precision::Int8 && file.quantization().is_none() => {
                let config = file.config().clone();
                quantized(&config, &file.into_parameters())
            }
            Self::File(file) => Ok(Plan::from_file(*file, options)?),
            Self::Formula(config) if precision == Precision::Int8 => quantized(&config, &synthetic::Synthetic),
            Self::Formula(config) => Ok(Plan::new(&config, &synthetic::Synthetic, options)?),
        }
    }

    /// The reference.
    fn candle(&self, device: &Device) -> Result<HarDNet> {
        let parameters = match self {
            Self::File(file) => hardnet_model::var_builder(file, device)?,
            Self::Formula(config) => {
                let tensor = |param: &hardnet_model::ParamInfo| -> Result<(String, Tensor)> {
                    let values = synthetic::Synthetic.values(param)?;
                    Ok((param.name.clone(), Tensor::from_vec(values, param.shape.as_slice(), device)?))
                };
                let tensors = Graph::new(config)?.params().iter().map(tensor).collect::<Result<_>>()?;
                VarBuilder::from_tensors(tensors, DType::F32, device)
            }
        };
        Ok(HarDNet::new(self.config(), parameters)?)
    }
}

pub(crate) fn run(
    args: &NetworkArgs,
    network: Option<&NetworkName>,
    shared: &DataArgs,
    printer: &Printer,
) -> Result<Exit> {
    let located = shared.model.locate(printer)?;
    let name = network.or(shared.model.network());
    let open = || match (&located, name) {
        (Some(located), name) => Ok(Weights::File(Box::new(located.open(name, shared.model.part())?))),
        (None, Some(name)) => Ok(Weights::Formula(name.config()?)),
        (None, None) => {
            Err(Failure::message("nothing to measure").hint("pass a network, --weights FILE or --data PATH"))
        }
    };
    let (device, choice) = shared.model.device().open()?;
    let engine =
        shared.model.engine().unwrap_or(if device.is_cpu() { EngineChoice::Native } else { EngineChoice::Candle });
    let batch = shared.batch_size.unwrap_or(1);

    let started = Instant::now();
    let weights = open()?;
    if let Weights::File(file) = &weights {
        tell(file, printer);
    }
    let config = weights.config().clone();
    let precision = weights.precision(shared.model.precision())?;
    let stored_as_integers = matches!(&weights, Weights::File(file) if file.quantization().is_some());
    let side = shared.pipeline.side(&config, weights.pipeline())?;
    let mut options = plan_options()?.size(side, side).batch(batch.min(ClassifierBuilder::MAX_NATIVE_BATCH));
    options.algorithm = args.algorithm;
    options.batch_invariant = shared.model.batch_invariant();
    let mut network: Box<Network>;
    let (mut plan_mib, mut multiply_adds, mut profile) = (None, None, None);
    let images = images(&config, batch, side);
    let load;
    match engine {
        EngineChoice::Native => {
            let mut plan = weights.plan(precision, &options)?;
            load = started.elapsed();
            let memory = plan.memory();
            multiply_adds = Some(plan.steps().iter().map(|step| step.macs).sum());
            plan_mib = Some((memory.weights + memory.arena + memory.scratch) as f64 / MIB);
            if args.profile {
                profile = Some(Profile::measure(&mut plan, &images, args.iters)?);
            }
            network = Box::new(move |images| Ok(plan.run(images)?));
        }
        EngineChoice::Candle if precision == Precision::Int8 => {
            return Err(Failure::message("the candle engine computes in floating point").hint("pass --engine native"));
        }
        EngineChoice::Candle => {
            let candle = weights.candle(&device)?;
            load = started.elapsed();
            let shape = (batch, config.in_channels, side, side);
            let device = device.clone();
            network = Box::new(move |images| {
                let images = Tensor::from_vec(images.concat(), shape, &device)?;
                Ok(candle.forward(&images)?.flatten_all()?.to_vec1()?)
            });
        }
    }
    let (latency, logits) = measure(&mut network, &images, args.iters)?;
    let peak_rss_mib = peak_rss_mib();
    drop(network);
    let max_logit_difference = match engine {
        EngineChoice::Candle => None,
        EngineChoice::Native if args.no_reference || stored_as_integers => None,
        EngineChoice::Native => {
            let images = Tensor::from_vec(images.concat(), (batch, config.in_channels, side, side), &Device::Cpu)?;
            let reference = open()?.candle(&Device::Cpu)?.forward(&images)?.flatten_all()?.to_vec1::<f32>()?;
            Some(difference(&logits, &reference))
        }
    };
    let report = NetworkReport {
        schema_version: 1,
        tool: report::tool(),
        model: name_of(&config),
        weights: shared.model.weights().map_or("formula".into(), ToString::to_string),
        engine: Engine::from(engine).name(),
        precision: precision.name(),
        isa: if engine == EngineChoice::Native { options.isa.to_string() } else { choice.to_string() },
        threads: crate::knobs::threads(),
        batch_size: batch,
        img_size: side,
        iters: args.iters,
        load_ms: 1000.0 * load.as_secs_f64(),
        images_per_second: 1000.0 * batch as f64 / latency.median,
        latency_ms: latency,
        peak_rss_mib,
        plan_mib,
        multiply_adds,
        max_logit_difference,
        profile,
    };
    if shared.json {
        printer.json(&report)?;
    } else {
        print(&report, printer)?;
    }
    Ok(Exit::Success)
}

const MIB: f64 = (1 << 20) as f64;

/// A batch of synthetic images.
fn images(config: &Config, batch: usize, side: usize) -> Vec<Vec<f32>> {
    let values = synthetic::values("x", &[batch, config.in_channels, side, side]);
    values.chunks(config.in_channels * side * side).map(<[f32]>::to_vec).collect()
}

fn measure(network: &mut Network, images: &[Vec<f32>], iters: usize) -> Result<(Latency, Vec<f32>)> {
    let mut logits = Vec::new();
    for _ in 0..WARM_UP {
        logits = network(images)?;
    }
    let mut times = Vec::with_capacity(iters);
    for _ in 0..iters {
        let started = Instant::now();
        std::hint::black_box(network(images)?);
        times.push(started.elapsed());
    }
    times.sort_unstable();
    let ms = |time: Duration| 1000.0 * time.as_secs_f64();
    let latency = Latency {
        median: ms((times[(iters - 1) / 2] + times[iters / 2]) / 2),
        min: ms(times[0]),
        p95: ms(times[(iters * 95).div_ceil(100) - 1]),
    };
    Ok((latency, logits))
}

/// Largest absolute difference; NaN if exactly one of a pair is NaN.
fn difference(a: &[f32], b: &[f32]) -> f64 {
    let differences =
        a.iter().zip(b).filter(|(a, b)| !(a.is_nan() && b.is_nan())).map(|(a, b)| f64::from((a - b).abs()));
    differences
        .fold(0.0, |worst, difference| if difference > worst || difference.is_nan() { difference } else { worst })
}

/// Peak memory of this process, if the system reports it.
fn peak_rss_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

fn print(report: &NetworkReport, printer: &Printer) -> Result<()> {
    let NetworkReport { model, weights, engine, isa, threads, batch_size, img_size, latency_ms, .. } = report;
    let numbers = if report.precision == "f32" { "" } else { ", int8" };
    printer.line(format_args!(
        "{model} ({weights}) by {engine} ({isa}{numbers}), {threads} threads, batch of {batch_size}, {img_size}x{img_size} pixels"
    ))?;
    printer.line(format_args!(
        "latency  {:.2} ms median of {} runs, {:.2} min, {:.2} p95",
        latency_ms.median, report.iters, latency_ms.min, latency_ms.p95
    ))?;
    printer.line(format_args!("speed    {:.1} images/s", report.images_per_second))?;
    let mib = |mib: Option<f64>| mib.map_or("-".into(), |mib| format!("{mib:.0} MiB"));
    printer.line(format_args!(
        "memory   {} peak, {} of it the plan; loaded in {:.0} ms",
        mib(report.peak_rss_mib),
        mib(report.plan_mib),
        report.load_ms
    ))?;
    if let Some(difference) = report.max_logit_difference {
        printer.line(format_args!("logits   within {difference:.1e} of the Candle network's"))?;
    }
    match &report.profile {
        Some(profile) => profile.print(printer),
        None => Ok(()),
    }
}
