//! The configuration of a HarDNet of any size, from the shapes of its convolutions.
//!
//! Shapes do not say everything: the first convolution of the stem is taken to stride by 2 and no other, pools to be
//! maxima, the activation to be ReLU6. Whoever calls holds the result against the file.

use std::collections::BTreeMap;

use hardnet_graph::{BlockConfig, Config, Downsample, Head, Stem, StemConv, StemPadding, link};

use super::FileTensor;
use crate::scheme::Scheme;

/// Probability of a dropout that leaves an index free; files do not store it.
const DROPOUT: f64 = 0.1;

/// The highest index of `base` that is looked at: above that of any valid configuration.
const MAX_INDEX: usize = 1024;

/// An entry of `base`, as far as its weights tell.
#[derive(Debug)]
enum Entry {
    /// A convolution of `kernel`, from and to so many channels.
    Conv { inputs: usize, outputs: usize, kernel: usize },
    /// A depthwise convolution.
    Depthwise,
    /// Output channels of a block's layers by number, and whether they are separable.
    Block { widths: BTreeMap<usize, usize>, separable: bool },
    /// The linear layer.
    Head { classes: usize },
}

/// The configuration that `tensors` under the names of `scheme` seem to be of.
pub(super) fn config(tensors: &[FileTensor], scheme: Scheme) -> Option<Config> {
    let mut entries = BTreeMap::new();
    for tensor in tensors {
        place(&mut entries, tensor, scheme);
    }
    let mut entries = entries.into_iter().peekable();
    let mut in_channels = None;
    let mut convs = Vec::new();
    while let Some((index, Entry::Conv { inputs, outputs, kernel })) =
        entries.next_if(|(index, entry)| *index == convs.len() && matches!(entry, Entry::Conv { .. }))
    {
        in_channels.get_or_insert(inputs);
        convs.push(StemConv { channels: outputs, kernel, stride: if index == 0 { 2 } else { 1 } });
    }
    // The index after the stem is a pool, which has no weights, or a depthwise convolution.
    let depthwise_downsample = entries.next_if(|(_, entry)| matches!(entry, Entry::Depthwise)).is_some();
    let mut next = convs.len() + 1;
    let mut blocks = Vec::new();
    let mut depthwise = false;
    while let Some((index, Entry::Block { widths, separable })) =
        entries.next_if(|(_, entry)| matches!(entry, Entry::Block { .. }))
    {
        depthwise |= separable;
        // A free index before a block is the pool after the transition before it.
        let pooled = index.checked_sub(next)?;
        if let (true, Some(before)) = (pooled > 0, blocks.last_mut()) {
            let before: &mut BlockConfig = before;
            before.downsample = true;
        }
        let (at, Entry::Conv { outputs: transition, .. }) = entries.next()? else { return None };
        let dropout = (at > index + 1).then_some(DROPOUT);
        next = at + 1;
        let (growth, multiplier) = growth(&widths)?;
        let layers = widths.len();
        blocks.push(BlockConfig { layers, growth, multiplier, dropout, transition, downsample: false });
        if entries.next_if(|(_, entry)| matches!(entry, Entry::Depthwise)).is_some() {
            blocks.last_mut()?.downsample = true;
            next += 1;
        }
    }
    let head = match entries.next() {
        None => None,
        Some((index, Entry::Head { classes })) => {
            if index > next {
                blocks.last_mut()?.downsample = true;
            }
            Some(Head { classes, dropout: 0.0 })
        }
        Some(_) => return None,
    };
    let padding = if scheme == Scheme::Notebook { StemPadding::TopLeft } else { StemPadding::Symmetric };
    let downsample = if depthwise_downsample { Downsample::Depthwise } else { Downsample::MaxPool };
    let mut config = Config::new(in_channels?, Stem { convs, padding, downsample: true }, blocks);
    (config.depthwise, config.downsample, config.head) = (depthwise, downsample, head);
    config.validate().is_ok().then_some(config)
}

/// Enters a tensor where its name says, if it is the weight of a convolution or of the head.
fn place(entries: &mut BTreeMap<usize, Entry>, tensor: &FileTensor, scheme: Scheme) {
    let name = match scheme {
        Scheme::Bare => tensor.name.as_str(),
        Scheme::PyTorch | Scheme::PaddleClas | Scheme::Notebook => match tensor.name.strip_prefix("base.") {
            Some(name) => name,
            None => return,
        },
        Scheme::PyTorchCv => return,
    };
    let name = name.replace("conv_bn.0.", "conv.");
    let parts: Vec<&str> = name.split('.').collect();
    let Some(Ok(index)) = parts.first().map(|index| index.parse::<usize>()) else { return };
    if index > MAX_INDEX {
        return;
    }
    let mut layer = |number: &str, width: usize, of_separable: bool| {
        let Ok(number) = number.parse() else { return };
        let block = entries.entry(index).or_insert(Entry::Block { widths: BTreeMap::new(), separable: of_separable });
        if let Entry::Block { widths, separable } = block {
            widths.insert(number, width);
            *separable |= of_separable;
        }
    };
    match (&parts[1..], &tensor.shape[..]) {
        // Only the notebook does not say which convolutions are depthwise; the first is of the image.
        (["conv", "weight"], &[_, 1, 3, _]) if scheme == Scheme::Notebook && index > 0 => {
            entries.insert(index, Entry::Depthwise);
        }
        (["conv", "weight"], &[outputs, inputs, kernel, _]) => {
            entries.insert(index, Entry::Conv { inputs, outputs, kernel });
        }
        (["dwconv", "weight"], _) => {
            entries.insert(index, Entry::Depthwise);
        }
        (["layers", number, "conv", "weight"], &[width, ..]) => layer(number, width, false),
        (["layers", number, "layer1", "conv", "weight"], &[width, ..]) => layer(number, width, true),
        (["3", "weight"], &[a, b]) => {
            entries.insert(index, Entry::Head { classes: if scheme == Scheme::PaddleClas { b } else { a } });
        }
        (["weight"], &[_, classes]) if scheme == Scheme::Notebook => {
            entries.insert(index.saturating_sub(3), Entry::Head { classes });
        }
        _ => {}
    }
}

/// A growth rate and multiplier that give layers of these widths; a multiplier of few digits where several do.
fn growth(widths: &BTreeMap<usize, usize>) -> Option<(usize, f64)> {
    let first = *widths.get(&0)?;
    let fits = |k: usize, m: f64| widths.values().zip(1..).all(|(&width, layer)| link::width(layer, k, m) == width);
    // Odd growth rates round up to the same width.
    for k in [first, first.checked_sub(1)?] {
        for step in [10, 20, 100, 1000] {
            let multipliers = (step..=4 * step).map(|numerator| f64::from(numerator) / f64::from(step));
            if let Some(m) = multipliers.into_iter().find(|&m| fits(k, m)) {
                return Some((k, m));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recognize::recognize;
    use crate::recognize::tests::tensors;
    use hardnet_graph::Graph;
    use hardnet_graph::Variant;

    fn networks() -> Vec<Config> {
        let mut networks = Vec::new();
        for variant in Variant::ALL {
            let mut small = Config::from(variant).with_classes(7);
            small.blocks.truncate(2);
            networks.push(small.clone());
            small.blocks[0] = BlockConfig {
                layers: 6,
                growth: 11,
                multiplier: 1.55,
                dropout: Some(0.1),
                transition: 60,
                downsample: false,
            };
            small.stem.convs[0].channels = 10;
            small.in_channels = 1;
            networks.push(small.clone());
            small.blocks[1].downsample = true;
            networks.push(small);
        }
        // FC-HarDNet's encoder has a stem of four and no pool of its own kind.
        let mut stem_of_four = Config::from(Variant::HarDNet68).without_head();
        let extra = [24, 48].map(|channels| StemConv { channels, kernel: 3, stride: 1 });
        stem_of_four.stem.convs.extend(extra);
        networks.push(stem_of_four);
        networks
    }

    /// The inferred network has the same layers, links and parameters, though perhaps another multiplier.
    #[test]
    fn networks_of_other_sizes_are_recognized() {
        for scheme in [Scheme::PyTorch, Scheme::Bare, Scheme::PaddleClas, Scheme::Notebook] {
            for config in networks() {
                let found = recognize(&tensors(&config, scheme), None).unwrap();
                assert_eq!(found.differences.count(), 0, "{scheme} {config:?}: {}", found.differences);
                assert_eq!(found.scheme, scheme);
                let params = |config: &Config| Graph::new(config).unwrap().params();
                assert_eq!(params(&found.config), params(&config), "{scheme}");
                assert_eq!(found.config.classes(), config.classes());
                let downsampled = |config: &Config| config.blocks.iter().map(|b| b.downsample).collect::<Vec<_>>();
                // A pool after the last transition of a headless network leaves no trace.
                if config.head.is_some() {
                    assert_eq!(downsampled(&found.config), downsampled(&config), "{scheme}");
                }
            }
        }
    }

    #[test]
    fn growth_prefers_few_digits() {
        let widths = |k, m| (0..16).map(|at| (at, link::width(at + 1, k, m))).collect();
        for (k, m) in [(14, 1.7), (20, 1.6), (40, 1.7), (26, 1.65), (16, 1.0), (18, 1.725)] {
            let (found_k, found_m) = growth(&widths(k, m)).unwrap();
            assert_eq!(found_k, k);
            assert!((found_m - m).abs() < 0.03, "{found_m} for {m}");
        }
        assert_eq!(growth(&[(0, 8), (1, 3)].into()), None);
    }

    #[test]
    fn what_is_no_hardnet_is_not_made_one() {
        let mut shuffled = tensors(&networks()[0], Scheme::PyTorch);
        for tensor in &mut shuffled {
            tensor.shape.reverse();
        }
        assert!(recognize(&shuffled, None).unwrap().differences.count() > 0);
        let hostile = |name: &str| FileTensor { name: name.into(), shape: vec![usize::MAX; 4], unreadable: None };
        let names = [
            "base.0.conv.weight",
            "base.2.layers.18446744073709551615.conv.weight",
            "base.18446744073709551615.conv.weight",
        ];
        let hostile: Vec<_> = names.into_iter().map(hostile).collect();
        for scheme in Scheme::ALL {
            assert_eq!(config(&hostile, scheme), None);
        }
    }
}
