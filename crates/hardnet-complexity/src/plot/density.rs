//! MoC of every convolution.

use hardnet_base::svg::{Axis, COLORS, Svg, rows};
use hardnet_graph::{Graph, NodeId, Op};

use super::WIDTH;
use super::blocks;
use crate::figures::Figures;

/// The limit that the authors' repository draws in its figure of computational density.
const LIMIT: f64 = 30.0;

const HEIGHT: f64 = 400.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = WIDTH - 16.0;
const TOP: f64 = 92.0;
const FOOT: f64 = HEIGHT - 52.0;

/// The MACs per element moved of every convolution.
pub fn density(figures: &Figures) -> String {
    let Figures { graph: network, height, width, .. } = figures;
    let values: Vec<(NodeId, f64)> =
        figures.layers.iter().enumerate().filter_map(|(id, layer)| Some((id, layer.moc()?))).collect();
    let title = format!("{}: MACs per element moved (MoC) of each convolution", network.name());
    let mut svg = Svg::new(WIDTH, HEIGHT, title);
    let most = values.iter().fold(100.0_f64, |most, (_, moc)| most.max(*moc));
    let y = Axis::logarithmic((1.0, 1.4 * most), (FOOT, TOP));
    let column = (RIGHT - LEFT) / values.len().max(1) as f64;
    // Where a layer's column starts: that of the next convolution for what is none.
    let left = |id: NodeId| LEFT + column * values.iter().filter(|(other, _)| *other < id).count() as f64;
    blocks::shade(&mut svg, network, TOP, FOOT, left, |id| left(id + 1));
    rows(&mut svg, &y, 5, LEFT, RIGHT);
    let mut kinds: Vec<String> = Vec::new();
    for &(id, moc) in &values {
        let kind = kind(network, id);
        let series = kinds.iter().position(|other| *other == kind).unwrap_or_else(|| {
            kinds.push(kind);
            kinds.len() - 1
        });
        let (x, top) = (left(id), y.at(moc.max(1.0)));
        let bar = (column * 0.8).max(1.0);
        svg.rect((x + (column - bar) / 2.0, top), (bar, FOOT - top), &format!("f{}", series % COLORS));
    }
    svg.line((LEFT, FOOT), (RIGHT, FOOT), "axis");
    let limit = y.at(LIMIT);
    svg.line((LEFT, limit), (RIGHT, limit), "l5 dashed");
    let mut x = LEFT;
    for (series, kind) in kinds.iter().enumerate() {
        svg.rect((x, 44.0), (12.0, 12.0), &format!("f{}", series % COLORS));
        svg.text((x + 18.0, 55.0), "", kind);
        x += 40.0 + 7.5 * kind.len() as f64;
    }
    svg.line((x, 50.0), (x + 24.0, 50.0), "l5 dashed");
    svg.text((x + 30.0, 55.0), "", "30, the limit in the authors' figure");
    svg.upwards((18.0, (TOP + FOOT) / 2.0), "MACs per element, logarithmic");
    let totals = figures.totals;
    svg.text(
        ((LEFT + RIGHT) / 2.0, HEIGHT - 18.0),
        "middle",
        format!(
            "{} convolutions in order, image {height}x{width}; the whole network has {:.0} MACs per element",
            values.len(),
            totals.moc()
        ),
    );
    svg.finish()
}

fn kind(network: &Graph, id: NodeId) -> String {
    match &network.nodes()[id].op {
        Op::Conv(conv) if conv.is_depthwise() => format!("depthwise {}x{}", conv.kernel.0, conv.kernel.1),
        Op::Conv(conv) => format!("{}x{}", conv.kernel.0, conv.kernel.1),
        other => other.to_string(),
    }
}
