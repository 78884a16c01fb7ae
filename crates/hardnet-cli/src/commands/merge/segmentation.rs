//! Results of `eval --json` of segmentation networks.

use std::path::{Path, PathBuf};

use anyhow::Context;
use hardnet_segmentation::Confusion;
use serde::Deserialize;

use super::check::{Part, in_order, is_whole, same, same_settings};
use super::outputs::{Outputs, without};
use super::{MergeArgs, Merged};
use crate::commands::eval::{SegmentationPage as PageParts, SegmentationReport, TASK, below_miou};
use crate::failure::{Failure, Result};
use crate::report::Seconds;

/// The largest file that is read.
const MAX_BYTES: u64 = 64 << 20;

/// Fields that are counted.
const COUNTS: [&str; 9] = [
    "mean_iou",
    "pixel_accuracy",
    "mean_accuracy",
    "frequency_weighted_iou",
    "pixels",
    "correct",
    "classes",
    "confusion",
    "page",
];

/// Whether a file is such a result.
pub(super) fn is_one(path: &Path) -> Result<bool> {
    #[derive(Deserialize)]
    struct Task {
        task: String,
    }
    let bytes = super::read(path, MAX_BYTES)?;
    Ok(serde_json::from_slice::<Task>(&bytes).is_ok_and(|found| found.task == TASK))
}

/// Merges the results of `shards`.
pub(super) fn merge(shards: &[PathBuf], args: &MergeArgs) -> Result<Merged> {
    args.refuse(&[("--min-top1", args.min_top1.is_some())], "segmentation networks have `--min-miou`")?;
    let parts = in_order(shards.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?)?;
    let first = &parts[0];
    let mut report = first.content.clone();
    let mut confusion = counts(first)?;
    let (mut images, mut errors, mut seconds, mut pixels) = (0, 0, Seconds::default(), 0_u64);
    for part in &parts {
        let own = &part.content;
        is_whole(part, own.partial)?;
        same_settings(first, part, (&without_page(&first.content), &without_page(own)), &COUNTS)?;
        let of_shard = counts(part)?;
        let read = (part.record.end - part.record.first).checked_sub(own.errors);
        let (Some(read), Some(sum)) = (read, pixels.checked_add(of_shard.total())) else {
            return Err(wrong(part));
        };
        if part.record.index > 0 {
            confusion.merge(&of_shard);
        }
        (images, errors, pixels) = (images + read, errors + own.errors, sum);
        seconds.total += own.seconds.total;
        seconds.loading += own.seconds.loading;
        seconds.network += own.seconds.network;
    }
    (report.shard, report.page) = (None, None);
    report.count(&confusion, (images, errors), seconds);
    let mut outputs = Outputs::new(args);
    if let Some(path) = &args.per_class {
        outputs.add(path.clone(), report.csv())?;
    }
    if let Some(folder) = &args.report {
        outputs.add_page(folder, Path::new("index.html"), page(&parts)?.html(&report, &confusion))?;
    }
    outputs.add(args.output.clone(), serde_json::to_string_pretty(&report)? + "\n")?;
    let below = args.min_miou.and_then(|least| below_miou(least, &report)).into_iter().collect();
    Ok(Merged { written: outputs.finish()?, errors, below })
}

/// A result without the page, which is large.
fn without_page(report: &SegmentationReport) -> SegmentationReport {
    let mut report = report.clone();
    report.page = None;
    report
}

/// The parts of the page of all shards.
fn page(parts: &[Part<SegmentationReport>]) -> Result<PageParts> {
    let page = |part: &Part<SegmentationReport>| {
        part.content.page.clone().ok_or_else(|| without(part, "images for the page", "--report"))
    };
    let pages = parts.iter().map(page).collect::<Result<Vec<_>>>()?;
    for (part, page) in parts.iter().zip(&pages) {
        same(&parts[0], part, (&pages[0].colors(), &page.colors()), &[])?;
    }
    Ok(PageParts::merged(&pages).expect("there is a shard"))
}

fn read(path: &Path) -> Result<Part<SegmentationReport>> {
    let bytes = super::read(path, MAX_BYTES)?;
    let report: SegmentationReport = serde_json::from_slice(&bytes)
        .with_context(|| format!("`{}` is not a result of `eval --json` of a segmentation network", path.display()))?;
    let Some(record) = report.shard.clone() else {
        return Err(Failure::message(format!("`{}` is the result of a whole run, not of a shard", path.display()))
            .hint("merge results of `hardnet eval --shard K/N --json`"));
    };
    Ok(Part::new(path, record, report))
}

fn wrong(part: &Part<SegmentationReport>) -> Failure {
    part.damaged("has counts that do not belong together")
}

/// The confusion of a shard, whose sums are those that it gives.
fn counts(part: &Part<SegmentationReport>) -> Result<Confusion> {
    let report = &part.content;
    let classes = report.classes();
    let rows = &report.confusion;
    let sum = rows.iter().flatten().try_fold(0_u64, |sum, pixels| sum.checked_add(*pixels));
    let is_square = rows.len() == classes && rows.iter().all(|row| row.len() == classes);
    Some(rows.concat())
        .filter(|_| is_square && sum == Some(report.pixels()))
        .and_then(|pixels| Confusion::from_pixels(classes, pixels))
        .ok_or_else(|| wrong(part))
}
