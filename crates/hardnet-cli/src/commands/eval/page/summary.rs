//! The figures of the whole run.

use super::Content;
use crate::page::html::{Text, count, images, name, percent};
use crate::page::tile;
use crate::report::Share;

/// Network and images, in one paragraph.
pub(super) fn lead(content: &Content) -> String {
    let report = content.report;
    let sha256 = report.weights.sha256.get(..12).unwrap_or_default();
    format!(
        "<p>{} classes, {} of {}; weights {}, SHA&#8209;256 <code>{sha256}…</code></p>{}",
        count(content.classes),
        images(report.top1.total),
        name(&report.data.data_dir),
        name(&report.weights.path),
        warnings(content),
    )
}

/// Limitations of the results.
fn warnings(content: &Content) -> String {
    let report = content.report;
    let mut html = String::new();
    if report.partial {
        let done = report.top1.total + report.errors;
        html += &format!(
            "<p class=\"warning\">The run was stopped after {} of {}. The results are for these images.</p>\n",
            count(done),
            images(report.data.images)
        );
    }
    if report.errors > 0 {
        let of = images(report.errors);
        html += &format!("<p class=\"warning\">{of} could not be read and are not included.</p>\n");
    }
    html
}

pub(super) fn section(content: &Content) -> String {
    let report = content.report;
    let calibration = content.breakdown.calibration();
    let speed = report.images_per_second.map_or("–".into(), |speed| format!("{speed:.1}"));
    let loss = report.loss.map_or("–".into(), |loss| format!("{loss:.4}"));
    let seconds = report.seconds;
    let time = format!("{:.1}&nbsp;s on {}, {} engine", seconds.total, Text(&report.device), report.engine);
    let tiles = [
        tile("Top-1", &share(&report.top1), &interval(&report.top1)),
        tile("Top-5", &share(&report.top5), &interval(&report.top5)),
        tile("Loss", &loss, "mean cross entropy in nats"),
        tile("Calibration error", &percent(calibration.error(), 2), "expected, by 15 bins"),
        tile("Images/s", &speed, &time),
    ]
    .concat();
    format!("<section aria-label=\"Summary\">\n<div class=\"tiles\">\n{tiles}</div>\n</section>\n")
}

fn share(share: &Share) -> String {
    percent(share.percent.map(|percent| percent / 100.0), 2)
}

fn interval(share: &Share) -> String {
    match share.ci95 {
        Some((low, high)) => {
            format!("{} of {}<br>95&nbsp;%: {low:.2} to {high:.2}", count(share.correct), count(share.total))
        }
        None => "no readable image".into(),
    }
}
