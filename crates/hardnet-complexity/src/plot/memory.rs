//! Live bytes over the layers.

use hardnet_base::svg::{Axis, Svg, coordinate, rows};
use hardnet_graph::NodeId;

use super::WIDTH;
use super::blocks;
use crate::figures::{Figures, LayerFigures};

const HEIGHT: f64 = 400.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = WIDTH - 16.0;
const TOP: f64 = 92.0;
const FOOT: f64 = HEIGHT - 52.0;
const MIB: f64 = 1024.0 * 1024.0;

/// The bytes of maps that exist while each layer runs: with maps dropped after their last reader, and with every layer
/// of a block kept until the block is read.
pub fn memory(figures: &Figures) -> String {
    let Figures { graph: network, height, width, .. } = figures;
    let title = format!("{}: memory of maps while each layer runs", network.name());
    let mut svg = Svg::new(WIDTH, HEIGHT, title);
    let totals = &figures.totals;
    let most = totals.peak_kept_bytes.max(totals.peak_live_bytes) as f64 / MIB;
    let y = Axis::linear((0.0, most * 1.05), (FOOT, TOP));
    let column = (RIGHT - LEFT) / figures.layers.len() as f64;
    let x = |id: NodeId| LEFT + column * id as f64;
    blocks::shade(&mut svg, network, TOP, FOOT, x, |id| x(id + 1));
    rows(&mut svg, &y, 5, LEFT, RIGHT);
    let outline = |bytes: fn(&LayerFigures) -> u64| {
        let steps = figures.layers.iter().enumerate();
        let steps = steps.map(|(id, layer)| {
            let height = coordinate(y.at(bytes(layer) as f64 / MIB));
            format!("L{} {height}L{} {height}", coordinate(x(id)), coordinate(x(id + 1)))
        });
        steps.collect::<String>()
    };
    let (live, kept) = (outline(|layer| layer.live_bytes), outline(|layer| layer.kept_bytes));
    let closed =
        format!("M{} {}{live}L{} {}Z", coordinate(LEFT), coordinate(FOOT), coordinate(RIGHT), coordinate(FOOT));
    svg.path(&closed, "f0 area");
    // Below the other line, so that where both run together the continuous one shows.
    if !network.blocks().is_empty() {
        svg.path(&format!("M{}", &kept[1..]), "l1 dashed");
    }
    svg.path(&format!("M{}", &live[1..]), "l0");
    svg.line((LEFT, FOOT), (RIGHT, FOOT), "axis");
    svg.line((LEFT, 50.0), (LEFT + 24.0, 50.0), "l0");
    let peak = |bytes: u64| format!("{:.2} MiB at most", bytes as f64 / MIB);
    svg.text((LEFT + 30.0, 55.0), "", format!("dropped after the last reader: {}", peak(totals.peak_live_bytes)));
    if !network.blocks().is_empty() {
        let right = LEFT + 370.0;
        svg.line((right, 50.0), (right + 24.0, 50.0), "l1 dashed");
        svg.text(
            (right + 30.0, 55.0),
            "",
            format!("all kept until the block is read: {}", peak(totals.peak_kept_bytes)),
        );
    }
    svg.upwards((18.0, (TOP + FOOT) / 2.0), "MiB of f32 maps");
    svg.text(
        ((LEFT + RIGHT) / 2.0, HEIGHT - 18.0),
        "middle",
        format!("{} layers in order, one image of {height}x{width}", figures.layers.len()),
    );
    svg.finish()
}
