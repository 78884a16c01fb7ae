//! The training curves of a run as a self-contained SVG.
//!
//! Loss and top-1, or mean IoU, over the epochs, training dashed and validation solid, each curve labeled at its end.

use std::fmt::Write;

use hardnet_base::svg::{Axis, Svg, coordinate, range, rows};

use crate::metrics::EpochMetrics;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 380.0;
/// Size of a panel.
const PANEL: (f64, f64) = (290.0, 236.0);
const TOP: f64 = 84.0;
/// Left edges of the panels.
const LEFTS: [f64; 2] = [52.0, 530.0];

/// One curve: its name, and its points by epoch.
struct Curve {
    name: &'static str,
    points: Vec<(f64, f64)>,
}

impl Curve {
    /// Class of its line, and class of its marks and name.
    fn classes(&self) -> (&'static str, &'static str) {
        if self.name == "train" { ("l1 dashed", "f1") } else { ("l0", "f0") }
    }
}

/// Plots loss and top-1 of `history`, or loss and mean IoU of a segmentation network, of a run of `epochs` epochs, as
/// an SVG document.
pub fn plot_curves(history: &[EpochMetrics], epochs: u32) -> String {
    let curve = |name, value: &dyn Fn(&EpochMetrics) -> Option<f64>| {
        let point = |metrics: &EpochMetrics| Some((f64::from(metrics.epoch), value(metrics)?));
        Curve { name, points: history.iter().filter_map(point).filter(|point| point.1.is_finite()).collect() }
    };
    let segments = history.iter().any(|metrics| metrics.train_mean_iou.is_some());
    let measure = if segments { "mean IoU" } else { "top-1" };
    let losses = [
        curve("train", &|metrics| Some(metrics.train_loss)),
        curve("validation", &|metrics| Some(metrics.validation?.loss)),
    ];
    let scores = [curve("train", &|metrics| metrics.train_score()), curve("validation", &|metrics| metrics.score())];
    let title = if segments { "Loss and mean IoU over the epochs" } else { "Loss and accuracy over the epochs" };
    let mut svg = Svg::new(WIDTH, HEIGHT, title);
    panel(&mut svg, LEFTS[0], "loss in nats", epochs, &losses, &|value| format!("{value:.3}"));
    panel(&mut svg, LEFTS[1], &format!("{measure} in %"), epochs, &scores, &|value| format!("{value:.2}"));
    let best = history.iter().rev().find(|metrics| metrics.best);
    if let Some((best, score)) = best.and_then(|best| Some((best, best.score()?))) {
        let text = format!("best {score:.2} in epoch {}", best.epoch);
        svg.text((LEFTS[1] + PANEL.0, TOP - 14.0), "end", text);
    }
    svg.finish()
}

fn panel(svg: &mut Svg, left: f64, title: &str, epochs: u32, curves: &[Curve], label: &dyn Fn(f64) -> String) {
    let (right, foot) = (left + PANEL.0, TOP + PANEL.1);
    let epochs = epochs.max(2);
    let x = Axis::linear((1.0, epochs.into()), (left, right));
    let y = Axis::linear(
        range(curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.1)), 0.05),
        (foot, TOP),
    );
    svg.text((left, TOP - 14.0), "", title);
    rows(svg, &y, 5, left, right);
    for epoch in epoch_ticks(epochs) {
        let at = x.at(epoch.into());
        svg.line((at, foot), (at, foot + 4.0), "axis");
        svg.text((at, foot + 18.0), "middle", epoch);
    }
    svg.line((left, foot), (right, foot), "axis");
    svg.text((left + PANEL.0 / 2.0, foot + 38.0), "middle", "epoch");

    for curve in curves {
        let (line, mark) = curve.classes();
        let mut path = String::new();
        for &(epoch, value) in &curve.points {
            let command = if path.is_empty() { 'M' } else { 'L' };
            write!(path, "{command}{} {}", coordinate(x.at(epoch)), coordinate(y.at(value)))
                .expect("a string takes any text");
        }
        if path.is_empty() {
            continue;
        }
        svg.path(&path, line);
        // A single point is invisible as a line, and many markers hide it.
        let marked = if curve.points.len() <= 20 { curve.points.len() } else { 1 };
        for &(epoch, value) in &curve.points[curve.points.len() - marked..] {
            svg.rect((x.at(epoch) - 2.5, y.at(value) - 2.5), (5.0, 5.0), mark);
        }
    }
    for (end, curve, height) in label_positions(curves, &|value| y.at(value)) {
        let text = format!("{} {}", curve.name, label(end.1));
        svg.text((x.at(end.0) + 10.0, height + 4.0), curve.classes().1, text);
    }
}

/// The last point of each curve and the height of its label, far enough from the other label to be readable.
fn label_positions<'a>(curves: &'a [Curve], y: &dyn Fn(f64) -> f64) -> Vec<((f64, f64), &'a Curve, f64)> {
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
            train_mean_iou: None,
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
            segmentation: None,
            best: epoch == 2,
            images_per_second: 1.0,
            seconds: 1.0,
        };
        for epochs in [0, 1, 2, 40] {
            let history: Vec<_> = (1..=epochs).map(metrics).collect();
            let svg = plot_curves(&history, epochs.max(1));
            assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            assert_eq!(svg.contains("best 82.00 in epoch 2"), epochs > 1);
        }
    }
}
