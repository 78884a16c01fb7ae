//! The time and memory of a segmentation network alone in a process, for `benches/peers/segmentation.py`.
//!
//! ```text
//! cargo run --release -p hardnet-engine --example segmentation_alone -- NETWORK HEIGHT WIDTH THREADS SECONDS
//! ```
//!
//! Prints the median milliseconds of an image and the peak resident set in MiB, where Linux tells it, as JSON. The
//! parameters are those of a formula. `HARDNET_ISA` names the instruction set. One more argument changes what is done:
//! a file with the extension `safetensors` is written with the parameters, another file with the logits as
//! little-endian f32, and `steps` prints the time of each step.
#![allow(clippy::print_stdout)]

use std::fs::File;
use std::io::BufWriter;
use std::time::{Duration, Instant};

use hardnet_engine::{Isa, Plan, PlanOptions};
use hardnet_graph::{Config, SegmentationVariant};
use hardnet_params::synthetic::{self, Synthetic};
use hardnet_params::{Metadata, write_weights};

/// Runs before the first that counts, and runs that count at least.
const WARM_UP: usize = 1;
const LEAST: usize = 3;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let ([network, height, width, threads, seconds], rest) = arguments.split_first_chunk().ok_or(USAGE)?;
    let (height, width, seconds): (usize, usize, f64) = (height.parse()?, width.parse()?, seconds.parse()?);
    let config = Config::from(network.parse::<SegmentationVariant>()?);
    if let Some(file) = rest.first().filter(|file| file.ends_with(".safetensors")) {
        write_weights(&Metadata::new(config), &Synthetic, BufWriter::new(File::create(file)?))?;
        return Ok(());
    }
    let options = PlanOptions::default().isa(Isa::from_environment()?).size(height, width).threads(threads.parse()?);
    let mut plan = Plan::new(&config, &Synthetic, &options)?;
    let image = [synthetic::values("x", &[1, 3, height, width])];
    match rest {
        [] => {}
        [steps] if steps == "steps" => return profile(&mut plan, &image, seconds),
        [file] => {
            let logits = plan.run(&image)?;
            return Ok(std::fs::write(file, logits.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())?);
        }
        _ => return Err(USAGE.into()),
    }
    let mut logits = vec![0.0; plan.output_len()];
    for _ in 0..WARM_UP {
        plan.run_into(&image, &mut logits)?;
    }
    let (mut times, begun) = (Vec::new(), Instant::now());
    while times.len() < LEAST || begun.elapsed().as_secs_f64() < seconds {
        let started = Instant::now();
        plan.run_into(&image, &mut logits)?;
        std::hint::black_box(&logits);
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!("{{\"ms\": {}, \"mib\": {}}}", times[times.len() / 2], peak_mib().unwrap_or(f64::NAN));
    Ok(())
}

const USAGE: &str = "expected NETWORK HEIGHT WIDTH THREADS SECONDS [FILE | steps]";

/// Prints the steps by their least times.
fn profile(plan: &mut Plan, image: &[Vec<f32>], seconds: f64) -> Result<(), Box<dyn std::error::Error>> {
    let (mut times, begun) = (vec![Duration::MAX; plan.steps().len()], Instant::now());
    plan.run(image)?;
    while begun.elapsed().as_secs_f64() < seconds {
        let mut round = vec![Duration::ZERO; times.len()];
        plan.profile(image, &mut round)?;
        times.iter_mut().zip(round).for_each(|(least, time)| *least = time.min(*least));
    }
    let total: Duration = times.iter().sum();
    println!("{:?}, {:.1} ms in all steps", plan.memory(), total.as_secs_f64() * 1e3);
    for (step, time) in plan.steps().iter().zip(times).filter(|(step, _)| step.fused_into.is_none()) {
        let ms = time.as_secs_f64() * 1e3;
        let (rate, maps) = (step.macs as f64 / ms / 1e6, step.map_bytes as f64 / 1e6);
        println!("{:28} {:14} {ms:8.3} ms {rate:7.1} GMAC/s {maps:6.1} MB of maps", step.name, step.kernel);
    }
    Ok(())
}

/// The greatest resident set of this process.
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}
