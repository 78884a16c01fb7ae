//! Colored bands under the layers of each block.

use hardnet_base::svg::Svg;
use hardnet_graph::{Graph, NodeId};

/// Shades the columns of each block and names it above; `left` and `right` are the sides of a layer's column.
pub(super) fn shade(
    svg: &mut Svg,
    network: &Graph,
    top: f64,
    foot: f64,
    left: impl Fn(NodeId) -> f64,
    right: impl Fn(NodeId) -> f64,
) {
    for block in network.blocks() {
        let mut layers = block.layers.iter().flatten().copied();
        let Some(first) = layers.next() else { continue };
        let last = layers.next_back().unwrap_or(first);
        let (from, to) = (left(first), right(last));
        svg.rect((from, top), (to - from, foot - top), "band");
        // A letter takes about six pixels, and a name may reach a little beyond its band.
        if to - from > 5.6 * block.name.len() as f64 {
            svg.text(((from + to) / 2.0, top - 6.0), "middle small note", &block.name);
        }
    }
}
