//! The time and memory of an 8-bit plan alone in a process, for `benches/peers/int8.py`.
//!
//! ```text
//! cargo run --release -p hardnet-engine --example int8_alone -- NETWORK BATCH THREADS SECONDS
//! ```
//!
//! Prints the median milliseconds of a batch and the peak resident set in MiB, where Linux tells it, as JSON.
//! `HARDNET_ISA` names the instruction set.
#![allow(clippy::print_stdout)]

#[path = "../tests/naive/mod.rs"]
mod naive;

use std::time::Instant;

use hardnet_engine::{Isa, Plan, PlanOptions};
use hardnet_graph::{Config, Variant};
use hardnet_params::synthetic;
use naive::Naive;

/// Runs before the first that counts, and runs that count at least.
const WARM_UP: usize = 2;
const LEAST: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [network, batch, threads, seconds] = &arguments[..] else {
        return Err("expected NETWORK BATCH THREADS SECONDS".into());
    };
    let (batch, seconds): (usize, f64) = (batch.parse()?, seconds.parse()?);
    let config = Config::from(network.parse::<Variant>()?);
    let options = PlanOptions::default().isa(Isa::from_environment()?).batch(batch).threads(threads.parse()?);
    let mut plan = Plan::quantized(&config, &Naive::new(&config)?, &options)?;
    let images: Vec<Vec<f32>> =
        synthetic::values("x", &[batch, 3, 224, 224]).chunks(3 * 224 * 224).map(<[f32]>::to_vec).collect();
    for _ in 0..WARM_UP {
        plan.run(&images)?;
    }
    let (mut times, begun) = (Vec::new(), Instant::now());
    while times.len() < LEAST || begun.elapsed().as_secs_f64() < seconds {
        let started = Instant::now();
        std::hint::black_box(plan.run(&images)?);
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!("{{\"ms\": {}, \"mib\": {}}}", times[times.len() / 2], peak_mib().unwrap_or(f64::NAN));
    Ok(())
}

/// The greatest resident set of this process.
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}
