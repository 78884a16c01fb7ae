//! MobileNetV2 (Sandler et al., 2018).

use hardnet_graph::{Conv, Graph, GraphBuilder, NodeId, Pointwise, Result};

/// Expansion, channels, blocks and stride of the first block of each stage.
const STAGES: [(usize, usize, usize, usize); 7] =
    [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];

/// How many of the table's channels there are.
#[derive(Clone, Copy)]
pub(super) enum Width {
    /// As many.
    Whole,
    /// 1.4 times as many, rounded to a multiple of eight.
    WideMultipleOfEight,
    /// 1.4 times as many, cut to a whole number.
    WideCut,
}

impl Width {
    fn scale(self, channels: usize) -> usize {
        match self {
            Self::Whole => channels,
            // Never less than 90 % of the exact number, which 1.4 times these tables' numbers are not near.
            Self::WideMultipleOfEight => (channels * 14 / 10 + 4) / 8 * 8,
            Self::WideCut => channels * 14 / 10,
        }
    }
}

pub(super) fn mobilenet_v2(name: &str, width: Width) -> Result<Graph> {
    let mut builder = GraphBuilder::new(name, 3);
    let mut channels = width.scale(32);
    let stem = Conv::new(channels, 3).stride(2);
    let mut current = builder.conv("features.0", &[builder.image()], stem, Pointwise::NORM_RELU6);
    let mut at = 1;
    for (expansion, out, blocks, first_stride) in STAGES {
        let out = width.scale(out);
        for block in 0..blocks {
            let stride = if block == 0 { first_stride } else { 1 };
            let path = format!("features.{at}");
            current = inverted_residual(&mut builder, &path, current, [channels, channels * expansion, out], stride);
            channels = out;
            at += 1;
        }
    }
    let last = Conv::new(width.scale(1280), 1);
    current = builder.conv(format!("features.{at}"), &[current], last, Pointwise::NORM_RELU6);
    let mean = builder.mean("avgpool", &[current]);
    let logits = builder.linear("classifier.1", &[mean], 1000, Pointwise::NONE);
    builder.finish(&[logits])
}

/// 1x1 to the expanded channels, depthwise 3x3, 1x1 without activation; added to the input where it has their shape.
fn inverted_residual(
    builder: &mut GraphBuilder,
    path: &str,
    input: NodeId,
    [channels, expanded, out]: [usize; 3],
    stride: usize,
) -> NodeId {
    let mut current = input;
    if expanded != channels {
        let expand = Conv::new(expanded, 1);
        current = builder.conv(format!("{path}.expand"), &[current], expand, Pointwise::NORM_RELU6);
    }
    let depthwise = Conv::depthwise(expanded).stride(stride);
    current = builder.conv(format!("{path}.depthwise"), &[current], depthwise, Pointwise::NORM_RELU6);
    current = builder.conv(format!("{path}.project"), &[current], Conv::new(out, 1), Pointwise::NORM);
    if stride == 1 && channels == out {
        current = builder.add(format!("{path}.add"), &[current, input], Pointwise::NONE);
    }
    current
}
