//! VGG (Simonyan and Zisserman, 2014).

use hardnet_graph::{Conv, Graph, GraphBuilder, Op, Pointwise, Pool, Result};

/// Channels of the 3x3 convolutions; a pool halves the map after each row.
const STAGES: [&[usize]; 5] = [&[64, 64], &[128, 128], &[256, 256, 256], &[512, 512, 512], &[512, 512, 512]];

/// Configuration D, without normalization.
pub(super) fn vgg16(name: &str) -> Result<Graph> {
    let mut builder = GraphBuilder::new(name, 3);
    let mut current = builder.image();
    let mut at = 0;
    for stage in STAGES {
        for &channels in stage {
            let conv = Conv::new(channels, 3).with_bias();
            current = builder.conv(format!("features.{at}"), &[current], conv, Pointwise::RELU);
            // An activation has an index of its own.
            at += 2;
        }
        current = builder.pool(format!("features.{at}"), &[current], Pool::max(2, 2));
        at += 1;
    }
    current = builder.push("avgpool", Op::AdaptiveAveragePool { rows: 7, columns: 7 }, &[current]);
    for (name, channels) in [("classifier.0", 4096), ("classifier.3", 4096)] {
        current = builder.linear(name, &[current], channels, Pointwise::RELU);
    }
    let logits = builder.linear("classifier.6", &[current], 1000, Pointwise::NONE);
    builder.finish(&[logits])
}
