//! Accuracy against what networks cost.

use hardnet_base::svg::{Axis, COLORS, Svg, columns, number, range, rows};

use super::WIDTH;
use super::labels;

/// One network of the picture.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)]
pub struct Point {
    /// Its family: families differ by color and mark.
    pub family: String,
    /// Its name within the family.
    pub label: String,
    /// Top-1 accuracy, in percent.
    pub top1: f64,
    /// Convolutional input and output, in millions of elements.
    pub cio: Option<f64>,
    /// Multiply-accumulates, in billions.
    pub macs: Option<f64>,
    /// Published time on a GPU, in milliseconds.
    pub gpu_ms: Option<f64>,
    /// Time measured on this machine, in milliseconds.
    pub measured_ms: Option<f64>,
}

/// A cost: its name, and its value.
type Cost = (&'static str, fn(&Point) -> Option<f64>);

const COSTS: [Cost; 4] = [
    ("CIO", |point| point.cio),
    ("MACs", |point| point.macs),
    ("published time", |point| point.gpu_ms),
    ("measured time", |point| point.measured_ms),
];

const PANEL: (f64, f64) = (340.0, 260.0);
const LEFT: f64 = 60.0;
const TOP: f64 = 100.0;
const STEP: (f64, f64) = (402.0, 336.0);

/// Points of accuracy by which the least may lie below the others before it is drawn at the foot of a panel.
const GAP: f64 = 5.0;

/// Accuracy against CIO, MACs, published time and, where some is given, measured time.
///
/// `published` and `measured` say of what machine, program and image the times are.
pub fn efficiency(points: &[Point], published: &str, measured: &str) -> String {
    let shown: Vec<&Cost> = COSTS.iter().filter(|(_, value)| points.iter().any(|p| value(p).is_some())).collect();
    let height = TOP + STEP.1 * shown.len().div_ceil(2).max(1) as f64 - 12.0;
    let mut svg = Svg::new(WIDTH, height, "ImageNet top-1 accuracy against CIO, MACs and time");
    let mut families: Vec<&str> = Vec::new();
    for point in points {
        if !families.contains(&point.family.as_str()) {
            families.push(&point.family);
        }
    }
    let mut x = LEFT;
    for (series, family) in families.iter().enumerate() {
        svg.mark((x, 49.0), series);
        svg.text((x + 12.0, 53.5), "", family);
        x += 40.0 + 7.6 * family.len() as f64;
    }
    let series = |point: &Point| families.iter().position(|family| *family == point.family).unwrap_or(0) % COLORS;
    for (at, cost) in shown.into_iter().enumerate() {
        let (left, top) = (LEFT + STEP.0 * (at % 2) as f64, TOP + STEP.1 * (at / 2) as f64);
        let panel = Panel::new(points, cost, (left, top));
        rows(&mut svg, &panel.y, 6, left, left + PANEL.0);
        columns(&mut svg, &panel.x, 6, top, top + PANEL.1);
        svg.line((left, top + PANEL.1), (left + PANEL.0, top + PANEL.1), "axis");
        svg.line((left, top), (left, top + PANEL.1), "axis");
        panel.at.iter().zip(&panel.points).for_each(|(&at, point)| svg.mark(at, series(point)));
        let places = labels::place(&panel.at, &panel.labels, panel.bounds);
        for ((place, label), point) in places.into_iter().zip(&panel.labels).zip(&panel.points) {
            svg.text(place, &format!("f{}", series(point)), label);
        }
        svg.text((left, top - 12.0), "", format!("top-1 in % against {}", cost.0));
        let unit = match cost.0 {
            "CIO" => "million elements".into(),
            "MACs" => "billions".into(),
            "published time" => format!("ms, {published}"),
            _ => format!("ms, {measured}"),
        };
        svg.text((left + PANEL.0 / 2.0, top + PANEL.1 + 40.0), "middle", format!("{unit}; logarithmic"));
    }
    svg.finish()
}

/// The points of one panel, in pixels.
struct Panel<'a> {
    points: Vec<&'a Point>,
    labels: Vec<String>,
    at: Vec<(f64, f64)>,
    x: Axis,
    y: Axis,
    bounds: labels::Area,
}

impl<'a> Panel<'a> {
    fn new(points: &'a [Point], (_, value): &Cost, (left, top): (f64, f64)) -> Self {
        let (right, foot) = (left + PANEL.0, top + PANEL.1);
        let chosen: Vec<(&Point, f64)> =
            points.iter().filter_map(|point| value(point).map(|value| (point, value))).collect();
        let (least, most) = range(chosen.iter().map(|(_, value)| value.max(1e-9).log10()), 0.1);
        let x = Axis::logarithmic((10_f64.powf(least), 10_f64.powf(most)), (left, right));
        // One scale for all panels.
        let mut top1: Vec<f64> = points.iter().map(|point| point.top1).collect();
        top1.sort_unstable_by(f64::total_cmp);
        let above = if top1.len() > 2 && top1[1] - top1[0] > GAP { &top1[1..] } else { &top1[..] };
        let (least, most) = range(above.iter().copied(), 0.1);
        let y = Axis::linear((least, most), (foot, top));
        let label = |point: &Point| match point.top1 < least {
            true => format!("{}: {}", point.label, number(point.top1)),
            false => point.label.clone(),
        };
        Self {
            labels: chosen.iter().map(|(point, _)| label(point)).collect(),
            at: chosen
                .iter()
                .map(|(point, value)| (x.at(*value), y.at(point.top1.max(least)).min(foot - 8.0)))
                .collect(),
            points: chosen.into_iter().map(|(point, _)| point).collect(),
            x,
            y,
            bounds: (left, top, right, foot),
        }
    }
}

/// Labels that touch another or a mark, in all panels.
#[cfg(test)]
pub(super) fn collisions(points: &[Point]) -> usize {
    let panels = COSTS.iter().map(|cost| Panel::new(points, cost, (LEFT, TOP)));
    panels
        .map(|panel| {
            let places = labels::place(&panel.at, &panel.labels, panel.bounds);
            labels::collisions(&panel.at, &panel.labels, &places)
        })
        .sum()
}
