//! How sure the network is, and how often it is then right.

use std::fmt::Write;

use hardnet_eval::{Calibration, CalibrationBin};

use super::Content;
use crate::page::html::{count, percent};

/// The area of a chart, in units of its picture.
const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 210.0;

pub(super) fn section(content: &Content) -> String {
    let calibration = content.breakdown.calibration();
    let body = match (calibration.confidence(), calibration.error()) {
        (Some(confidence), Some(error)) => {
            let top1 = content.report.top1.percent.unwrap_or(0.0) / 100.0;
            let apart = 100.0 * (confidence - top1);
            let verdict = if apart >= 0.0 { "more" } else { "less" };
            format!(
                "<p>Confidence is the probability of the most probable class. Its mean is {}, {:.2} points {verdict} than top-1; \
                 the expected calibration error over {} bins is {}.</p>\n<div class=\"pair\">\n{}{}</div>\n{}",
                percent(Some(confidence), 2),
                apart.abs(),
                Calibration::BINS,
                percent(Some(error), 2),
                histogram(calibration),
                reliability(calibration),
                numbers(calibration),
            )
        }
        _ => String::new(),
    };
    format!("<section>\n<h2>Confidence</h2>\n{body}</section>\n")
}

/// Images by confidence, correct below wrong.
fn histogram(calibration: &Calibration) -> String {
    let most = calibration.bins().iter().map(|bin| bin.top1.total).max().unwrap_or(0);
    let top = nice_top(most);
    let mut marks = String::new();
    for (x, bin) in columns(calibration) {
        let height = |images: usize| HEIGHT * images as f64 / top as f64;
        let (right, wrong) = (height(bin.top1.correct), height(bin.top1.total - bin.top1.correct));
        marks += &column("right", x, HEIGHT - right, right);
        marks += &column("wrong", x, HEIGHT - right - wrong, wrong);
    }
    let ticks: Vec<_> =
        (0..=4).filter(|quarter| (top * quarter).is_multiple_of(4)).map(|quarter| top * quarter / 4).collect();
    let ticks = ticks.iter().map(|&images| (images as f64 / top as f64, count(images)));
    let caption = "Images by confidence: <span class=\"right\">correct</span> and <span class=\"wrong\">wrong</span>";
    chart("Images by confidence", caption, &marks, ticks)
}

/// Accuracy by confidence, with the 95 % interval of each bin.
fn reliability(calibration: &Calibration) -> String {
    let mut marks = String::new();
    for (x, bin) in columns(calibration) {
        let Some(accuracy) = bin.accuracy() else { continue };
        marks += &column("right", x, HEIGHT * (1.0 - accuracy), HEIGHT * accuracy);
    }
    for (x, bin) in columns(calibration) {
        let Some((low, high)) = bin.top1.interval95() else { continue };
        let middle = x + 0.5 * WIDTH / Calibration::BINS as f64;
        let y = |percent: f64| HEIGHT * (1.0 - percent / 100.0);
        let _ = writeln!(marks, "<path class=\"whisker\" d=\"M{middle:.1} {:.1}V{:.1}\"/>", y(low), y(high));
    }
    let _ = writeln!(marks, "<path class=\"ideal\" d=\"M0 {HEIGHT}L{WIDTH} 0\"/>");
    let ticks = (0..=5).map(|fifth| (f64::from(fifth) / 5.0, format!("{} %", 20 * fifth)));
    let caption = "Accuracy by confidence, with 95&nbsp;% intervals; the dashed line is perfect calibration";
    chart("Reliability", caption, &marks, ticks)
}

/// Each bin with the left edge of its column.
fn columns(calibration: &Calibration) -> impl Iterator<Item = (f64, &CalibrationBin)> {
    let bins = calibration.bins().iter().enumerate();
    bins.map(|(index, bin)| (WIDTH * index as f64 / Calibration::BINS as f64, bin))
}

fn column(class: &str, x: f64, y: f64, height: f64) -> String {
    if height <= 0.0 {
        return String::new();
    }
    let width = WIDTH / Calibration::BINS as f64 - 2.0;
    format!("<rect class=\"{class}\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>\n", x + 1.0)
}

/// A chart over confidence; `ticks` are shares of the height and what they mean.
fn chart(title: &str, caption: &str, marks: &str, ticks: impl Iterator<Item = (f64, String)>) -> String {
    let mut axes = String::new();
    for (share, text) in ticks {
        let y = HEIGHT * (1.0 - share);
        let _ = writeln!(
            axes,
            "<path class=\"grid\" d=\"M0 {y:.1}H{WIDTH}\"/><text class=\"end\" x=\"-6\" y=\"{:.1}\">{text}</text>",
            y + 4.5
        );
    }
    for fifth in 0..=5 {
        let x = WIDTH * f64::from(fifth) / 5.0;
        let _ = writeln!(axes, "<text class=\"middle\" x=\"{x:.1}\" y=\"{}\">{} %</text>", HEIGHT + 18.0, 20 * fifth);
    }
    format!(
        "<figure class=\"chart\">\n<figcaption>{caption}</figcaption>\n\
         <svg viewBox=\"-50 -10 410 240\" role=\"img\" aria-label=\"{title}\">\n{axes}{marks}</svg>\n</figure>\n"
    )
}

/// The least of 1, 2, 3, 4, 6 or 8 times a power of ten that is at least `most`, and at least 4.
fn nice_top(most: usize) -> usize {
    let mut scale = 1usize;
    loop {
        for step in [1, 2, 3, 4, 6, 8] {
            let top = scale.saturating_mul(step);
            if top >= most.max(4) {
                return top;
            }
        }
        scale = scale.saturating_mul(10);
    }
}

fn numbers(calibration: &Calibration) -> String {
    let mut rows = String::new();
    for (index, bin) in calibration.bins().iter().enumerate() {
        let edge = |bin: usize| 100.0 * bin as f64 / Calibration::BINS as f64;
        let _ = writeln!(
            rows,
            "<tr><td class=\"n\">{:.1} to {:.1}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            edge(index),
            edge(index + 1),
            count(bin.top1.total),
            percent(bin.confidence(), 2),
            percent(bin.accuracy(), 2),
        );
    }
    format!(
        "<details>\n<summary>Numbers</summary>\n<table>\n<thead><tr><th class=\"n\">Confidence, %</th>\
         <th class=\"n\">Images</th><th class=\"n\">Mean</th><th class=\"n\">Right</th></tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table>\n</details>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_round_numbers() {
        let found = [0, 1, 4, 5, 9, 81, 999, 1000, 1001, 43_210].map(nice_top);
        assert_eq!(found, [4, 4, 4, 6, 10, 100, 1000, 1000, 2000, 60_000]);
    }
}
