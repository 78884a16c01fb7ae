//! `hardnet bench --all`: the tables of `docs/performance` that the program can measure, and the page that shows them all.
//!
//! Each figure comes from a run of this program in a process of its own, so that its memory is that of one network. The tables
//! are files of JSON, as other programs of the project write them too; the page is made of whatever tables are there.

mod table;

use std::path::Path;
use std::process::Command;

use hardnet_model::Variant;
use serde_json::Value;

use crate::failure::{Exit, Failure, Result};
use crate::printer::Printer;
use table::{Cell, Table, page};

/// Where the tables lie, from the root of the project.
const TABLES: &str = "docs/performance";

/// The page that shows them.
const PAGE: &str = "docs/performance.md";

/// Sides of square images.
const SIDES: [usize; 4] = [224, 320, 512, 1024];

/// Measures, and writes the page anew.
pub(super) fn run(printer: &Printer) -> Result<Exit> {
    let folder = tables()?;
    engines()?.write(folder, "engines")?;
    sizes()?.write(folder, "sizes")?;
    write_page(printer)
}

/// Writes the page from the tables that are there.
pub(super) fn write_page(printer: &Printer) -> Result<Exit> {
    std::fs::write(PAGE, page(&Table::read_all(tables()?)?))?;
    printer.line(format_args!("wrote {PAGE}"))?;
    Ok(Exit::Success)
}

/// The folder of the tables.
fn tables() -> Result<&'static Path> {
    if !Path::new("docs").is_dir() {
        return Err(Failure::message("there is no folder `docs` here").hint("run this at the root of the project"));
    }
    let folder = Path::new(TABLES);
    std::fs::create_dir_all(folder)?;
    Ok(folder)
}

/// Every network by both engines.
fn engines() -> Result<Table> {
    let columns =
        ["model", "engine", "batch", "threads", "ms", "images/s", "MiB", "plan MiB", "ready after ms", "logits"];
    let mut table = Table::new(
        "Networks by engine",
        "Median milliseconds for a batch of images of 224x224 pixels with the formula's weights. `MiB` is the greatest resident set of \
         the process, `plan MiB` what the plan holds, `logits` the greatest difference of a logit to the Candle network's.",
        &columns,
    );
    let threads = crate::knobs::threads();
    let choices = [("plan", 1, 1, 30), ("plan", 1, threads, 30), ("plan", 8, threads, 10), ("candle", 1, threads, 3)];
    for variant in Variant::ALL {
        for (engine, batch, threads, iters) in choices {
            let [batch, threads, iters] = [batch, threads, iters].map(|number: usize| number.to_string());
            let report = measure(
                variant,
                &["--engine", engine, "--batch-size", &batch, "--threads", &threads, "--iters", &iters],
            )?;
            table.row([
                variant.name().into(),
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

/// How the time grows with the image.
fn sizes() -> Result<Table> {
    let columns = ["model", "side", "ms", "GMAC", "GFLOP/s", "time by multiply-adds"];
    let mut table = Table::new(
        "Sizes of images",
        "Median milliseconds of the plan for one image on all threads. GFLOP/s count the operations of direct convolutions. The last column \
         is the time for a multiply-add by that at 224x224 pixels.",
        &columns,
    );
    for variant in Variant::ALL {
        let mut first = None;
        for side in SIDES {
            let iters = (30 * 224 * 224 / (side * side)).max(5).to_string();
            let report = measure(variant, &["--img-size", &side.to_string(), "--iters", &iters, "--no-reference"])?;
            let number = |value: &Value| value.as_f64().ok_or_else(|| Failure::message("a run gave no figure"));
            let ms = number(&report["latency_ms"]["median"])?;
            let macs = number(&report["multiply_adds"])?;
            let each = ms / macs;
            table.row([
                variant.name().into(),
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

/// What `hardnet bench` reports of `variant` with more `arguments`.
fn measure(variant: Variant, arguments: &[&str]) -> Result<Value> {
    let program = std::env::current_exe()?;
    let output = Command::new(program).args(["bench", variant.name(), "--json"]).args(arguments).output()?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::message(format!("`hardnet bench {variant}` failed: {}", message.trim())));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
