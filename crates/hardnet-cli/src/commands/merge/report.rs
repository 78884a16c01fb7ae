//! Results of `eval --json`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use hardnet_classifier::Labels;
use hardnet_eval::{Metric, Tally};

use super::check::{Part, in_order, is_whole, same_settings};
use super::outputs::{Outputs, without};
use super::{MergeArgs, Merged};
use crate::commands::eval::{ClassCounts, Details, PageParts, below_top1};
use crate::failure::{Failure, Result};
use crate::pipeline::path_of_pipeline;
use crate::published::compared;
use crate::report::{EvalReport, Seconds};

/// The largest file that is read.
const MAX_BYTES: u64 = 64 << 20;

/// Fields that are counted.
const COUNTS: [&str; 7] = ["oriented", "top1", "top5", "loss", "loss_sum", "details", "published"];

/// Merges the results of `shards`.
pub(super) fn merge(shards: &[PathBuf], args: &MergeArgs) -> Result<Merged> {
    args.refuse(&[("--min-miou", args.min_miou.is_some())], "classifiers have `--min-top1`")?;
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
    let mut outputs = Outputs::new(args);
    let (mut text, mut names) = (String::new(), Vec::new());
    for (pipeline, report) in reports.iter().enumerate() {
        let details = &parts[0].content[pipeline].details;
        let name = details.as_ref().map(|details| &details.pipeline).or(report.pipeline.name.as_ref());
        let name = name.map_or("custom", String::as_str);
        let path = |path: &Path| if pipelines > 1 { path_of_pipeline(name, path) } else { path.into() };
        if let Some(file) = &args.per_class {
            outputs.add(path(file), table(&parts, pipeline)?)?;
        }
        if let Some(folder) = &args.report {
            outputs.add_page(folder, &path(Path::new("index.html")), page(&parts, pipeline, report)?)?;
        }
        names.push((name, report.top1.percent));
        // As the result of one pipeline, or a line for each of several.
        let written = if pipelines == 1 { serde_json::to_string_pretty(report) } else { serde_json::to_string(report) };
        text += &(written? + "\n");
    }
    outputs.add(args.output.clone(), text)?;
    let below = args.min_top1.map_or(Vec::new(), |least| below_top1(least, &names));
    let errors = reports.iter().map(|report| report.errors).max().unwrap_or(0);
    Ok(Merged { written: outputs.finish()?, errors, below })
}

/// Picks one part of the details of a pipeline from each shard, by `part_of`, with the names of the classes. The error
/// for a shard that ran without `option` calls the part `what`.
fn details<'a, T>(
    parts: &'a [Part<Vec<EvalReport>>],
    pipeline: usize,
    part_of: impl Fn(&'a Details) -> Option<&'a T>,
    (what, option): (&str, &str),
) -> Result<(Labels, Vec<&'a T>)> {
    let (mut labels, mut found) = (None, Vec::new());
    for part in parts {
        let details = part.content[pipeline].details.as_deref();
        let Some((details, wanted)) = details.and_then(|details| Some((details, part_of(details)?))) else {
            return Err(without(part, what, option));
        };
        labels.get_or_insert_with(|| details.labels());
        found.push(wanted);
    }
    Ok((labels.unwrap_or_else(|| Labels::guess(0)), found))
}

/// The table of classes of all shards.
fn table(parts: &[Part<Vec<EvalReport>>], pipeline: usize) -> Result<String> {
    let (labels, of_shards) =
        details(parts, pipeline, |details| details.per_class.as_ref(), ("counts of classes", "--per-class"))?;
    let mut counts = ClassCounts::default();
    of_shards.into_iter().for_each(|of_shard| counts.merge(of_shard));
    Ok(counts.table(&labels))
}

/// The page of all shards, whose result is `report`.
fn page(parts: &[Part<Vec<EvalReport>>], pipeline: usize, report: &EvalReport) -> Result<String> {
    let (labels, pages) =
        details(parts, pipeline, |details| details.page.as_ref(), ("counts for the page", "--report"))?;
    Ok(PageParts::merged(pages).html(report, &labels))
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
        // How many images there are in tar files is known at the end. Details are large.
        let settings = |report: &EvalReport| {
            let mut report = EvalReport { details: None, ..report.clone() };
            report.data.images = if report.data.tars.is_some() { 0 } else { report.data.images };
            report
        };
        same_settings(first, part, (&settings(&first.content[pipeline]), &settings(of_shard)), &COUNTS)?;
        let details = of_shard.details.as_ref();
        let (top1, top5, record) = (&of_shard.top1, &of_shard.top5, of_shard.shard.as_ref());
        let sum = of_shard.loss_sum.filter(|_| {
            let images = top1.total.checked_add(of_shard.errors);
            let counts = top1.total == top5.total && top1.correct <= top5.correct && top5.correct <= top5.total;
            let belong = counts && record == Some(&part.record) && part.record.has_images(images);
            belong && details.is_none_or(|details| details.are_of(of_shard))
        });
        let all = tally.top1().total.checked_add(top1.total);
        let (Some(sum), Some(_)) = (sum, all) else {
            return Err(part.damaged("has counts that do not belong together"));
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
    (report.shard, report.details) = (None, None);
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
