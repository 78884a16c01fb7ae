//! Names that published files give to a network's parameters.
//!
//! The canonical names are those of the authors' PyTorch code; every other scheme is a rule from the graph to its
//! names, so that it holds for any table of blocks.

use std::fmt;
use std::str::FromStr;

use hardnet_graph::{Graph, ModuleInfo, ModuleKind, ParamInfo, ParamKind};

use crate::error::Error;

/// A convention for the names of parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// The authors' PyTorch code: `base.3.layers.0.conv.weight`. Canonical.
    PyTorch,
    /// The same without `base.`, as the files of networks built on HarDNet hold their backbone.
    Bare,
    /// PaddleClas and Paddle-Image-Models: `_mean` and `_variance` for running statistics, linear weights `[in, out]`.
    PaddleClas,
    /// The Paddle notebook: `conv_bn.0` and `conv_bn.1`, a flat head, linear weights `[in, out]`.
    Notebook,
    /// `pytorchcv`: `features.stage1.unit1.blocks.block1.conv.weight`.
    PyTorchCv,
    /// PaddleSeg: `encoder.blks.0.layers.0._conv.weight`, a stem, an encoder and a decoder of their own.
    PaddleSeg,
}

/// A parameter under the name that a scheme gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamedParam {
    /// The parameter under its canonical name and in its canonical shape.
    pub param: ParamInfo,
    /// Its name in the scheme.
    pub key: String,
    /// Whether the scheme stores it with its two dimensions exchanged.
    pub transposed: bool,
}

impl NamedParam {
    /// Its shape in the scheme.
    pub fn shape(&self) -> Vec<usize> {
        let mut shape = self.param.shape.clone();
        if self.transposed {
            shape.reverse();
        }
        shape
    }
}

impl Scheme {
    /// All of them, the canonical one first.
    pub const ALL: [Self; 6] =
        [Self::PyTorch, Self::Bare, Self::PaddleClas, Self::Notebook, Self::PyTorchCv, Self::PaddleSeg];

    /// Its name in metadata and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::PyTorch => "pytorch",
            Self::Bare => "bare",
            Self::PaddleClas => "paddleclas",
            Self::Notebook => "notebook",
            Self::PyTorchCv => "pytorchcv",
            Self::PaddleSeg => "paddleseg",
        }
    }

    /// Every parameter of `graph` in the order of [`Graph::params`], under the name that this scheme gives it.
    pub fn params(self, graph: &Graph) -> Vec<NamedParam> {
        let paths = pytorchcv_paths(graph);
        let paddle = matches!(self, Self::PaddleClas | Self::Notebook | Self::PaddleSeg);
        graph
            .params()
            .into_iter()
            .map(|param| NamedParam {
                key: self.key(&param, graph, &paths),
                transposed: paddle && param.kind == ParamKind::LinearWeight,
                param,
            })
            .collect()
    }

    fn key(self, param: &ParamInfo, graph: &Graph, paths: &[String]) -> String {
        let name = &param.name;
        match self {
            Self::PyTorch => name.clone(),
            Self::Bare => name.strip_prefix("base.").unwrap_or(name).into(),
            Self::PaddleClas => paddle_statistics(name),
            Self::Notebook => match param.kind {
                ParamKind::LinearWeight | ParamKind::LinearBias => notebook_head(name),
                _ => paddle_statistics(&name.replace(".norm.", ".conv_bn.1."))
                    .replace(".dwconv.weight", ".conv_bn.0.weight")
                    .replace(".conv.weight", ".conv_bn.0.weight"),
            },
            Self::PyTorchCv => {
                let owner = paths.iter().zip(graph.modules()).find(|(_, module)| module.nodes.contains(&param.node));
                owner.map_or_else(|| name.clone(), |(path, module)| pytorchcv(name, path, module))
            }
            Self::PaddleSeg => paddleseg(name, graph),
        }
    }
}

impl FromStr for Scheme {
    type Err = Error;

    /// The scheme of that [name](Scheme::name).
    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|scheme| scheme.name() == name);
        found.ok_or_else(|| Error::UnknownScheme(name.into()))
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

fn paddle_statistics(name: &str) -> String {
    name.replace(".running_mean", "._mean").replace(".running_var", "._variance")
}

/// The stem, the entries after it, and a decoder are three modules of PaddleSeg's network.
fn paddleseg(name: &str, graph: &Graph) -> String {
    let stem = graph.modules().iter().filter(|module| module.kind == ModuleKind::Stem).count();
    let entry = name.strip_prefix("base.").and_then(|rest| rest.split_once('.'));
    let path = match entry.and_then(|(index, rest)| Some((index.parse::<usize>().ok()?, rest))) {
        Some((index, rest)) if index < stem => format!("stem.{index}.{rest}"),
        Some((index, rest)) => format!("encoder.blks.{}.{rest}", index - stem),
        None => {
            name.replace("conv1x1_up.", "decoder.conv1x1_up.").replace("denseBlocksUp.", "decoder.dense_blocks_up.")
        }
    };
    paddle_statistics(&path)
        .replace("finalConv.", "cls_head.")
        .replace(".conv.", "._conv.")
        .replace(".dwconv.", "._dwconv.")
        .replace(".norm.", "._batch_norm.")
}

/// The notebook's head is four entries of `base`: pool, flatten, dropout, linear.
fn notebook_head(name: &str) -> String {
    let mut parts = name.split('.');
    match (parts.next(), parts.next().map(str::parse::<usize>), parts.next(), parts.next()) {
        (Some(base), Some(Ok(index)), Some("3"), Some(leaf)) => format!("{base}.{}.{leaf}", index + 3),
        _ => name.into(),
    }
}

/// The path in `pytorchcv` of every module: a stage ends with its downsampling layer, a unit is a block and its
/// transition.
fn pytorchcv_paths(graph: &Graph) -> Vec<String> {
    let (mut stage, mut unit, mut convs) = (0, 1, 0);
    let mut paths = Vec::new();
    for module in graph.modules() {
        let path = match module.kind {
            ModuleKind::Stem => {
                convs += 1;
                format!("features.init_block.conv{convs}")
            }
            ModuleKind::Downsample if stage == 0 => {
                (stage, unit) = (1, 1);
                "features.init_block.downsample".into()
            }
            ModuleKind::Downsample => {
                let path = format!("features.stage{stage}.unit{}.downsample", unit - 1);
                (stage, unit) = (stage + 1, 1);
                path
            }
            ModuleKind::Block => format!("features.stage{stage}.unit{unit}.blocks"),
            ModuleKind::Transition => {
                unit += 1;
                format!("features.stage{stage}.unit{}.conv", unit - 1)
            }
            ModuleKind::Head => "output".into(),
            // A dropout has no parameters.
            _ => String::new(),
        };
        paths.push(path);
    }
    paths
}

/// The name of a parameter of `module`, which is at `path`.
fn pytorchcv(name: &str, path: &str, module: &ModuleInfo) -> String {
    let below = name.strip_prefix(&module.name).unwrap_or(name);
    match module.kind {
        // `.3.weight`
        ModuleKind::Head => format!("{}.fc{}", path, &below[2..]),
        // `.layers.0.conv.weight`, `.layers.0.layer2.dwconv.weight`
        ModuleKind::Block => {
            let layer = below.strip_prefix(".layers.").unwrap_or(below);
            let (layer, leaf) = layer.split_once('.').unwrap_or((layer, ""));
            let number = layer.parse::<usize>().map_or(0, |layer| layer + 1);
            let leaf = leaf.replace("layer1.", "pw_conv.").replace("layer2.", "dw_conv.");
            format!("{}.block{number}.{}", path, convolution_and_norm(&leaf))
        }
        _ => format!("{}{}", path, convolution_and_norm(below)),
    }
}

fn convolution_and_norm(leaf: &str) -> String {
    leaf.replace("dwconv.", "conv.").replace("norm.", "bn.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardnet_graph::{Config, Variant};

    fn keys(scheme: Scheme, variant: Variant) -> Vec<NamedParam> {
        scheme.params(&Graph::new(&Config::from(variant)).unwrap())
    }

    fn key(scheme: Scheme, variant: Variant, canonical: &str) -> String {
        keys(scheme, variant).into_iter().find(|named| named.param.name == canonical).expect("a parameter").key
    }

    /// Names as seen in files and code of each scheme.
    #[test]
    fn names_are_those_of_the_files() {
        use Scheme::{Bare, Notebook, PaddleClas, PyTorch};
        use Variant::{HarDNet39Ds, HarDNet68};
        let cases = [
            (PyTorch, HarDNet68, "base.3.layers.0.conv.weight", "base.3.layers.0.conv.weight"),
            (Bare, HarDNet68, "base.3.layers.0.conv.weight", "3.layers.0.conv.weight"),
            (PaddleClas, HarDNet68, "base.0.norm.running_mean", "base.0.norm._mean"),
            (PaddleClas, HarDNet68, "base.0.norm.running_var", "base.0.norm._variance"),
            (PaddleClas, HarDNet39Ds, "base.2.dwconv.weight", "base.2.dwconv.weight"),
            (PaddleClas, HarDNet68, "base.16.3.weight", "base.16.3.weight"),
            (Notebook, HarDNet68, "base.0.conv.weight", "base.0.conv_bn.0.weight"),
            (Notebook, HarDNet68, "base.3.layers.7.norm.running_var", "base.3.layers.7.conv_bn.1._variance"),
            (Notebook, HarDNet68, "base.16.3.weight", "base.19.weight"),
            (Notebook, HarDNet68, "base.16.3.bias", "base.19.bias"),
        ];
        for (scheme, variant, canonical, expected) in cases {
            assert_eq!(key(scheme, variant, canonical), expected, "{scheme}");
        }
    }

    #[test]
    fn paddle_stores_the_linear_weight_transposed_and_nothing_else() {
        for scheme in [Scheme::PaddleClas, Scheme::Notebook] {
            let named = keys(scheme, Variant::HarDNet85);
            let transposed: Vec<_> = named.iter().filter(|named| named.transposed).collect();
            assert_eq!(transposed.len(), 1);
            assert_eq!(
                (transposed[0].param.name.as_str(), transposed[0].shape()),
                ("base.19.3.weight", vec![1280, 1000])
            );
        }
        assert!(keys(Scheme::PyTorchCv, Variant::HarDNet85).iter().all(|named| !named.transposed));
    }

    #[test]
    fn no_scheme_gives_two_parameters_one_name() {
        for scheme in Scheme::ALL {
            for variant in Variant::ALL {
                let mut keys: Vec<_> = keys(scheme, variant).into_iter().map(|named| named.key).collect();
                let count = keys.len();
                keys.sort();
                keys.dedup();
                assert_eq!(keys.len(), count, "{scheme} {variant}");
            }
        }
    }

    /// Digests of `key shape` lines in the order of pytorchcv's state dict, by `tests/schemes/pytorchcv_keys.py`.
    #[test]
    fn pytorchcvs_names_order_and_shapes_are_the_packages() {
        let expected = [
            (Variant::HarDNet39Ds, 0xC9F1_83E3_7DD7_DB2E),
            (Variant::HarDNet68Ds, 0x0F53_68DC_FE3C_B58B),
            (Variant::HarDNet68, 0xADE3_7F4A_F2EB_7AF8),
            (Variant::HarDNet85, 0x7942_41CE_0092_F97A),
        ];
        for (variant, digest) in expected {
            let lines: String = keys(Scheme::PyTorchCv, variant)
                .iter()
                .map(|named| {
                    let shape: Vec<_> = named.shape().iter().map(ToString::to_string).collect();
                    format!("{} {}\n", named.key, shape.join("x"))
                })
                .collect();
            let fnv = |h: u64, byte: u8| (h ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
            let found = lines.bytes().fold(0xCBF2_9CE4_8422_2325, fnv);
            assert_eq!(found, digest, "{variant}: {found:#x}");
        }
    }
}
