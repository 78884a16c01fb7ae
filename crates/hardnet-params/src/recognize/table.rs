//! The tensors of a part of a file, held against networks.

use std::collections::{BTreeSet, HashMap, HashSet};

use hardnet_graph::{Config, Graph, ParamKind, SegmentationVariant, StemPadding, Variant};

use super::part::Part;
use super::{FileTensor, Recognized, Wanted, assumed, infer, is_counter, layer_and_leaf, part};
use crate::error::{Differences, Result, ShapeMismatch};
use crate::scheme::{NamedParam, Scheme};

/// The networks that a part of a file is held against.
pub(super) struct Known<'a> {
    wanted: Wanted<'a>,
    /// Each network with the number of its parameters, a classifier's left out.
    networks: Vec<(Config, usize)>,
}

impl<'a> Known<'a> {
    pub(super) fn new(wanted: Wanted<'a>) -> Result<Self> {
        let counted = |config: Config| {
            let mut headless = config.clone();
            headless.head = None;
            let headless = Graph::new(&headless)?.params().len();
            Ok((config, headless))
        };
        let configs = match wanted {
            Wanted::Any => published(),
            Wanted::Variant(variant) => {
                // The requested network comes first.
                let others = published().into_iter().filter(|config| config.variant() != Some(variant));
                std::iter::once(variant.into()).chain(others).collect()
            }
            Wanted::Config(config) | Wanted::Stored(config) => vec![config.clone()],
        };
        Ok(Self { wanted, networks: configs.into_iter().map(counted).collect::<Result<_>>()? })
    }
}

/// The published networks, classifiers first.
fn published() -> Vec<Config> {
    let mut configs: Vec<_> = Variant::ALL.map(Config::from).to_vec();
    configs.push(Config::fc_hardnet70_encoder());
    configs.extend(SegmentationVariant::ALL.map(Config::from));
    configs
}

/// Whether files of the published network `config` have the names of `scheme`. Both segmentation networks have
/// parameters of the same shapes: names tell them apart.
fn suits(config: &Config, scheme: Scheme) -> bool {
    let is_paddleseg = config.segmentation_variant() == Some(SegmentationVariant::PaddleSeg);
    config.decoder.is_none() || is_paddleseg == (scheme == Scheme::PaddleSeg)
}

/// The schemes that a file read for `wanted` may have.
fn schemes(wanted: Wanted<'_>) -> &'static [Scheme] {
    match wanted {
        Wanted::Stored(_) => &[Scheme::PyTorch],
        _ => &Scheme::ALL,
    }
}

/// The tensors of a part of a file, in its order and by their paths.
pub(super) struct Table<'a> {
    tensors: &'a [FileTensor],
    part: &'a Part<'a>,
    by_path: HashMap<&'a str, &'a FileTensor>,
}

impl<'a> Table<'a> {
    pub(super) fn new(tensors: &'a [FileTensor], part: &'a Part<'a>) -> Self {
        let by_path = part.tensors.iter().map(|&(path, at)| (path, &tensors[at])).collect();
        Self { tensors, part, by_path }
    }

    /// The network that the tensors fit, or that comes closest.
    pub(super) fn closest(&self, wanted: Wanted<'_>) -> Result<Recognized> {
        let best = match wanted {
            Wanted::Stored(config) => self.compare(config, Scheme::PyTorch)?,
            Wanted::Config(config) => {
                let compare = |scheme: &Scheme| self.compare(&self.with_head(config, *scheme)?, *scheme);
                let found = Scheme::ALL.iter().map(compare).collect::<Result<Vec<_>>>()?;
                let closest = found.into_iter().min_by_key(|found| found.differences.count());
                closest.expect("there are schemes")
            }
            Wanted::Any => self.closest_published(None)?,
            Wanted::Variant(variant) => self.closest_published(Some(variant))?,
        };
        if best.differences.count() > 0 {
            let known = Known::new(wanted)?;
            return Ok(self.fit(&known, schemes(wanted))?.unwrap_or(best));
        }
        Ok(best)
    }

    /// The published network that the tensors fit, or the one that comes closest, which is `wanted` if that is set.
    fn closest_published(&self, wanted: Option<Variant>) -> Result<Recognized> {
        let graph = |config: Config| Ok((config.variant(), Graph::new(&config)?, config));
        let configs = Variant::ALL.map(Config::from).into_iter().chain(SegmentationVariant::ALL.map(Config::from));
        let networks = configs.map(graph).collect::<Result<Vec<_>>>()?;
        let mut best: Option<Recognized> = None;
        for scheme in Scheme::ALL {
            for (variant, graph, config) in networks.iter().filter(|(.., config)| suits(config, scheme)) {
                let least = best.as_ref().map_or(usize::MAX, |best| best.differences.count());
                let limit = if wanted.is_none() || wanted == *variant { least } else { least.min(1) };
                let params = scheme.params(graph);
                // Names alone rule most networks out, without a comparison.
                if self.missing(&params) >= limit {
                    continue;
                }
                let config = self.with_head_of(&notebook_stem(config.clone(), scheme), &params);
                let found = self.compare(&config, scheme)?;
                if found.differences.count() < limit {
                    best = Some(found);
                }
            }
        }
        Ok(best.expect("there are schemes and networks"))
    }

    /// How many of `params` the file lacks; a head is not missed.
    fn missing(&self, params: &[NamedParam]) -> usize {
        let is_head = |named: &NamedParam| matches!(named.param.kind, ParamKind::LinearWeight | ParamKind::LinearBias);
        params.iter().filter(|named| !is_head(named) && !self.by_path.contains_key(named.key.as_str())).count()
    }

    /// The network that the tensors fit exactly, under the names of one of `schemes`.
    pub(super) fn fit(&self, known: &Known<'_>, schemes: &[Scheme]) -> Result<Option<Recognized>> {
        let counters = self.part.tensors.iter().filter(|(path, at)| is_counter(path, &self.tensors[*at])).count();
        let count = self.part.tensors.len() - counters;
        let allowed = |scheme: &&Scheme| self::schemes(known.wanted).contains(scheme);
        for &scheme in schemes.iter().filter(allowed) {
            // A network whose number of parameters is another is not compared: that takes longer than the part is long.
            let fitting = |(_, headless): &&(Config, usize)| (*headless..=headless + 2).contains(&count);
            for (config, _) in known.networks.iter().filter(fitting) {
                if matches!(known.wanted, Wanted::Any | Wanted::Variant(_)) && !suits(config, scheme) {
                    continue;
                }
                let config = match known.wanted {
                    Wanted::Stored(config) => config.clone(),
                    Wanted::Config(config) => self.with_head(config, scheme)?,
                    _ => self.with_head(&notebook_stem(config.clone(), scheme), scheme)?,
                };
                let found = self.compare(&config, scheme)?;
                if self.is_whole(&found) {
                    return Ok(Some(found));
                }
            }
        }
        if matches!(known.wanted, Wanted::Stored(_) | Wanted::Config(_)) {
            return Ok(None);
        }
        for &scheme in schemes.iter().filter(allowed) {
            let shapes = self.part.tensors.iter().map(|&(path, at)| (path, &self.tensors[at].shape[..]));
            let Some(config) = infer::config(shapes, scheme) else { continue };
            let mut found = self.compare(&config, scheme)?;
            if self.is_whole(&found) {
                if config.published_name().is_none() {
                    found.assumed = assumed::assumed(&config);
                }
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Whether a network is all that its part of the file is meant to hold. What is called `base` is the canonical name
    /// of a classifier's layers: tensors next to them belong to the same network, which is then another one, unless
    /// only a backbone is wanted of it.
    fn is_whole(&self, found: &Recognized) -> bool {
        found.differences.count() == 0
            && !(is_base(self.part.prefix) && found.scheme == Scheme::Bare && found.config.head.is_some())
    }

    /// Holds the tensors against the network of `config` under the names of `scheme`.
    fn compare(&self, config: &Config, scheme: Scheme) -> Result<Recognized> {
        let mut params = scheme.params(&Graph::new(config)?);
        let mut differences = Differences::default();
        let known: HashSet<String> = params.iter().map(|named| named.key.clone()).collect();
        let normalizations = params.iter().filter(|named| named.param.kind == ParamKind::RunningVar);
        let counted: HashSet<String> =
            normalizations.filter_map(|named| layer_and_leaf(&named.key)).map(|(layer, _)| layer.to_owned()).collect();
        let mut origins = Origins::new(self.part.prefix);
        for named in &mut params {
            let Some(tensor) = self.by_path.get(named.key.as_str()) else {
                named.key.insert_str(0, self.part.prefix);
                differences.missing.push(named.key.clone());
                continue;
            };
            origins.add(&tensor.name, &named.key);
            named.key.clone_from(&tensor.name);
            if tensor.shape != named.shape() {
                let (expected, found) = (named.shape(), tensor.shape.clone());
                differences.misshaped.push(ShapeMismatch { name: named.key.clone(), expected, found });
            } else if let Some(dtype) = &tensor.unreadable {
                differences.unreadable.push((named.key.clone(), dtype.clone()));
            }
        }
        let belongs = |path: &str, tensor: &FileTensor| {
            known.contains(path)
                || is_counter(path, tensor) && layer_and_leaf(path).is_none_or(|(layer, _)| counted.contains(layer))
        };
        let unexpected = self.part.tensors.iter().map(|&(path, at)| (path, &self.tensors[at]));
        let unexpected = unexpected.filter(|(path, tensor)| !belongs(path, tensor));
        differences.unexpected = unexpected.map(|(_, tensor)| tensor.name.clone()).collect();
        let (prefix, wrappers) = origins.finish();
        let config = config.clone();
        let (left_out, assumed) = (Vec::new(), Vec::new());
        Ok(Recognized { config, scheme, prefix, wrappers, params, differences, left_out, assumed })
    }

    /// `config` with as many classes as the file's head has, without a head if the file has none.
    fn with_head(&self, config: &Config, scheme: Scheme) -> Result<Config> {
        let headed = if config.classes() > 0 { config.clone() } else { config.clone().with_classes(1) };
        let params = scheme.params(&Graph::new(&headed)?);
        Ok(self.with_head_of(config, &params))
    }

    /// As [`with_head`](Self::with_head), where `params` are those of `config` with a head. A decoder stays, whatever
    /// the file has.
    fn with_head_of(&self, config: &Config, params: &[NamedParam]) -> Config {
        if config.decoder.is_some() {
            let of_classes = params.iter().find(|named| named.param.kind == ParamKind::ConvBias);
            let bias = of_classes.and_then(|named| self.by_path.get(named.key.as_str()));
            return match bias.map(|bias| &bias.shape[..]) {
                Some(&[classes]) if config.clone().with_classes(classes).validate().is_ok() => {
                    config.clone().with_classes(classes)
                }
                _ => config.clone(),
            };
        }
        let of_head = |kind| params.iter().find(|named| named.param.kind == kind).map(|named| named.key.as_str());
        let tensor = |kind| of_head(kind).and_then(|key| self.by_path.get(key));
        match (tensor(ParamKind::LinearWeight), tensor(ParamKind::LinearBias)) {
            (None, None) => config.clone().without_head(),
            (_, Some(bias)) => {
                let headed = |classes| config.clone().with_classes(classes);
                match bias.shape[..] {
                    [classes] if headed(classes).validate().is_ok() => headed(classes),
                    _ => config.clone(),
                }
            }
            (Some(_), None) => config.clone(),
        }
    }
}

/// Whether a prefix ends with the module that holds the layers of a network under canonical names.
pub(super) fn is_base(prefix: &str) -> bool {
    prefix == "base." || prefix.ends_with(".base.")
}

/// `config` as files of `scheme` have it.
fn notebook_stem(config: Config, scheme: Scheme) -> Config {
    match scheme {
        Scheme::Notebook if config.decoder.is_none() => config.with_stem_padding(StemPadding::TopLeft),
        _ => config,
    }
}

/// The parts of a file's names that the names of a scheme do not have.
struct Origins<'a> {
    /// The prefix of the part, without wrappers.
    part: &'a str,
    /// The prefix that all names so far have, if it is one.
    common: Option<String>,
    wrappers: BTreeSet<String>,
    count: usize,
}

impl<'a> Origins<'a> {
    fn new(part: &'a str) -> Self {
        Self { part, common: None, wrappers: BTreeSet::new(), count: 0 }
    }

    /// Adds a name of the file, which the scheme calls `key`.
    fn add(&mut self, name: &str, key: &str) {
        let prefix = name.strip_suffix(key);
        if self.count == 0 {
            self.common = prefix.map(Into::into);
        } else if self.common.as_deref() != prefix {
            self.common = None;
        }
        self.count += 1;
        for wrapper in part::wrappers(name) {
            if !self.wrappers.contains(wrapper) {
                self.wrappers.insert(wrapper.into());
            }
        }
    }

    /// The prefix, and the wrappers in the middle of names.
    fn finish(self) -> (String, Vec<String>) {
        match self.common {
            Some(common) => (common, Vec::new()),
            None => (self.part.into(), self.wrappers.into_iter().collect()),
        }
    }
}
