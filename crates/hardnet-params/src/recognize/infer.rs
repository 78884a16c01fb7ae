//! The configuration of a HarDNet of any size, from the shapes of its convolutions.
//!
//! Shapes do not say everything: the first convolution of the stem is taken to stride by 2 and no other, or the third
//! too where no pool follows the stem; pools are taken to be maxima, the activation to be ReLU6. Whoever calls holds
//! the result against the file, and says what was assumed.

use std::collections::BTreeMap;

use hardnet_graph::{BlockConfig, Config, Downsample, Head, Stem, StemConv, StemPadding, link};

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

/// The configuration that tensors of these names and shapes seem to be of, by the names of `scheme`.
pub(super) fn config<'a>(tensors: impl Iterator<Item = (&'a str, &'a [usize])>, scheme: Scheme) -> Option<Config> {
    let mut entries = BTreeMap::new();
    for (name, shape) in tensors {
        place(&mut entries, name, shape, scheme);
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
    // The index after the stem is a pool, which has no weights, or a depthwise convolution; or there is neither.
    let mut depthwise_downsample = entries.next_if(|(_, entry)| matches!(entry, Entry::Depthwise)).is_some();
    let stem_downsample = depthwise_downsample || entries.peek().is_none_or(|(index, _)| *index > convs.len());
    if !stem_downsample && convs.len() > 1 {
        let second = 2.min(convs.len() - 1);
        convs[second].stride = 2;
    }
    let mut next = convs.len() + usize::from(stem_downsample);
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
            depthwise_downsample = true;
            next += 1;
        }
    }
    // A sequence of convolutions is not a HarDNet.
    blocks.first()?;
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
    let mut config = Config::new(in_channels?, Stem { convs, padding, downsample: stem_downsample }, blocks);
    (config.depthwise, config.downsample, config.head) = (depthwise, downsample, head);
    config.validate().is_ok().then_some(config)
}

/// Enters a tensor where its name says, if it is the weight of a convolution or of the head.
fn place(entries: &mut BTreeMap<usize, Entry>, name: &str, shape: &[usize], scheme: Scheme) {
    let name = match scheme {
        Scheme::Bare => name,
        Scheme::PyTorch | Scheme::PaddleClas | Scheme::Notebook => match name.strip_prefix("base.") {
            Some(name) => name,
            None => return,
        },
        Scheme::PyTorchCv | Scheme::PaddleSeg => return,
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
    match (&parts[1..], shape) {
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
    for k in [first, first.checked_sub(1)?].into_iter().filter(|&k| k > 0) {
        for step in [10_u32, 20, 100, 1000] {
            // The second layer has `k * m` channels, rounded by less than 2: other multipliers need not be tried.
            let numerator = |width: f64| (f64::from(step) * width / k as f64) as u32;
            let (least, most) = match widths.values().nth(1) {
                Some(&second) => (numerator(second as f64 - 2.0), numerator(second as f64 + 2.0).saturating_add(1)),
                None => (step, step),
            };
            let numerators = least.max(step)..=most.min(4 * step);
            if let Some(m) = numerators.map(|n| f64::from(n) / f64::from(step)).find(|&m| fits(k, m)) {
                return Some((k, m));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recognize::FileTensor;
    use crate::recognize::Wanted;
    use crate::recognize::tests::{one, tensors};
    use hardnet_graph::{Graph, Variant};

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
        // A stem without a pool, and one of four convolutions with one.
        for convs in 1..=4 {
            let mut without_pool = Config::from(Variant::HarDNet68).with_classes(5);
            let conv = |at: usize| StemConv {
                channels: 8 + 2 * at,
                kernel: 3,
                stride: if at == 0 || at == 2.min(convs - 1) { 2 } else { 1 },
            };
            without_pool.stem =
                Stem { convs: (0..convs).map(conv).collect(), padding: StemPadding::Symmetric, downsample: false };
            networks.push(without_pool);
        }
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
                let found = one(&tensors(&config, scheme), Wanted::Any);
                assert_eq!(found.differences.count(), 0, "{scheme} {config:?}: {}", found.differences);
                assert_eq!(found.scheme, scheme);
                let params = |config: &Config| Graph::new(config).unwrap().params();
                assert_eq!(params(&found.config), params(&config), "{scheme}");
                assert_eq!(found.config.classes(), config.classes());
                assert_eq!(found.config.stem.downsample, config.stem.downsample, "{scheme} {config:?}");
                assert!(found.assumed.contains(&"ReLU6".to_string()), "{:?}", found.assumed);
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
        assert!(one(&shuffled, Wanted::Any).differences.count() > 0);
        let hostile = |name: &str| FileTensor { name: name.into(), shape: vec![usize::MAX; 4], unreadable: None };
        let names = [
            "base.0.conv.weight",
            "base.2.layers.18446744073709551615.conv.weight",
            "base.18446744073709551615.conv.weight",
        ];
        let hostile: Vec<_> = names.into_iter().map(hostile).collect();
        for scheme in Scheme::ALL {
            let tensors = hostile.iter().map(|tensor| (tensor.name.as_str(), &tensor.shape[..]));
            assert_eq!(config(tensors, scheme), None);
        }
    }
}
