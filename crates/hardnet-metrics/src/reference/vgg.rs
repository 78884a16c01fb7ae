//! VGG (Simonyan and Zisserman, 2014).

use crate::error::Result;
use crate::network::{Builder, Conv, Network, Op, Pointwise, Pool};

/// Channels of the 3x3 convolutions; a pool halves the map behind each row.
const STAGES: [&[usize]; 5] = [&[64, 64], &[128, 128], &[256, 256, 256], &[512, 512, 512], &[512, 512, 512]];

/// Configuration D, without normalisation.
pub(super) fn vgg16(name: &str) -> Result<Network> {
    let mut builder = Builder::new(name, 3);
    let mut current = builder.image();
    let mut at = 0;
    for stage in STAGES {
        for &channels in stage {
            let conv = Conv::new(channels, 3).with_bias();
            current = builder.conv(format!("features.{at}"), &[current], conv, Pointwise::ACTIVATION);
            // An activation has an index of its own.
            at += 2;
        }
        current = builder.pool(format!("features.{at}"), &[current], Pool::new(2, 2));
        at += 1;
    }
    current = builder.push("avgpool", Op::Mean(7, 7), &[current]);
    for (name, channels) in [("classifier.0", 4096), ("classifier.3", 4096)] {
        current = builder.linear(name, &[current], channels, Pointwise::ACTIVATION);
    }
    let logits = builder.linear("classifier.6", &[current], 1000, Pointwise::default());
    builder.finish(&[logits])
}
