//! The result of a comparison as text.

use hardnet_base::excerpt_of;
use hardnet_eval::PredictedClass;

use super::report::{
    Changed, CompareReport, Counts, GAINED, LOST, Pair, Paired, Range, UNLABELED, p_value, short_files, short_name,
};
use super::settings;
use crate::format::counted;
use crate::report::Share;

/// The longest class name and the longest path that are printed, in characters.
const MAX_NAME: usize = 28;
const MAX_PATH: usize = 60;

/// The lines for people, with at most `show` classes and images of each kind.
pub(super) fn lines(report: &CompareReport, show: usize) -> Vec<String> {
    let files = short_files(report);
    let mut lines = vec![counted(report.images, "image"), String::new()];
    lines.extend(runs(report, &files));
    if files.len() > 2 {
        lines.extend([String::new(), "agreement, %".into()]);
        lines.extend(matrix(report, &files));
    }
    for (pair, other) in report.comparisons.iter().zip(&files[1..]) {
        lines.extend([String::new(), format!("{other} against {}", files[0])]);
        lines.extend(comparison(pair, show));
    }
    lines
}

fn runs(report: &CompareReport, files: &[String]) -> Vec<String> {
    let percent = |share: &Option<Share>| {
        let percent = share.as_ref().and_then(|share| share.percent);
        percent.map_or("-".into(), |percent| format!("{percent:.2} %"))
    };
    let mut rows = vec![["run", "top-1", "top-5", "pipeline"].map(String::from).to_vec()];
    for (run, file) in report.runs.iter().zip(files) {
        let pipeline = run.run.as_ref().and_then(|run| run.pipeline.as_ref());
        let pipeline = pipeline.map_or("-".into(), |record| crate::pipeline::describe(&record.pipeline));
        rows.push(vec![file.clone(), percent(&run.top1), percent(&run.top5), pipeline]);
    }
    columns(&rows, "<>><")
}

/// Images with the same class in two runs, in percent.
fn matrix(report: &CompareReport, files: &[String]) -> Vec<String> {
    let head = (1..=files.len()).map(|number| number.to_string());
    let mut rows = vec![[String::new()].into_iter().chain(head).collect::<Vec<_>>()];
    for ((row, file), number) in report.agreement.iter().zip(files).zip(1..) {
        let cells = row.iter().map(|&images| format!("{:.2}", 100.0 * images as f64 / report.images as f64));
        rows.push([format!("{number} {file}")].into_iter().chain(cells).collect());
    }
    columns(&rows, &format!("<{}", ">".repeat(files.len())))
}

fn comparison(pair: &Pair, show: usize) -> Vec<String> {
    let mut facts = vec![vec!["agreement".into(), agreement(&pair.agreement)]];
    for (name, paired) in [("top-1", &pair.top1), ("top-5", &pair.top5)] {
        facts.extend(paired.as_ref().map(|paired| vec![name.into(), difference(paired)]));
    }
    if let Some(top1) = &pair.top1 {
        let (lost, gained, wrong) = (top1.only_reference, top1.only_other, pair.both_wrong);
        let text = format!("{lost} right to wrong, {gained} wrong to right, {wrong} wrong in another way");
        facts.push(vec!["changes".into(), text]);
    }
    for setting in &pair.settings {
        let [reference, other] =
            [&setting.reference, &setting.other].map(|value| excerpt_of(&settings::text(value), 64));
        facts.push(vec![setting.name.clone(), format!("{reference} -> {other}")]);
    }
    let mut lines = indented(columns(&facts, "<<"));
    lines.extend(classes(pair, show));
    lines.extend(ranges("short side, pixels", &pair.short_sides, 0));
    lines.extend(ranges("width / height", &pair.aspect_ratios, 2));
    lines.extend(changes("right to wrong", pair, LOST, show));
    lines.extend(changes("wrong to right", pair, GAINED, show));
    if pair.top1.is_none() {
        lines.extend(changes("another class", pair, UNLABELED, show));
    }
    lines
}

fn agreement(share: &Share) -> String {
    let percent = share.percent.unwrap_or(0.0);
    let (low, high) = share.ci95.unwrap_or((0.0, 100.0));
    let (same, total) = (share.correct, share.total);
    format!("{percent:.2} %  ({same} of {total} have the same class, 95 % interval {low:.2} to {high:.2})")
}

/// The difference of two accuracies.
fn difference(paired: &Paired) -> String {
    let (low, high) = paired.ci95;
    let p = p_value(paired.p_value);
    format!("{:+.2} points  (95 % interval {low:+.2} to {high:+.2}; McNemar's exact test: {p})", paired.difference)
}

/// The classes whose accuracy differs most.
fn classes(pair: &Pair, show: usize) -> Vec<String> {
    let differing = pair.classes.iter().filter(|class| class.counts.only_reference + class.counts.only_other > 0);
    let mut rows = Vec::new();
    for class in differing.clone().take(show) {
        let name = excerpt_of(short_name(class.class, &class.name), MAX_NAME);
        rows.push([vec![format!("{} {name}", class.class)], counts(class.counts)].concat());
    }
    let title = match differing.count() {
        count if count > show => format!("class, {show} of {count}"),
        _ => "class".into(),
    };
    group_table(&title, rows)
}

fn ranges(title: &str, ranges: &[Range], decimals: usize) -> Vec<String> {
    let row = |range: &Range| {
        let name = match range.to {
            Some(to) => format!("{:.decimals$} to {to:.decimals$}", range.from),
            None => format!("from {:.decimals$}", range.from),
        };
        [vec![name], counts(range.counts)].concat()
    };
    group_table(title, ranges.iter().map(row).collect())
}

/// Images, changed, lost, gained and the balance.
fn counts(counts: Counts) -> Vec<String> {
    let share = format!("{:.2}", 100.0 * counts.changed as f64 / counts.images as f64);
    let numbers = [counts.images, counts.changed].map(|count| count.to_string());
    let flips = [counts.only_reference, counts.only_other].map(|count| count.to_string());
    [numbers.to_vec(), vec![share], flips.to_vec(), vec![format!("{:+}", counts.net())]].concat()
}

/// A table of groups; nothing without rows.
fn group_table(title: &str, rows: Vec<Vec<String>>) -> Vec<String> {
    if rows.is_empty() {
        return Vec::new();
    }
    let head = [title, "images", "changed", "%", "lost", "gained", "net"].map(String::from).to_vec();
    [vec![String::new()], indented(columns(&[vec![head], rows].concat(), "<>>>>>>"))].concat()
}

/// Images with this verdict, the surest first; nothing without images.
fn changes(title: &str, pair: &Pair, verdict: &str, show: usize) -> Vec<String> {
    let with_verdict = pair.changes.iter().filter(|change| change.verdict == verdict);
    let count = with_verdict.clone().count();
    if count == 0 {
        return Vec::new();
    }
    let of = if count > show { format!(", {show} of {count}") } else { String::new() };
    let rows: Vec<_> = with_verdict.take(show).map(change).collect();
    [vec![String::new(), format!("  {title}{of}")], indented(indented(columns(&rows, "<<<")))].concat()
}

fn change(change: &Changed) -> Vec<String> {
    let hit = |hit: &PredictedClass| {
        let name = excerpt_of(short_name(hit.index, &hit.name), MAX_NAME);
        format!("{name} {:.1} %", 100.0 * hit.probability)
    };
    let mut row =
        vec![excerpt_of(&change.path, MAX_PATH), format!("{} -> {}", hit(&change.reference), hit(&change.other))];
    row.extend(change.width.zip(change.height).map(|(width, height)| format!("{width}x{height}")));
    row
}

fn indented(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().map(|line| if line.is_empty() { line } else { format!("  {line}") }).collect()
}

/// Rows with columns of equal width, two blanks apart: `<` of `alignment` puts a column to the left, `>` to the right.
fn columns(rows: &[Vec<String>], alignment: &str) -> Vec<String> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..alignment.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).zip(alignment.chars());
        let padded = cells.map(|((cell, &width), side)| match side {
            '>' => format!("{cell:>width$}"),
            _ => format!("{cell:<width$}"),
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["é", "1", "x"], ["abc", "100", ""]].map(|row| row.map(String::from).to_vec());
        assert_eq!(columns(&rows, "<><"), ["é      1  x", "abc  100"]);
    }

    #[test]
    fn p_values_are_short() {
        let found = [1.0, 0.5, 0.04321, 0.000_123, 4.2e-40, 0.0].map(p_value);
        assert_eq!(found, ["p = 1.000", "p = 0.500", "p = 0.043", "p = 1.2e-4", "p = 4.2e-40", "p < 1e-307"]);
    }
}
