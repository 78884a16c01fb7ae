//! Properties that the shapes of tensors leave open, in words.

use hardnet_graph::{Config, Downsample, StemPadding};

/// The assumptions about a network that was inferred from shapes: each entry completes "assumed:".
pub(super) fn assumed(config: &Config) -> Vec<String> {
    let mut words = vec![match config.activation.name() {
        "relu6" => "ReLU6".into(),
        "relu" => "ReLU".into(),
        other => other.to_owned(),
    }];
    let strides: Vec<_> = config.stem.convs.iter().map(|conv| conv.stride.to_string()).collect();
    let plural = if strides.len() == 1 { "stride" } else { "strides" };
    words.push(format!("{plural} {} in the stem", listed(&strides)));
    let kind = match config.downsample {
        Downsample::MaxPool => Some("max"),
        Downsample::AveragePool => Some("average"),
        // A convolution has weights.
        Downsample::Depthwise => None,
    };
    let blocks: Vec<_> =
        config.blocks.iter().zip(1..).filter(|(block, _)| block.downsample).map(|(_, at)| at.to_string()).collect();
    let mut places: Vec<String> = config.stem.downsample.then(|| "the stem".into()).into_iter().collect();
    if !blocks.is_empty() {
        places.push(format!("block{} {}", if blocks.len() == 1 { "" } else { "s" }, listed(&blocks)));
    }
    if let Some(kind) = kind.filter(|_| !places.is_empty()) {
        words.push(format!("{kind} pooling after {}, rounding sizes down", listed(&places)));
    }
    let dropouts: Vec<_> = config
        .blocks
        .iter()
        .zip(1..)
        .filter(|(block, _)| block.dropout.is_some())
        .map(|(_, at)| at.to_string())
        .collect();
    if !dropouts.is_empty() {
        words.push(format!("a dropout after the layers of block {}", listed(&dropouts)));
    }
    words.push(match config.stem.padding {
        StemPadding::Symmetric => "padding on all sides".into(),
        StemPadding::TopLeft => "padding at the top and left of the stem".into(),
        StemPadding::Same => "as little padding as keeps sizes, below and on the right of the stem".into(),
    });
    words
}

/// `1, 2 and 3`
fn listed(items: &[String]) -> String {
    match items {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => items.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardnet_graph::Variant;

    #[test]
    fn each_choice_is_named() {
        let mut config = Config::from(Variant::HarDNet85);
        assert_eq!(
            assumed(&config).join(", "),
            "ReLU6, strides 2 and 1 in the stem, max pooling after the stem and blocks 1, 3 and 5, \
             rounding sizes down, a dropout after the layers of block 6, padding on all sides"
        );
        (config.stem.downsample, config.stem.padding) = (false, StemPadding::TopLeft);
        config.stem.convs.truncate(1);
        config.blocks.truncate(2);
        assert_eq!(
            assumed(&config).join(", "),
            "ReLU6, stride 2 in the stem, max pooling after block 1, rounding sizes down, \
             padding at the top and left of the stem"
        );
        let depthwise = assumed(&Config::from(Variant::HarDNet39Ds)).join(", ");
        assert_eq!(depthwise, "ReLU6, strides 2 and 1 in the stem, padding on all sides");
    }
}
