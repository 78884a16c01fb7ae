//! Results of `eval --json`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use hardnet_eval::{Metric, Tally};

use super::Merged;
use super::check::{Part, in_order, is_whole, same};
use crate::failure::{Failure, Result};
use crate::output::OutputFile;
use crate::published::compared;
use crate::report::{EvalReport, Seconds};

/// The largest file that is read.
const MAX_BYTES: u64 = 64 << 20;

/// Fields that shards of one run may differ in. Those about the machine change no figure.
const ASIDE: [&str; 13] = [
    "threads",
    "workers",
    "oriented",
    "shard",
    "top1",
    "top5",
    "loss",
    "loss_sum",
    "errors",
    "published",
    "seconds",
    "images_per_second",
    "partial",
];

/// Merges the results of `shards` into the file `output`.
pub(super) fn merge(shards: &[PathBuf], output: &Path, force: bool) -> Result<Merged> {
    let parts = shards.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
    let parts = in_order(parts)?;
    let pipelines = parts[0].content.len();
    if let Some(other) = parts.iter().find(|part| part.content.len() != pipelines) {
        return Err(Failure::message(format!(
            "{} has results of {} pipelines, `{}` of {pipelines}",
            other.name(),
            other.content.len(),
            parts[0].path.display()
        )));
    }
    let reports = (0..pipelines).map(|pipeline| merged(&parts, pipeline)).collect::<Result<Vec<_>>>()?;
    let mut text = Vec::new();
    for report in &reports {
        // As the result of one pipeline, or a line for each of several.
        let written = if pipelines == 1 { serde_json::to_vec_pretty(report) } else { serde_json::to_vec(report) };
        text.extend(written?);
        text.push(b'\n');
    }
    let mut file = OutputFile::create(output, force)?;
    file.append(&text)?;
    file.finish()?;
    let errors = reports.iter().map(|report| report.errors).max().unwrap_or(0);
    Ok(Merged { written: vec![output.into()], errors })
}

/// The results in a file, one for each pipeline.
fn read(path: &Path) -> Result<Part<Vec<EvalReport>>> {
    let bytes = super::read(path, MAX_BYTES)?;
    let reports =
        serde_json::Deserializer::from_slice(&bytes).into_iter().collect::<serde_json::Result<Vec<EvalReport>>>();
    let reports = reports.with_context(|| format!("`{}` is not a whole result of `eval --json`", path.display()))?;
    let Some(record) = reports.first().and_then(|report| report.shard.clone()) else {
        return Err(Failure::message(format!("`{}` is the result of a whole run, not of a shard", path.display()))
            .hint("merge results of `hardnet eval --shard K/N --json`"));
    };
    Ok(Part::new(path, record, reports))
}

/// The result of one pipeline over all shards.
fn merged(parts: &[Part<Vec<EvalReport>>], pipeline: usize) -> Result<EvalReport> {
    let (first, mut tally) = (&parts[0], Tally::default());
    let mut report = first.content[pipeline].clone();
    let (mut oriented, mut errors, mut seconds) = (0, 0, Seconds::default());
    for part in parts {
        let of_shard = &part.content[pipeline];
        is_whole(part, of_shard.partial)?;
        // How many images there are in tar files is known at the end.
        let without_images = |report: &EvalReport| {
            let mut report = report.clone();
            report.data.images = if report.data.tars.is_some() { 0 } else { report.data.images };
            report
        };
        same(first, part, (&without_images(&first.content[pipeline]), &without_images(of_shard)), &ASIDE)?;
        let (top1, top5, record) = (&of_shard.top1, &of_shard.top5, of_shard.shard.as_ref());
        let sum = of_shard.loss_sum.filter(|_| {
            let images = top1.total.checked_add(of_shard.errors);
            let counts = top1.total == top5.total && top1.correct <= top5.correct && top5.correct <= top5.total;
            counts && record == Some(&part.record) && part.record.has_images(images)
        });
        let Some(sum) = sum else {
            return Err(Failure::message(format!("{} has counts that do not belong together", part.name())));
        };
        tally.merge(&Tally::from_counts(top1.total, top1.correct, top5.correct, sum));
        oriented = usize::saturating_add(oriented, of_shard.oriented);
        errors = usize::saturating_add(errors, of_shard.errors);
        seconds.total += of_shard.seconds.total;
        seconds.loading += of_shard.seconds.loading;
        seconds.network += of_shard.seconds.network;
    }
    if report.data.tars.is_some() {
        report.data.images = tally.top1().total.saturating_add(errors);
    }
    report.shard = None;
    report.oriented = oriented;
    report.top1 = tally.top1().into();
    report.top5 = tally.top5().into();
    report.loss = tally.loss();
    report.loss_sum = None;
    report.errors = errors;
    report.images_per_second = (seconds.total > 0.0).then(|| tally.top1().total as f64 / seconds.total);
    report.seconds = seconds;
    let compare = |one: &crate::published::Comparison| compared((one.top1, one.top5), one.source.clone(), &tally);
    report.published = report.published.iter().map(compare).collect();
    Ok(report)
}
