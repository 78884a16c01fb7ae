//! A block: its links and the lives of its layers.

use hardnet_base::svg::{COLORS, Svg, coordinate};
use hardnet_graph::{Block, NodeId};

use super::WIDTH;
use crate::figures::Figures;
use crate::memory::{Retention, lifetimes};

const LEFT: f64 = 150.0;
const RIGHT: f64 = WIDTH - 70.0;
/// Pixels of a row of the lower part.
const ROW: f64 = 17.0;
/// Pixels that an arc rises for each doubling of its length, and at least.
const RISE: (f64, f64) = (20.0, 14.0);

/// The links between the layers of `block`, one of the [blocks](hardnet_graph::Graph::blocks) of the figures' graph,
/// and how long each layer's map lives.
pub fn links(figures: &Figures, block: &Block) -> String {
    let Figures { graph: network, height, width, .. } = figures;
    let lifetimes = lifetimes(network, Retention::Links);
    let count = block.layers.len();
    // The node that a layer's readers read: the last of its convolutions. Number 0 is the block's input, which may be
    // several maps.
    let written = |number: usize| match number {
        0 => block.inputs.last().copied(),
        _ => block.layers[number - 1].last().copied(),
    };
    let number_of = |id: NodeId| {
        if block.inputs.contains(&id) {
            return Some(0);
        }
        block.layers.iter().position(|layer| layer.last() == Some(&id)).map(|at| at + 1)
    };
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for (at, layer) in block.layers.iter().enumerate() {
        // Several convolutions of one layer read each other, which is not a link.
        let outside = layer.iter().flat_map(|&id| &network.nodes()[id].inputs).filter(|input| !layer.contains(input));
        for number in outside.filter_map(|&input| number_of(input)) {
            if !pairs.contains(&(number, at + 1)) {
                pairs.push((number, at + 1));
            }
        }
    }
    let rise = |length: usize| RISE.1 + RISE.0 * (length as f64).log2();
    let longest = pairs.iter().map(|(from, to)| to - from).max().unwrap_or(1);
    let base = 84.0 + rise(longest);
    let top = base + 66.0;
    let page = top + ROW * (count + 1) as f64 + 46.0;
    let title = format!("{} of {}: links, and the lives of its {count} layers", block.name, network.name());
    let mut svg = Svg::new(WIDTH, page, title);
    let x = |number: f64| LEFT + (RIGHT - LEFT) * number / (count + 1) as f64;

    // Arcs, colored by their length; the most common lengths are the shortest.
    let mut lengths: Vec<usize> = pairs.iter().map(|(from, to)| to - from).collect();
    lengths.sort_unstable();
    lengths.dedup();
    let color = |length: usize| lengths.iter().position(|&other| other == length).unwrap_or(0) % COLORS;
    for &(from, to) in &pairs {
        let (start, end) = (x(from as f64), x(to as f64));
        // A cubic curve rises to three quarters of its handles.
        let handle = coordinate(base - 8.0 - rise(to - from) / 0.75);
        let foot = coordinate(base - 8.0);
        let curve = format!(
            "M{} {foot}C{} {handle} {} {handle} {} {foot}",
            coordinate(start),
            coordinate(start),
            coordinate(end),
            coordinate(end)
        );
        svg.path(&curve, &format!("l{}", color(to - from)));
    }
    if lengths.len() <= COLORS {
        let mut left = 16.0;
        for &length in &lengths {
            svg.line((left, 50.0), (left + 24.0, 50.0), &format!("l{}", color(length)));
            svg.text((left + 30.0, 55.0), "", format!("reads l - {length}"));
            left += 122.0;
        }
    }
    // Nodes.
    let is_output = |number: usize| written(number).is_some_and(|id| block.outputs.contains(&id));
    for number in 0..=count {
        let class = if number > 0 && is_output(number) { 2 } else { 6 };
        svg.path(
            &format!("M{} {}m-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0", coordinate(x(number as f64)), coordinate(base - 4.0)),
            &format!("f{class}"),
        );
        svg.text((x(number as f64), base + 18.0), "middle", number);
    }
    svg.text((x((count + 1) as f64), base + 18.0), "middle", "output");
    svg.text((16.0, base + 18.0), "", "layer");

    // Lives.
    svg.text((16.0, top - 14.0), "note", "channels");
    svg.rect((LEFT, top - 24.0), (24.0, 10.0), "f2");
    svg.text((LEFT + 30.0, top - 14.0), "", "lives: part of the output");
    svg.rect((LEFT + 205.0, top - 24.0), (24.0, 10.0), "f6");
    svg.text((LEFT + 235.0, top - 14.0), "", "lives, then dropped");
    svg.rect((LEFT + 385.0, top - 24.0), (24.0, 10.0), "faint");
    svg.text((LEFT + 415.0, top - 14.0), "", "a dense block keeps it");
    let end = block.layers.iter().flatten().last().copied().unwrap_or(0);
    for number in 0..=count {
        let y = top + ROW * number as f64;
        let channels: usize = match number {
            0 => block.inputs.iter().map(|&id| figures.layers[id].output.channels).sum(),
            _ => written(number).map_or(0, |id| figures.layers[id].output.channels),
        };
        let name = if number == 0 { "0, the input".to_string() } else { number.to_string() };
        svg.text((16.0, y + 12.5), "", format!("{name}: {channels}"));
        // A map lives until the last layer that reads it is done, or the whole block.
        let last = match written(number) {
            _ if number > 0 && is_output(number) => (count + 1) as f64,
            Some(id) if lifetimes[id].last > end => (count + 1) as f64,
            Some(id) => (number..=count)
                .rfind(|&at| at > 0 && block.layers[at - 1].contains(&lifetimes[id].last))
                .unwrap_or(number) as f64,
            None => number as f64,
        };
        let from = x(number as f64);
        svg.rect((from, y + 3.0), (x((count + 1) as f64) - from, ROW - 6.0), "faint");
        let class = if number > 0 && is_output(number) { "f2" } else { "f6" };
        svg.rect((from, y + 3.0), ((x(last) - from).max(3.0), ROW - 6.0), class);
    }
    let memory = &figures.blocks[network.blocks().iter().position(|other| other == block).unwrap_or(0)];
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    svg.text(
        (16.0, page - 18.0),
        "",
        format!(
            "Image {height}x{width}: at most {:.2} MiB live, {:.2} if all were kept ({:.2} times); \
             at the end {:.2} and {:.2} ({:.2} times).",
            mib(memory.live_bytes),
            mib(memory.kept_bytes),
            memory.peak_saving(),
            mib(memory.output_live_bytes),
            mib(memory.output_kept_bytes),
            memory.output_saving()
        ),
    );
    svg.finish()
}
