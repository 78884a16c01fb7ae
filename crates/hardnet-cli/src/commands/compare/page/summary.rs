//! The figures of a run against the reference.

use crate::commands::compare::report::{Pair, Paired, p_value};
use crate::commands::compare::settings;
use crate::page::html::{count, name, percent};
use crate::page::tile;

pub(super) fn section(pair: &Pair) -> String {
    let agreement = &pair.agreement;
    let (low, high) = agreement.ci95.unwrap_or((0.0, 100.0));
    let of = format!("{} of {}<br>95&nbsp;%: {low:.2} to {high:.2}", count(agreement.correct), count(agreement.total));
    let mut tiles = tile("Agreement", &percent(agreement.percent.map(|percent| percent / 100.0), 2), &of);
    for (title, paired) in [("Top-1", &pair.top1), ("Top-5", &pair.top5)] {
        if let Some(paired) = paired {
            tiles += &tile(title, &points(paired.difference), &interval(paired));
        }
    }
    if let Some(top1) = &pair.top1 {
        let both_wrong = format!("{} stay wrong with another class", count(pair.both_wrong));
        tiles += &tile("Right to wrong", &count(top1.only_reference), "only the reference is right");
        tiles += &tile("Wrong to right", &count(top1.only_other), &both_wrong);
    }
    format!("<section aria-label=\"Summary\">\n<div class=\"tiles\">\n{tiles}</div>\n{}</section>\n", settings(pair))
}

/// A difference of percentages.
fn points(difference: f64) -> String {
    format!("{difference:+.2}").replace('-', "−")
}

fn interval(paired: &Paired) -> String {
    let (low, high) = paired.ci95;
    let p = p_value(paired.p_value).replace('<', "&lt;");
    format!("points<br>95&nbsp;%: {} to {}<br>McNemar {p}", points(low), points(high))
}

/// The settings that differ.
fn settings(pair: &Pair) -> String {
    if pair.settings.is_empty() {
        return String::new();
    }
    let mut rows = String::new();
    for setting in &pair.settings {
        let [reference, other] = [&setting.reference, &setting.other].map(|value| name(&settings::text(value)));
        rows += &format!("<dt>{}</dt><dd>{reference} → {other}</dd>\n", name(&setting.name));
    }
    format!("<h3>Settings that differ</h3>\n<dl>\n{rows}</dl>\n")
}
