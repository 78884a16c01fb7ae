//! DenseNet (Huang et al., 2016): normalization and activation stand before the convolutions.

use hardnet_graph::{Conv, Graph, GraphBuilder, Padding, Pointwise, Pool, Result};

/// Channels that each layer adds.
const GROWTH: usize = 32;

/// Channels of a layer's 1x1 convolution.
const BOTTLENECK: usize = 4 * GROWTH;

/// Four blocks of so many layers.
pub(super) fn densenet(name: &str, blocks: [usize; 4]) -> Result<Graph> {
    let mut builder = GraphBuilder::new(name, 3);
    let stem = Conv::new(2 * GROWTH, 7).stride(2);
    let stem = builder.conv("conv0", &[builder.image()], stem, Pointwise::NORM_RELU);
    let mut input = builder.pool("pool0", &[stem], Pool::max(3, 2).padding(Padding::all(1)));
    let mut channels = 2 * GROWTH;
    let mut output = vec![];
    for (at, layers) in blocks.into_iter().enumerate() {
        let path = format!("denseblock{}", at + 1);
        output = vec![input];
        let mut steps = Vec::with_capacity(layers);
        for layer in 1..=layers {
            let layer = format!("{path}.denselayer{layer}");
            let bottleneck = Conv::new(BOTTLENECK, 1);
            let conv1 = builder.conv(format!("{layer}.conv1"), &output, bottleneck, Pointwise::NORM_RELU);
            builder.pre_activation(Pointwise::NORM_RELU);
            let conv2 = builder.conv(format!("{layer}.conv2"), &[conv1], Conv::new(GROWTH, 3), Pointwise::NONE);
            output.push(conv2);
            steps.push(vec![conv1, conv2]);
        }
        builder.block(path, &[input], steps, &output);
        channels += layers * GROWTH;
        if at + 1 < blocks.len() {
            channels /= 2;
            let path = format!("transition{}", at + 1);
            let conv = builder.conv(format!("{path}.conv"), &output, Conv::new(channels, 1), Pointwise::NONE);
            builder.pre_activation(Pointwise::NORM_RELU);
            input = builder.pool(format!("{path}.pool"), &[conv], Pool::average(2, 2));
        }
    }
    let mean = builder.mean("avgpool", &output);
    builder.pre_activation(Pointwise::NORM_RELU);
    let logits = builder.linear("classifier", &[mean], 1000, Pointwise::NONE);
    builder.finish(&[logits])
}
