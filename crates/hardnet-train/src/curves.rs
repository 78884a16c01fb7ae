//! The curves of a run as a picture.
//!
//! An SVG that needs nothing else: loss and top-1 over the epochs, training dashed and validation solid, each curve named
//! where it ends. Colours follow the reader's preference for light or dark.

use std::fmt::Write;

use crate::metrics::EpochMetrics;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 340.0;
/// The plots: left edge, top, width, height.
const PLOTS: [(f64, f64, f64, f64); 2] = [(52.0, 48.0, 290.0, 236.0), (530.0, 48.0, 290.0, 236.0)];

const STYLE: &str = "\
text{font:12px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#444}
.title{font-size:14px;font-weight:600;fill:#111}.tick{font-size:11px}.name{font-weight:600}
.paper{fill:#fff}.grid{stroke:#e4e4e4}.axis{stroke:#888}
polyline{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.train{stroke:#c2570c}.validation{stroke:#1d5fae}polyline.train{stroke-dasharray:6 4}
circle{stroke-width:2}circle.train,circle.validation{fill:#fff}
text.train{fill:#c2570c;stroke:none}text.validation{fill:#1d5fae;stroke:none}
@media (prefers-color-scheme:dark){text{fill:#bbb}.title{fill:#eee}.paper{fill:#15181c}.grid{stroke:#2c3138}.axis{stroke:#777}
.train{stroke:#f29a55}.validation{stroke:#6fb1f5}circle.train,circle.validation{fill:#15181c}
text.train{fill:#f29a55}text.validation{fill:#6fb1f5}}
";

/// One curve: its class and name, and its points by epoch.
struct Curve {
    name: &'static str,
    points: Vec<(f64, f64)>,
}

/// The picture of `history`, of a run of `epochs`.
pub fn curves(history: &[EpochMetrics], epochs: u32) -> String {
    let curve = |name, value: &dyn Fn(&EpochMetrics) -> Option<f64>| {
        let point = |metrics: &EpochMetrics| Some((f64::from(metrics.epoch), value(metrics)?));
        Curve { name, points: history.iter().filter_map(point).filter(|point| point.1.is_finite()).collect() }
    };
    let losses = [
        curve("train", &|metrics| Some(metrics.train_loss)),
        curve("validation", &|metrics| Some(metrics.validation?.loss)),
    ];
    let accuracies = [
        curve("train", &|metrics| Some(metrics.train_top1)),
        curve("validation", &|metrics| Some(metrics.validation?.top1)),
    ];
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\" role=\"img\" aria-label=\"loss and accuracy over the epochs\">\n<style>{STYLE}</style>\n\
         <rect class=\"paper\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n"
    );
    plot(&mut svg, PLOTS[0], "Loss (nats)", epochs, &losses, &|value| format!("{value:.3}"));
    plot(&mut svg, PLOTS[1], "Top-1 (%)", epochs, &accuracies, &|value| format!("{value:.2}"));
    let best = history.iter().rev().find(|metrics| metrics.best);
    if let Some((best, validation)) = best.and_then(|best| Some((best, best.validation?))) {
        let (left, top, width, _) = PLOTS[1];
        // Writing to a string cannot fail.
        let _ = writeln!(
            svg,
            "<text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"end\">best {:.2} in epoch {}</text>",
            left + width,
            top - 20.0,
            validation.top1,
            best.epoch
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn plot(
    svg: &mut String,
    (left, top, width, height): (f64, f64, f64, f64),
    title: &str,
    epochs: u32,
    curves: &[Curve],
    label: &dyn Fn(f64) -> String,
) {
    let values = || curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.1));
    let least = values().fold(f64::INFINITY, f64::min).min(100.0);
    let (ticks, decimals) = ticks(least, values().fold(least, f64::max), 5);
    let (low, high) = (ticks[0], ticks[ticks.len() - 1]);
    let last = f64::from(epochs.max(2));
    let x = |epoch: f64| left + (epoch - 1.0) / (last - 1.0) * width;
    let y = |value: f64| top + (high - value) / (high - low) * height;
    let (right, bottom) = (left + width, top + height);

    // Writing to a string cannot fail.
    let mut line = |text: std::fmt::Arguments| {
        let _ = writeln!(svg, "{text}");
    };
    line(format_args!("<text class=\"title\" x=\"{left}\" y=\"{}\">{title}</text>", top - 20.0));
    for tick in &ticks {
        let at = y(*tick);
        line(format_args!("<line class=\"grid\" x1=\"{left}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>"));
        let place = format_args!("x=\"{}\" y=\"{:.1}\" text-anchor=\"end\"", left - 8.0, at + 4.0);
        line(format_args!("<text class=\"tick\" {place}>{tick:.decimals$}</text>"));
    }
    for epoch in epoch_ticks(epochs.max(2)) {
        let at = x(f64::from(epoch));
        line(format_args!(
            "<line class=\"axis\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{bottom}\" y2=\"{}\"/>",
            bottom + 4.0
        ));
        let place = format_args!("x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\"", bottom + 18.0);
        line(format_args!("<text class=\"tick\" {place}>{epoch}</text>"));
    }
    line(format_args!("<line class=\"axis\" x1=\"{left}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\"/>"));
    let middle = left + width / 2.0;
    line(format_args!("<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">epoch</text>", bottom + 38.0));

    for Curve { name, points } in curves {
        let path: Vec<String> = points.iter().map(|&(at, value)| format!("{:.1},{:.1}", x(at), y(value))).collect();
        line(format_args!("<polyline class=\"{name}\" points=\"{}\"/>", path.join(" ")));
        // Single points would not be seen in a line, and many hide it.
        let marked = if points.len() <= 20 { points.len() } else { 1 };
        for &(at, value) in &points[points.len() - marked.min(points.len())..] {
            line(format_args!("<circle class=\"{name}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"/>", x(at), y(value)));
        }
    }
    for (at, curve, place) in label_places(curves, &y) {
        let name = curve.name;
        let end = (x(at.0) + 10.0, place + 4.0);
        line(format_args!(
            "<text class=\"name {name}\" x=\"{:.1}\" y=\"{:.1}\">{name} {}</text>",
            end.0,
            end.1,
            label(at.1)
        ));
    }
}

/// The last point of each curve and the height of its name, so far from the others that both can be read.
fn label_places<'a>(curves: &'a [Curve], y: &dyn Fn(f64) -> f64) -> Vec<((f64, f64), &'a Curve, f64)> {
    const APART: f64 = 15.0;
    let mut places: Vec<_> =
        curves.iter().filter_map(|curve| curve.points.last().map(|&last| (last, curve, y(last.1)))).collect();
    places.sort_by(|a, b| a.2.total_cmp(&b.2));
    if let [upper, lower] = &mut places[..]
        && lower.2 - upper.2 < APART
    {
        let missing = (APART - (lower.2 - upper.2)) / 2.0;
        upper.2 -= missing;
        lower.2 += missing;
    }
    places
}

/// About `count` round numbers from at or below `low` to at or above `high`, and the decimals they need.
fn ticks(low: f64, high: f64, count: usize) -> (Vec<f64>, usize) {
    let span = (high - low).max(1e-3 * high.abs()).max(1e-6);
    let raw = span / count as f64;
    let power = 10f64.powf(raw.log10().floor());
    let step = power * [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|step| raw <= power * step * 1.0001).unwrap_or(10.0);
    let first = (low / step).floor();
    let last = (high / step).ceil().max(first + 1.0);
    let decimals = (0..6).find(|&decimals| (step * 10f64.powi(decimals)).fract().abs() < 1e-6).unwrap_or(6);
    ((0..=(last - first) as usize).map(|at| (first + at as f64) * step).collect(), decimals as usize)
}

/// Whole epochs to name: the first, and some round ones.
fn epoch_ticks(epochs: u32) -> Vec<u32> {
    let step = [1, 2, 5, 10, 20, 25, 50, 100, 200, 500, 1000].into_iter().find(|step| epochs / step <= 8);
    let step = step.unwrap_or(epochs / 8);
    let mut ticks: Vec<u32> = (1..=epochs).filter(|epoch| epoch % step == 0).collect();
    if ticks.first() != Some(&1) && (step == 1 || ticks.first().is_none_or(|&first| first > 1)) {
        ticks.insert(0, 1);
    }
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::ValidationMetrics;

    #[test]
    fn ticks_are_round_and_hold_the_values() {
        for (low, high, decimals) in [(0.31, 2.3, 1), (71.2, 93.1, 0), (0.0, 0.0, 6), (90.0, 90.0, 2)] {
            let (found, found_decimals) = ticks(low, high, 5);
            assert!(found[0] <= low && *found.last().unwrap() >= high, "{low}..{high}: {found:?}");
            assert!(found.len() >= 2 && found.len() <= 8, "{low}..{high}: {found:?}");
            assert!(found_decimals <= decimals.max(2), "{low}..{high}: {found_decimals} decimals");
        }
        assert_eq!(ticks(0.31, 2.3, 5), (vec![0.0, 0.5, 1.0, 1.5, 2.0, 2.5], 1));
        assert_eq!(ticks(71.2, 93.1, 5).0, [70.0, 75.0, 80.0, 85.0, 90.0, 95.0]);
    }

    #[test]
    fn epochs_are_named_by_round_numbers() {
        assert_eq!(epoch_ticks(3), [1, 2, 3]);
        assert_eq!(epoch_ticks(30), [1, 5, 10, 15, 20, 25, 30]);
        assert_eq!(epoch_ticks(250), [1, 50, 100, 150, 200, 250]);
    }

    #[test]
    fn a_picture_has_every_number_finite() {
        let metrics = |epoch: u32| EpochMetrics {
            epoch,
            steps: 1,
            learning_rate: 0.1,
            train_loss: 2.0 / f64::from(epoch),
            train_top1: 90.0,
            train_images: 10,
            train_errors: 0,
            validation: (epoch > 1).then_some(ValidationMetrics {
                loss: 1.0,
                top1: 80.0 + f64::from(epoch),
                top5: 100.0,
                correct: 8,
                images: 10,
                errors: 0,
            }),
            best: epoch == 2,
            images_per_second: 1.0,
            seconds: 1.0,
        };
        for epochs in [0, 1, 2, 40] {
            let history: Vec<_> = (1..=epochs).map(metrics).collect();
            let svg = curves(&history, epochs.max(1));
            assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            assert_eq!(svg.contains("best 82.00 in epoch 2"), epochs > 1);
        }
    }
}
