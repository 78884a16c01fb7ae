//! `hardnet env`.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;

use crate::failure::{Exit, Result};
use crate::knobs;
use crate::printer::Printer;

#[derive(Args, Debug)]
pub(crate) struct EnvArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The contents of a bug report. Field names are API.
#[derive(Serialize)]
struct Environment {
    version: &'static str,
    commit: &'static str,
    target: &'static str,
    profile: &'static str,
    features: Vec<&'static str>,
    cpu_features: Vec<&'static str>,
    processors: usize,
    threads: usize,
    /// The kernels' instruction set, or why there is none of the name in HARDNET_ISA.
    isa: String,
    decoder: &'static str,
    variables: BTreeMap<&'static str, Option<String>>,
}

pub(crate) fn run(args: &EnvArgs, printer: &Printer) -> Result<Exit> {
    let features = [
        ("accelerate", cfg!(feature = "accelerate")),
        ("cuda", cfg!(feature = "cuda")),
        ("cudnn", cfg!(feature = "cudnn")),
        ("exact-jpeg", cfg!(feature = "exact-jpeg")),
        ("hub", cfg!(feature = "hub")),
        ("metal", cfg!(feature = "metal")),
        ("mkl", cfg!(feature = "mkl")),
        ("mpi", cfg!(feature = "mpi")),
        ("serve", cfg!(feature = "serve")),
    ];
    let environment = Environment {
        version: env!("CARGO_PKG_VERSION"),
        commit: env!("HARDNET_COMMIT"),
        target: env!("HARDNET_TARGET"),
        profile: if cfg!(debug_assertions) { "dev" } else { "release" },
        features: features.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect(),
        cpu_features: cpu_features(),
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        threads: knobs::threads(),
        isa: hardnet_simd::Isa::from_environment().map_or_else(|error| error.to_string(), |isa| isa.name().into()),
        decoder: hardnet_data::JPEG_DECODER,
        variables: knobs::table().map(|(name, _)| (name, knobs::redacted_value(name))).collect(),
    };
    if args.json {
        printer.json(&environment)?;
        return Ok(Exit::Success);
    }
    let list = |names: &[&str]| if names.is_empty() { "none".into() } else { names.join(" ") };
    printer.line(format_args!("version       {} (commit {})", environment.version, environment.commit))?;
    printer.line(format_args!("target        {}, {} profile", environment.target, environment.profile))?;
    printer.line(format_args!("features      {}", list(&environment.features)))?;
    printer.line(format_args!("cpu           {}", list(&environment.cpu_features)))?;
    printer.line(format_args!("processors    {}, {} used", environment.processors, environment.threads))?;
    printer.line(format_args!("kernels       {}", environment.isa))?;
    printer.line(format_args!("jpeg decoder  {}\n", environment.decoder))?;
    for (name, meaning) in knobs::table() {
        let value = environment.variables[name].as_deref().unwrap_or("(not set)");
        printer.line(format_args!("{name:<30} {value:<20} {meaning}"))?;
    }
    Ok(Exit::Success)
}

/// Vector extensions of this processor that matter to the kernels.
fn cpu_features() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    let found = [
        ("sse4.1", is_x86_feature_detected!("sse4.1")),
        ("avx", is_x86_feature_detected!("avx")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
    ];
    #[cfg(target_arch = "aarch64")]
    let found = [
        ("neon", std::arch::is_aarch64_feature_detected!("neon")),
        ("dotprod", std::arch::is_aarch64_feature_detected!("dotprod")),
        ("i8mm", std::arch::is_aarch64_feature_detected!("i8mm")),
    ];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let found: [(&str, bool); 0] = [];
    found.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect()
}
