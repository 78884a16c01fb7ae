//! The runs, their accuracies and how often they agree.

use super::Content;
use crate::page::html::{count, images, name, percent};
use crate::pipeline::describe;
use crate::report::Share;

/// Number of images, and what a reader should know.
pub(super) fn lead(content: &Content) -> String {
    let report = content.report;
    let notes: String = report.notes.iter().map(|note| format!("<p class=\"note\">{}</p>\n", name(note))).collect();
    format!("<p>{} in all files, matched by name</p>\n{notes}", images(report.images))
}

pub(super) fn section(content: &Content) -> String {
    let report = content.report;
    let mut rows = String::new();
    for (run, file) in report.runs.iter().zip(&content.files) {
        let record = run.run.as_ref();
        let pipeline = record.and_then(|run| run.pipeline.as_ref()).map(|record| describe(&record.pipeline));
        rows += &format!(
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"wide\">{}</td></tr>\n",
            name(file),
            share(run.top1.as_ref()),
            share(run.top5.as_ref()),
            pipeline.map_or("–".into(), |pipeline| name(&pipeline)),
        );
    }
    let matrix = if content.files.len() > 2 { matrix(content) } else { String::new() };
    format!(
        "<section>\n<h2>Runs</h2>\n<table>\n<thead><tr><th>File</th><th class=\"n\">Top-1</th><th class=\"n\">Top-5</th>\
         <th class=\"wide\">Pipeline</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n{matrix}</section>\n"
    )
}

fn share(share: Option<&Share>) -> String {
    percent(share.and_then(|share| share.percent).map(|percent| percent / 100.0), 2)
}

/// Images with the same class in two runs.
fn matrix(content: &Content) -> String {
    let report = content.report;
    let head: String = (1..=content.files.len()).map(|number| format!("<th class=\"n\">{number}</th>")).collect();
    let mut rows = String::new();
    for ((row, file), number) in report.agreement.iter().zip(&content.files).zip(1..) {
        let cell = |&same: &usize| {
            let agreement = percent(Some(same as f64 / report.images as f64), 2);
            format!("<td class=\"n\" title=\"{} images\">{agreement}</td>", count(same))
        };
        rows += &format!("<tr><td>{number} {}</td>{}</tr>\n", name(file), row.iter().map(cell).collect::<String>());
    }
    format!(
        "<h3>Agreement</h3>\n<p>Images that two runs give the same class.</p>\n\
         <div class=\"sideways\" tabindex=\"0\" role=\"region\" aria-label=\"Agreement\">\n<table>\n\
         <thead><tr><th></th>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n"
    )
}
