//! A file's table of tensors against a network's parameters.

use std::collections::BTreeMap;

use safetensors::Dtype;
use safetensors::tensor::Metadata as FileHeader;

use crate::config::{Config, Variant};
use crate::error::{Differences, Result, Shaped};
use crate::graph::{Graph, ModuleKind};

/// PyTorch counts batches per normalisation; inference does not read the counters.
const IGNORED_LEAF: &str = ".num_batches_tracked";

/// Types and shapes by name, without what is ignored.
pub(super) struct Header {
    tensors: BTreeMap<String, (Dtype, Vec<usize>)>,
}

impl Header {
    pub(super) fn new(header: &FileHeader) -> Self {
        let tensors = header
            .tensors()
            .into_iter()
            .filter(|(name, _)| !name.ends_with(IGNORED_LEAF))
            .map(|(name, info)| (name, (info.dtype, info.shape.clone())))
            .collect();
        Self { tensors }
    }

    /// What differs between the file and `graph`, in the graph's order.
    pub(super) fn differences(&self, graph: &Graph) -> Differences {
        let mut differences = Differences::default();
        let params = graph.params();
        for param in &params {
            match self.tensors.get(&param.name) {
                None => differences.missing.push(param.name.clone()),
                Some((_, shape)) if *shape != param.shape => differences.misshaped.push(Shaped {
                    name: param.name.clone(),
                    expected: param.shape.clone(),
                    found: shape.clone(),
                }),
                Some((Dtype::F32 | Dtype::F16 | Dtype::BF16, _)) => {}
                Some((dtype, _)) => {
                    differences.unreadable.push((param.name.clone(), format!("{dtype:?}").to_lowercase()))
                }
            }
        }
        let known: std::collections::HashSet<&str> = params.iter().map(|param| param.name.as_str()).collect();
        differences.unexpected = self.tensors.keys().filter(|name| !known.contains(name.as_str())).cloned().collect();
        differences
    }

    /// The published network, of `wanted` if any, that the file fits or comes closest to, with the file's classes.
    pub(super) fn closest(&self, wanted: Option<Variant>) -> Result<(Config, Differences)> {
        let mut best: Option<(Config, Differences)> = None;
        for variant in Variant::ALL {
            let config = self.with_classes_of_file(variant)?;
            let differences = self.differences(&Graph::new(&config)?);
            let closer = best.as_ref().is_none_or(|(_, least)| differences.count() < least.count());
            // A file that fits another network than the wanted one is named for what it is.
            if closer && (wanted.is_none_or(|wanted| wanted == variant) || differences.count() == 0) {
                best = Some((config, differences));
            }
        }
        Ok(best.expect("there are variants"))
    }

    /// `variant` with as many classes as the file's head has, without a head if the file has none.
    fn with_classes_of_file(&self, variant: Variant) -> Result<Config> {
        let config = Config::from(variant);
        let graph = Graph::new(&config)?;
        let head = graph.modules().last().filter(|module| module.kind == ModuleKind::Head);
        let prefix = head.map_or(String::new(), |module| format!("{}.", module.name));
        let bias = self.tensors.get(&format!("{prefix}3.bias"));
        Ok(match bias.map(|(_, shape)| shape.as_slice()) {
            Some(&[classes]) if config.clone().with_classes(classes).validate().is_ok() => config.with_classes(classes),
            None if !self.tensors.keys().any(|name| name.starts_with(&prefix)) => config.without_head(),
            _ => config,
        })
    }
}
