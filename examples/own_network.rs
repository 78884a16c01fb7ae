//! Counts what a network of one's own costs, and draws its block:
//!
//! ```sh
//! cargo run -p hardnet-examples --example own_network -- block.svg
//! ```

use anyhow::Result;
use hardnet::graph::{Conv, Graph, GraphBuilder, Pointwise, Pool};
use hardnet_complexity::{Figures, plot};

fn main() -> Result<()> {
    let figures = Figures::new(&describe()?, 224, 224)?;
    for (layer, figures) in figures.graph.nodes().iter().zip(&figures.layers) {
        let moc = figures.moc().map_or("-".into(), |moc| format!("{moc:.1}"));
        println!(
            "{:<7} {:<12} {:>12} {:>10} MACs {:>8} CIO {moc:>6} MoC {:>8} live bytes",
            layer.name, layer.op, figures.output, figures.macs, figures.cio, figures.live_bytes
        );
    }
    let block = &figures.blocks[0];
    println!("{}: {:.2} times less memory at its end than if all were kept", block.name, block.output_saving());
    if let Some(path) = std::env::args().nth(1) {
        std::fs::write(path, plot::links(&figures, &figures.graph.blocks()[0]))?;
    }
    Ok(())
}

/// A block of six layers: each reads the one before, and every second also the one four layers back.
fn describe() -> Result<Graph, hardnet::graph::Error> {
    let mut network = GraphBuilder::new("mine", 3);
    let stem = Conv::new(32, 3).stride(2);
    let stem = network.conv("stem", &[network.image()], stem, Pointwise::NORM_RELU);
    let pool = network.pool("pool", &[stem], Pool::max(2, 2));
    let mut written = vec![pool];
    for layer in 1..=6 {
        let mut inputs = vec![written[layer - 1]];
        if layer % 2 == 0 && layer >= 4 {
            inputs.push(written[layer - 4]);
        }
        let conv = Conv::new(16, 3);
        written.push(network.conv(format!("layer{layer}"), &inputs, conv, Pointwise::NORM_RELU));
    }
    let outputs = [written[5], written[6]];
    let layers = written[1..].iter().map(|&layer| vec![layer]).collect();
    network.block("block", &[pool], layers, &outputs);
    let mean = network.mean("mean", &outputs);
    let classes = network.linear("classes", &[mean], 10, Pointwise::NONE);
    network.finish(&[classes])
}
