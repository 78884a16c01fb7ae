//! ResNet (He et al., 2015).

use hardnet_graph::{Conv, Graph, GraphBuilder, NodeId, Padding, Pointwise, Pool, Result};

/// Channels of the four stages, without a bottleneck's expansion.
const WIDTHS: [usize; 4] = [64, 128, 256, 512];

/// A bottleneck's output channels over its width.
const EXPANSION: usize = 4;

/// Which convolution of a bottleneck halves the map.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stride {
    /// The first 1x1, as first published.
    First,
    /// The 3x3, known as v1.5.
    Middle,
}

/// Blocks of two 3x3 convolutions, so many in each stage.
pub(super) fn basic(name: &str, stages: [usize; 4]) -> Result<Graph> {
    network(name, stages, 1, |width, stride| vec![Conv::new(width, 3).stride(stride), Conv::new(width, 3)])
}

/// Blocks of a 1x1, a 3x3 and a 1x1 convolution, so many in each stage.
pub(super) fn bottleneck(name: &str, stages: [usize; 4], place: Stride) -> Result<Graph> {
    network(name, stages, EXPANSION, |width, stride| {
        let (first, middle) = if place == Stride::First { (stride, 1) } else { (1, stride) };
        vec![Conv::new(width, 1).stride(first), Conv::new(width, 3).stride(middle), Conv::new(EXPANSION * width, 1)]
    })
}

fn network(
    name: &str,
    stages: [usize; 4],
    expansion: usize,
    block: impl Fn(usize, usize) -> Vec<Conv>,
) -> Result<Graph> {
    let mut builder = GraphBuilder::new(name, 3);
    let stem = Conv::new(64, 7).stride(2);
    let stem = builder.conv("conv1", &[builder.image()], stem, Pointwise::NORM_RELU);
    let mut current = builder.pool("maxpool", &[stem], Pool::max(3, 2).padding(Padding::all(1)));
    let mut channels = 64;
    for (stage, (width, blocks)) in WIDTHS.into_iter().zip(stages).enumerate() {
        for at in 0..blocks {
            let stride = if stage > 0 && at == 0 { 2 } else { 1 };
            let path = format!("layer{}.{at}", stage + 1);
            let projection =
                (stride != 1 || channels != width * expansion).then(|| Conv::new(width * expansion, 1).stride(stride));
            current = residual(&mut builder, &path, current, &block(width, stride), projection);
            channels = width * expansion;
        }
    }
    let mean = builder.mean("avgpool", &[current]);
    let logits = builder.linear("fc", &[mean], 1000, Pointwise::NONE);
    builder.finish(&[logits])
}

/// Convolutions in a row, added to their input or its projection.
fn residual(builder: &mut GraphBuilder, path: &str, input: NodeId, convs: &[Conv], projection: Option<Conv>) -> NodeId {
    let mut current = input;
    for (at, conv) in convs.iter().enumerate() {
        let after = if at + 1 == convs.len() { Pointwise::NORM } else { Pointwise::NORM_RELU };
        current = builder.conv(format!("{path}.conv{}", at + 1), &[current], *conv, after);
    }
    let shortcut = match projection {
        Some(conv) => builder.conv(format!("{path}.downsample"), &[input], conv, Pointwise::NORM),
        None => input,
    };
    builder.add(format!("{path}.add"), &[current, shortcut], Pointwise::RELU)
}
