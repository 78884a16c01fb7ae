//! Recognition of a network by the names and shapes of a file's tensors.

mod infer;

use std::collections::{HashMap, HashSet};

use hardnet_checkpoint::{Format, TensorInfo};
use hardnet_graph::{Config, Graph, ParamKind, StemPadding, Variant};

use crate::error::{Differences, Result, Shaped};
use crate::scheme::{NamedParam, Scheme};
use crate::values::FloatType;

/// PyTorch's name for the count of batches beside the running statistics of a normalization; inference does not read
/// it.
const COUNTER: &str = "num_batches_tracked";

/// Name, shape and type of a tensor in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileTensor {
    /// Its name in the file.
    pub(crate) name: String,
    /// Its dimensions.
    pub(crate) shape: Vec<usize>,
    /// The name of its type if its values cannot be read as f32.
    pub(crate) unreadable: Option<String>,
}

impl FileTensor {
    /// The description of a tensor of a file of `format`.
    pub(crate) fn new(info: &TensorInfo, format: Format) -> Self {
        let unreadable = FloatType::new(info.dtype, format).is_none().then(|| info.dtype.to_string());
        Self { name: info.name.clone(), shape: info.shape.clone(), unreadable }
    }
}

/// A network and the names that a file has for its parameters.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Recognized {
    /// The network.
    pub config: Config,
    /// How the file names parameters.
    pub scheme: Scheme,
    /// Every parameter of the network under its name in the file.
    pub params: Vec<NamedParam>,
    /// All that keeps the file from fitting; nothing if it does.
    pub differences: Differences,
}

/// The published network, and the scheme, that the tensors of a file fit or come closest to, with the file's number of
/// classes; of `wanted` if one is given, unless the file fits another. A HarDNet of other sizes that they fit exactly
/// comes before a published one that they do not.
///
/// The `num_batches_tracked` counters of its normalizations are ignored.
///
/// # Errors
///
/// None that a file can cause.
pub(crate) fn recognize(tensors: &[FileTensor], wanted: Option<Variant>) -> Result<Recognized> {
    let table = Table::new(tensors);
    let mut best: Option<Recognized> = None;
    for scheme in Scheme::ALL {
        for variant in Variant::ALL {
            let candidate = table.compare(&table.config(variant, scheme)?, scheme)?;
            let count = candidate.differences.count();
            let closer = best.as_ref().is_none_or(|least| count < least.differences.count());
            if closer && (wanted.is_none_or(|wanted| wanted == variant) || count == 0) {
                best = Some(candidate);
            }
        }
    }
    let best = best.expect("there are schemes and variants");
    if best.differences.count() > 0 {
        for scheme in Scheme::ALL {
            let inferred = infer::config(tensors, scheme).and_then(|config| table.compare(&config, scheme).ok());
            if let Some(inferred) = inferred.filter(|inferred| inferred.differences.count() == 0) {
                return Ok(inferred);
            }
        }
    }
    Ok(best)
}

/// The tensors of a file held against the network of `config` under the names of `scheme`.
///
/// # Errors
///
/// [`Error::Config`](hardnet_graph::Error::Config) where `config` does not describe a network.
pub(crate) fn compare(tensors: &[FileTensor], config: &Config, scheme: Scheme) -> Result<Recognized> {
    Table::new(tensors).compare(config, scheme)
}

/// The tensors of a file, in its order and by name.
struct Table<'a> {
    order: &'a [FileTensor],
    by_name: HashMap<&'a str, &'a FileTensor>,
}

impl<'a> Table<'a> {
    fn new(tensors: &'a [FileTensor]) -> Self {
        Self { order: tensors, by_name: tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect() }
    }

    fn compare(&self, config: &Config, scheme: Scheme) -> Result<Recognized> {
        let params = scheme.params(&Graph::new(config)?);
        let mut differences = Differences::default();
        for named in &params {
            match self.by_name.get(named.key.as_str()) {
                None => differences.missing.push(named.key.clone()),
                Some(tensor) if tensor.shape != named.shape() => differences.misshaped.push(Shaped {
                    name: named.key.clone(),
                    expected: named.shape(),
                    found: tensor.shape.clone(),
                }),
                Some(tensor) => {
                    let unreadable = tensor.unreadable.clone().map(|dtype| (named.key.clone(), dtype));
                    differences.unreadable.extend(unreadable);
                }
            }
        }
        let known: HashSet<&str> = params.iter().map(|named| named.key.as_str()).collect();
        let normalizations = params.iter().filter(|named| named.param.kind == ParamKind::RunningVar);
        let counted: HashSet<&str> =
            normalizations.filter_map(|named| layer_and_leaf(&named.key)).map(|(layer, _)| layer).collect();
        let is_counter =
            |name| layer_and_leaf(name).is_some_and(|(layer, leaf)| leaf == COUNTER && counted.contains(layer));
        let unexpected = self
            .order
            .iter()
            .map(|tensor| &tensor.name)
            .filter(|name| !known.contains(name.as_str()) && !is_counter(name));
        differences.unexpected = unexpected.cloned().collect();
        Ok(Recognized { config: config.clone(), scheme, params, differences })
    }

    /// `variant` with as many classes as the file's head has, without a head if the file has none.
    fn config(&self, variant: Variant, scheme: Scheme) -> Result<Config> {
        let mut config = Config::from(variant);
        if scheme == Scheme::Notebook {
            config = config.with_stem_padding(StemPadding::TopLeft);
        }
        let params = scheme.params(&Graph::new(&config)?);
        let of_head = |kind| params.iter().find(|named| named.param.kind == kind).map(|named| named.key.as_str());
        let tensor = |kind| of_head(kind).and_then(|key| self.by_name.get(key));
        Ok(match (tensor(ParamKind::LinearWeight), tensor(ParamKind::LinearBias)) {
            (None, None) => config.without_head(),
            (_, Some(bias)) => match bias.shape[..] {
                [classes] if config.clone().with_classes(classes).validate().is_ok() => config.with_classes(classes),
                _ => config,
            },
            (Some(_), None) => config,
        })
    }
}

/// The layer that a name belongs to, and what it is there.
fn layer_and_leaf(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tensors of a file of `config` under the names of `scheme`.
    pub(super) fn tensors(config: &Config, scheme: Scheme) -> Vec<FileTensor> {
        let params = scheme.params(&Graph::new(config).unwrap());
        let tensor = |named: NamedParam| FileTensor { shape: named.shape(), name: named.key, unreadable: None };
        params.into_iter().map(tensor).collect()
    }

    #[test]
    fn every_scheme_and_network_is_recognized() {
        for scheme in Scheme::ALL {
            for variant in Variant::ALL {
                for config in [
                    Config::from(variant),
                    Config::from(variant).with_classes(10),
                    Config::from(variant).without_head(),
                ] {
                    let found = recognize(&tensors(&config, scheme), None).unwrap();
                    assert_eq!(found.differences.count(), 0, "{scheme} {variant}");
                    let padding = match scheme {
                        Scheme::Notebook => StemPadding::TopLeft,
                        _ => StemPadding::Symmetric,
                    };
                    assert_eq!(found.config, config.with_stem_padding(padding), "{scheme} {variant}");
                    assert_eq!(found.scheme, scheme, "{variant}");
                }
            }
        }
    }

    #[test]
    fn a_file_with_a_flaw_is_compared_with_what_it_is() {
        let mut file = tensors(&Config::from(Variant::HarDNet68Ds), Scheme::Notebook);
        file[3].name = "base.0.conv_bn.1.mean".into();
        let found = recognize(&file, None).unwrap();
        assert_eq!((found.scheme, found.config.variant()), (Scheme::Notebook, Some(Variant::HarDNet68Ds)));
        assert_eq!(found.differences.missing, ["base.0.conv_bn.1._mean"]);
        assert_eq!(found.differences.unexpected, ["base.0.conv_bn.1.mean"]);
    }

    #[test]
    fn counters_belong_to_normalizations() {
        let mut file = tensors(&Config::from(Variant::HarDNet39Ds), Scheme::PyTorch);
        let counter = |layer: &str| FileTensor { name: format!("{layer}.{COUNTER}"), shape: vec![], unreadable: None };
        file.push(counter("base.0.norm"));
        assert_eq!(recognize(&file, None).unwrap().differences.count(), 0);
        file.extend(["base.0.conv", "extra", "base.99.norm"].map(counter));
        let strays =
            ["base.0.conv.num_batches_tracked", "extra.num_batches_tracked", "base.99.norm.num_batches_tracked"];
        assert_eq!(recognize(&file, None).unwrap().differences.unexpected, strays);
    }

    #[test]
    fn a_wanted_network_is_the_one_compared_with() {
        let mut file = tensors(&Config::from(Variant::HarDNet68), Scheme::PyTorch);
        let whole = recognize(&file, Some(Variant::HarDNet85)).unwrap();
        assert_eq!(whole.config.variant(), Some(Variant::HarDNet68));
        file.pop();
        let flawed = recognize(&file, Some(Variant::HarDNet85)).unwrap();
        assert_eq!(flawed.config.variant(), Some(Variant::HarDNet85));
    }
}
