//! `cargo xtask bench`: the tables of `docs/performance` that the program can measure, and the page of all tables.
//!
//! Each figure comes from a run of `hardnet` in a process of its own, so that its memory is that of one network.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::performance::table::{Cell, Table};
use crate::performance::{TABLES, write_page};
use crate::workspace::{Workspace, cargo_command, output};

/// Turns of the two plans whose times are compared.
const INVARIANCE_ROUNDS: usize = 5;

/// Sides of square images.
const SIDES: [usize; 4] = [224, 320, 512, 1024];

/// Measures `program`, or a release build of `hardnet`, and writes tables and page.
pub(crate) fn run(workspace: &Workspace, program: Option<&str>) -> Result<()> {
    let path = match program {
        Some(path) => PathBuf::from(path),
        None => build(workspace)?,
    };
    let program = Program::new(path)?;
    let folder = workspace.root.join(TABLES);
    std::fs::create_dir_all(&folder)?;
    engines(&program)?.write(&folder, "engines")?;
    batch_invariance(&program)?.write(&folder, "batch-invariance")?;
    sizes(&program)?.write(&folder, "sizes")?;
    write_page(&workspace.root)
}

/// A release build of `hardnet`.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    let arguments = ["build", "--release", "-p", "hardnet-cli"];
    let status = cargo_command().current_dir(&workspace.root).args(arguments).status()?;
    ensure!(status.success(), "`cargo build --release -p hardnet-cli` failed");
    Ok(workspace.target.join("release").join("hardnet"))
}

/// The program that is measured.
struct Program {
    path: PathBuf,
    version: String,
    commit: String,
    /// Threads that it uses by default.
    threads: usize,
    /// The networks that it knows.
    models: Vec<String>,
}

impl Program {
    fn new(path: PathBuf) -> Result<Self> {
        let about = json(&path, &["env", "--json"])?;
        let text = |name: &str| Some(about[name].as_str()?.to_owned());
        let list = json(&path, &["list", "--json"])?;
        let names = list.as_array().context("`hardnet list` gave no list")?.iter();
        Ok(Self {
            version: text("version").context("`hardnet env` gave no version")?,
            commit: text("commit").context("`hardnet env` gave no commit")?,
            threads: about["threads"].as_u64().context("`hardnet env` gave no number of threads")? as usize,
            models: names.filter_map(|row| Some(row["model"].as_str()?.to_owned())).collect(),
            path,
        })
    }

    /// Its version and commit.
    fn tool(&self) -> (&str, &str) {
        (&self.version, &self.commit)
    }

    /// The report of `hardnet bench` about `model` with more `arguments`.
    fn measure(&self, model: &str, arguments: &[&str]) -> Result<Value> {
        json(&self.path, &[&["bench", model, "--json"], arguments].concat())
    }
}

/// The JSON that a command prints.
fn json(program: &Path, arguments: &[&str]) -> Result<Value> {
    let printed = output(Command::new(program).args(arguments))?;
    serde_json::from_str(&printed).with_context(|| format!("`hardnet {}` did not print JSON", arguments.join(" ")))
}

/// Every network by both engines.
fn engines(program: &Program) -> Result<Table> {
    let columns = ["model", "engine", "batch", "threads", "ms", "images/s", "MiB", "plan MiB", "load ms", "logits"];
    let mut table = Table::new(
        "Native engine and Candle",
        "Median milliseconds for a batch of images of 224x224 pixels with synthetic weights. `MiB` is the peak \
         resident set of the process, `plan MiB` the memory of the plan, `logits` the largest difference of a logit from \
         Candle's.",
        &columns,
        program.tool(),
    );
    let threads = program.threads;
    let choices =
        [("native", 1, 1, 30), ("native", 1, threads, 30), ("native", 8, threads, 10), ("candle", 1, threads, 3)];
    for model in &program.models {
        for (engine, batch, threads, iters) in choices {
            let [batch, threads, iters] = [batch, threads, iters].map(|number: usize| number.to_string());
            let report = program.measure(
                model,
                &["--engine", engine, "--batch-size", &batch, "--threads", &threads, "--iters", &iters],
            )?;
            table.row([
                model.as_str().into(),
                engine.into(),
                report["batch_size"].clone().into(),
                report["threads"].clone().into(),
                Cell::rounded(&report["latency_ms"]["median"], 2),
                Cell::rounded(&report["images_per_second"], 1),
                Cell::rounded(&report["peak_rss_mib"], 0),
                Cell::rounded(&report["plan_mib"], 0),
                Cell::rounded(&report["load_ms"], 0),
                Cell::scientific(&report["max_logit_difference"]),
            ]);
        }
    }
    Ok(table)
}

/// The cost of logits that do not depend on the batch.
fn batch_invariance(program: &Program) -> Result<Table> {
    let columns = ["model", "batch", "ms", "batch-invariant ms", "ratio", "plan MiB", "batch-invariant MiB"];
    let mut table = Table::new(
        "Cost of batch invariance",
        "Median milliseconds of a batch of images of 224x224 pixels on all threads, with algorithms chosen for the batch and \
         with `--batch-invariant`, which chooses them as for one image; the median over rounds that take turns.",
        &columns,
        program.tool(),
    );
    const BATCH: &str = "8";
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    for model in &program.models {
        let (mut times, mut memory) = ([vec![], vec![]], [0.0; 2]);
        for _ in 0..INVARIANCE_ROUNDS {
            for (at, flags) in [&[][..], &["--batch-invariant"]].into_iter().enumerate() {
                let common = ["--batch-size", BATCH, "--iters", "10", "--no-reference"];
                let report = program.measure(model, &[&common, flags].concat())?;
                times[at].push(report["latency_ms"]["median"].as_f64().context("no median")?);
                memory[at] = report["plan_mib"].as_f64().context("no memory")?;
            }
        }
        let [plain, invariant] = times.each_mut().map(median);
        table.row([
            model.as_str().into(),
            serde_json::json!(8).into(),
            Cell::rounded(&plain.into(), 2),
            Cell::rounded(&invariant.into(), 2),
            Cell::rounded(&(invariant / plain).into(), 3),
            Cell::rounded(&memory[0].into(), 0),
            Cell::rounded(&memory[1].into(), 0),
        ]);
    }
    Ok(table)
}

/// How the time grows with the image.
fn sizes(program: &Program) -> Result<Table> {
    let columns = ["model", "side", "ms", "GMAC", "GFLOP/s", "time by multiply-adds"];
    let mut table = Table::new(
        "Sizes of images",
        "Median milliseconds of the native engine for one image on all threads. GFLOP/s count the operations of direct \
         convolution. The last column is the time per multiply-add relative to 224x224 pixels.",
        &columns,
        program.tool(),
    );
    for model in &program.models {
        let mut first = None;
        for side in SIDES {
            let iters = (30 * 224 * 224 / (side * side)).max(5).to_string();
            let report =
                program.measure(model, &["--img-size", &side.to_string(), "--iters", &iters, "--no-reference"])?;
            let number = |value: &Value| value.as_f64().context("a run gave no figure");
            let ms = number(&report["latency_ms"]["median"])?;
            let macs = number(&report["multiply_adds"])?;
            let each = ms / macs;
            table.row([
                model.as_str().into(),
                side.into(),
                Cell::rounded(&ms.into(), 2),
                Cell::rounded(&(macs / 1e9).into(), 3),
                Cell::rounded(&(2e-6 * macs / ms).into(), 1),
                Cell::rounded(&(each / *first.get_or_insert(each)).into(), 2),
            ]);
        }
    }
    Ok(table)
}
