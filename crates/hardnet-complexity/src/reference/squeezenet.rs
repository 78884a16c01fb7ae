//! SqueezeNet 1.0 (Iandola et al., 2016).

use hardnet_graph::{Conv, Graph, GraphBuilder, Padding, Pointwise, Pool, Result};

/// Modules after the stem: fire modules by the channels of their squeezing 1x1 and of each expanding half, and pools.
const MODULES: [Option<(usize, usize)>; 11] = [
    None,
    Some((16, 64)),
    Some((16, 64)),
    Some((32, 128)),
    None,
    Some((32, 128)),
    Some((48, 192)),
    Some((48, 192)),
    Some((64, 256)),
    None,
    Some((64, 256)),
];

/// The network whose stem has so many rows and columns of zeros around the image.
pub(super) fn squeezenet(name: &str, padding: usize) -> Result<Graph> {
    let mut builder = GraphBuilder::new(name, 3);
    let relu = Pointwise::RELU;
    let stem = Conv::new(96, 7).stride(2).padding(Padding::all(padding)).with_bias();
    let mut current = vec![builder.conv("features.0", &[builder.image()], stem, relu)];
    for (at, module) in MODULES.into_iter().enumerate() {
        // The stem's activation has an index of its own.
        let path = format!("features.{}", at + 2);
        current = match module {
            None => vec![builder.pool(path, &current, Pool::max(3, 2).ceil())],
            Some((squeeze, expand)) => {
                let squeeze = Conv::new(squeeze, 1).with_bias();
                let squeezed = builder.conv(format!("{path}.squeeze"), &current, squeeze, relu);
                let halves = [("expand1x1", 1), ("expand3x3", 3)];
                let half = halves.map(|(name, kernel)| {
                    let expand = Conv::new(expand, kernel).with_bias();
                    builder.conv(format!("{path}.{name}"), &[squeezed], expand, relu)
                });
                half.to_vec()
            }
        };
    }
    let classes = builder.conv("classifier.1", &current, Conv::new(1000, 1).with_bias(), relu);
    let logits = builder.mean("avgpool", &[classes]);
    builder.finish(&[logits])
}
