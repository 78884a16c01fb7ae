//! The results of several pipelines as a table.

use crate::report::{self, EvalReport, Seconds, Share};

/// Columns before the last are aligned by their longest text.
type Row = Vec<String>;

/// The lines for the reports of pipelines by name, one for each; with `published` accuracies, one for each of them.
pub(super) fn lines(reports: &[(&str, &EvalReport)], published: bool) -> Vec<String> {
    let rows = if published { compared(reports) } else { measured(reports) };
    let mut lines = aligned(&rows);
    let (_, first) = reports[0];
    // The pass is one, and so are its time and the time spent waiting.
    let network = reports.iter().map(|(_, report)| report.seconds.network).sum();
    let seconds = Seconds { network, ..first.seconds };
    lines.push(report::speed(first.images_per_second, seconds));
    for (name, report) in reports.iter().filter(|(_, report)| report.errors > 0) {
        lines.push(format!("errors {} images could not be read by {name} and are not included", report.errors));
    }
    lines.extend(report::partial(first));
    lines
}

fn measured(reports: &[(&str, &EvalReport)]) -> Vec<Row> {
    let head = ["pipeline", "top-1", "95 % interval", "top-5", "95 % interval", "loss", "images"];
    let interval = |share: &Share| share.ci95.map_or("-".into(), |(low, high)| format!("{low:.2} to {high:.2}"));
    let row = |(name, report): &(&str, &EvalReport)| {
        let loss = report.loss.map_or("-".into(), |loss| format!("{loss:.4}"));
        let EvalReport { top1, top5, .. } = report;
        vec![
            (*name).into(),
            percent(top1.percent),
            interval(top1),
            percent(top5.percent),
            interval(top5),
            loss,
            top1.total.to_string(),
        ]
    };
    std::iter::once(head.map(Into::into).to_vec()).chain(reports.iter().map(row)).collect()
}

fn compared(reports: &[(&str, &EvalReport)]) -> Vec<Row> {
    let head =
        ["pipeline", "top-1", "published", "difference", "top-5", "published", "difference", "images", "published by"];
    let mut rows = vec![head.map(Into::into).to_vec()];
    let points = |points: Option<f64>| points.map_or("-".into(), |points| format!("{points:+.2}"));
    for (name, report) in reports {
        let (top1, top5) = (percent(report.top1.percent), percent(report.top5.percent));
        let mut row = |[top1_published, top1_difference, top5_published, top5_difference]: [String; 4], by: &str| {
            rows.push(vec![
                (*name).into(),
                top1.clone(),
                top1_published,
                top1_difference,
                top5.clone(),
                top5_published,
                top5_difference,
                report.top1.total.to_string(),
                by.into(),
            ]);
        };
        for one in &report.published {
            let (top1, top5) = (percent(Some(one.top1)), percent(one.top5));
            row([top1, points(one.top1_difference), top5, points(one.top5_difference)], &one.source);
        }
        if report.published.is_empty() {
            row([(); 4].map(|()| "-".into()), "-");
        }
    }
    rows
}

fn percent(percent: Option<f64>) -> String {
    percent.map_or("-".into(), |percent| format!("{percent:.2} %"))
}

/// The rows as lines: the first column to the left, the others to the right, a last column of words to the left.
fn aligned(rows: &[Row]) -> Vec<String> {
    let columns = rows[0].len();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let is_words = |column: usize| column == 0 || rows[0][column] == "published by";
    let line = |row: &Row| {
        let cells = row.iter().enumerate().map(|(column, text)| {
            let width = widths[column];
            if is_words(column) { format!("{text:<width$}") } else { format!("{text:>width$}") }
        });
        cells.collect::<Vec<_>>().join("   ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_aligned_at_the_right() {
        let row = |cells: [&str; 3]| cells.map(String::from).to_vec();
        let rows = [row(["pipeline", "top-1", "images"]), row(["a", "100.00 %", "9"]), row(["b", "9.50 %", "1000"])];
        assert_eq!(
            aligned(&rows),
            ["pipeline      top-1   images", "a          100.00 %        9", "b            9.50 %     1000"]
        );
    }
}
