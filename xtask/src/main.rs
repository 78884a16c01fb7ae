//! Tasks of this repository, run as `cargo xtask TASK`.
//!
//! * `check` fails where the repository contradicts itself: lines that are too wide, names of files that do not exist,
//!   unused dependencies, generated pages and code that are not up to date, crates that should not be compiled.
//! * `optimized` fails where a dev build compiles kernels in a crate that it does not optimize.
//! * `docs` writes the generated parts of the documentation, or the one that is named.
//! * `bench` measures the networks and writes the tables and the page of `docs/performance`.
//! * `performance-page` writes that page from the tables that exist.

mod bench;
mod check;
mod crates;
mod environment;
mod generated;
mod git;
mod manifests;
mod optimized;
mod paths;
mod performance;
mod prose;
mod protocol;
mod text;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};
use workspace::Workspace;

const USAGE: &str = "usage: cargo xtask check | optimized [OPTIONS OF CARGO TEST] | docs [crates | variables | performance] | bench [PROGRAM] | performance-page";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    let workspace = Workspace::read()?;
    match arguments {
        ["check"] => check::run(&workspace),
        ["optimized", options @ ..] => optimized::run(&workspace, options),
        ["docs"] => generated::write(&workspace, |_| true),
        ["docs", name @ ("crates" | "variables" | "performance")] => generated::write(&workspace, |part| part == *name),
        ["bench"] => bench::run(&workspace, None),
        ["bench", program] => bench::run(&workspace, Some(program)),
        ["performance-page"] => generated::write(&workspace, |part| part == generated::PERFORMANCE),
        _ => bail!("{USAGE}"),
    }
}
