//! Times of f32 and 8-bit plans of networks with formula weights, interleaved.
//!
//! ```text
//! cargo run --release -p hardnet-engine --example int8 -- [ROUNDS [STEPS [NETWORK ..]]]
//! ```
//!
//! Prints the median of each and their ratio for batches of 1 and 8 on 1 and 2 threads, or the slowest steps of the
//! 8-bit plan, if STEPS is not 0. `HARDNET_ISA` names the instruction set, `HARDNET_THREADS` a number of threads.
#![allow(clippy::print_stdout)]

#[path = "../tests/naive/mod.rs"]
mod naive;

use std::time::{Duration, Instant};

use hardnet_engine::{Isa, Plan, PlanOptions};
use hardnet_graph::{Config, Variant};
use hardnet_params::synthetic::{self, Synthetic};
use naive::Naive;

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let isa = Isa::from_environment()?;
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let rounds: usize = arguments.next().map_or(Ok(15), |rounds| rounds.parse())?;
    let shown: usize = arguments.next().map_or(Ok(0), |shown| shown.parse())?;
    let names: Vec<String> = arguments.collect();
    let threads = std::env::var("HARDNET_THREADS").ok().map(|threads| threads.parse::<usize>()).transpose()?;
    println!("network      batch threads  f32 ms  int8 ms  ratio   on {isa}");
    for variant in Variant::ALL.into_iter().filter(|variant| names.is_empty() || names.contains(&variant.to_string())) {
        for batch in [1, 8] {
            for threads in threads.map_or(vec![1, 2], |threads| vec![threads]) {
                let options = PlanOptions::default().isa(isa).batch(batch).threads(threads);
                let config = Config::from(variant);
                let mut integers = Plan::quantized(&config, &Naive::new(&config)?, &options)?;
                if shown > 0 {
                    profile(&mut integers, batch, rounds, shown)?;
                    continue;
                }
                let mut floats = Plan::new(&config, &Synthetic, &options)?;
                let [f32, int8] = medians([&mut floats, &mut integers], batch, rounds)?;
                let (name, ratio) = (variant.to_string(), int8 / f32);
                println!("{name:12} {batch:5} {threads:7} {f32:7.2} {int8:8.2} {ratio:6.3}");
                if threads == 1 {
                    println!("  {:?}, f32 {:?}", integers.memory(), floats.memory());
                }
            }
        }
    }
    Ok(())
}

fn images(batch: usize) -> Vec<Vec<f32>> {
    synthetic::values("x", &[batch, 3, 224, 224]).chunks(3 * 224 * 224).map(<[f32]>::to_vec).collect()
}

/// Milliseconds of a batch, the median of `rounds` in which the plans take turns.
fn medians<const N: usize>(plans: [&mut Plan; N], batch: usize, rounds: usize) -> Result<[f64; N], Error> {
    let images = images(batch);
    let mut times: [Vec<f64>; N] = std::array::from_fn(|_| Vec::new());
    for round in 0..rounds + 2 {
        for at in 0..N {
            let started = Instant::now();
            std::hint::black_box(plans[at].run(&images)?);
            if round >= 2 {
                times[at].push(started.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    Ok(times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    }))
}

/// Prints the slowest steps by their least times, and the sum by kernel.
fn profile(plan: &mut Plan, batch: usize, rounds: usize, shown: usize) -> Result<(), Error> {
    let images = images(batch);
    let mut times = vec![Duration::MAX; plan.steps().len()];
    plan.run(&images)?;
    for _ in 0..rounds {
        let mut round = vec![Duration::ZERO; times.len()];
        plan.profile(&images, &mut round)?;
        times.iter_mut().zip(round).for_each(|(least, time)| *least = time.min(*least));
    }
    let steps = plan.steps();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let mut kernels: Vec<(&str, f64, u64)> = Vec::new();
    for (step, &time) in steps.iter().zip(&times) {
        let at = kernels.iter().position(|kernel| kernel.0 == step.kernel).unwrap_or(kernels.len());
        if at == kernels.len() {
            kernels.push((step.kernel, 0.0, 0));
        }
        kernels[at].1 += milliseconds(time);
        kernels[at].2 += step.macs * batch as u64;
    }
    let rate = |time: f64, macs: u64| macs as f64 / time / 1e6;
    for (kernel, time, macs) in kernels {
        println!("{kernel:20} {time:7.3} ms {:7.1} GMAC/s", rate(time, macs));
    }
    let mut order: Vec<usize> = (0..steps.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(times[at]));
    for at in order.into_iter().take(shown) {
        let (step, time) = (&steps[at], milliseconds(times[at]));
        println!(
            "  {:32} {:16} {time:7.3} ms {:7.1} GMAC/s",
            step.name,
            step.kernel,
            rate(time, step.macs * batch as u64)
        );
    }
    Ok(())
}
