//! Parameters and running statistics of a network in training.

use std::cell::Cell;
use std::collections::HashMap;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use hardnet_model::{Config, Graph, ModuleKind, ParamInfo, ParamKind, Parameters, WeightsFile};

use crate::error::{Error, Result};
use crate::init;

/// The parameters and running statistics of a network, each as a variable.
#[derive(Debug)]
pub struct Weights {
    entries: Vec<(ParamInfo, Var)>,
    indices: HashMap<String, usize>,
}

impl Weights {
    /// Random weights for `config` by the authors' rules: Xavier's normal distribution for convolutions, PyTorch's own
    /// for the rest. They depend only on `seed`.
    ///
    /// # Errors
    ///
    /// [`hardnet_graph::Error::Config`] if `config` does not describe a network.
    pub fn random(config: &Config, seed: u64, device: &Device) -> Result<Self> {
        Self::build(config, device, |index, param, fan_in| Ok(init::values(param, index, fan_in, seed)))
    }

    /// The weights of a file, for a network of `classes` classes. If the file has another number of classes, or no
    /// head, the head is random, as in [`Weights::random`]. The head of a segmentation network is its last convolution.
    ///
    /// # Errors
    ///
    /// Errors of reading the file.
    pub fn from_file(file: &WeightsFile, classes: usize, seed: u64, device: &Device) -> Result<Self> {
        let config = file.config().clone().with_classes(classes);
        file.expect_floats()?;
        let (own, kept) = (file.parameters(), file.config().classes() == classes);
        let head = Graph::new(&config)?.modules().iter().rfind(|module| module.kind == ModuleKind::Head).cloned();
        Self::build(&config, device, |index, param, fan_in| {
            let is_head = matches!(param.kind, ParamKind::LinearWeight | ParamKind::LinearBias)
                || head.as_ref().is_some_and(|head| head.nodes.contains(&param.node));
            if is_head && !kept { Ok(init::values(param, index, fan_in, seed)) } else { Ok(own.values(param)?) }
        })
    }

    /// The weights of a file wherever a parameter of the network of `config` has a name and a shape that one of the
    /// file has, random ones elsewhere: an encoder from a classifier, a backbone or another segmentation network.
    /// Returns how many parameters are those of the file.
    ///
    /// # Errors
    ///
    /// [`Error::NoSharedParameters`] if there is none, errors of reading the file.
    pub fn from_encoder(config: &Config, file: &WeightsFile, seed: u64, device: &Device) -> Result<(Self, usize)> {
        file.expect_floats()?;
        let own: HashMap<String, ParamInfo> =
            Graph::new(file.config())?.params().into_iter().map(|param| (param.name.clone(), param)).collect();
        let (values, shared) = (file.parameters(), Cell::new(0));
        let weights = Self::build(config, device, |index, param, fan_in| {
            match own.get(&param.name).filter(|own| own.shape == param.shape) {
                Some(own) => {
                    shared.set(shared.get() + 1);
                    Ok(values.values(own)?)
                }
                None => Ok(init::values(param, index, fan_in, seed)),
            }
        })?;
        match shared.get() {
            0 => Err(Error::NoSharedParameters { path: file.path().into() }),
            count => Ok((weights, count)),
        }
    }

    fn build(
        config: &Config,
        device: &Device,
        values: impl Fn(usize, &ParamInfo, usize) -> Result<Vec<f32>>,
    ) -> Result<Self> {
        let graph = Graph::new(config)?;
        let mut entries = Vec::new();
        for (index, param) in graph.params().into_iter().enumerate() {
            let values = values(index, &param, graph.nodes()[param.node].in_channels)?;
            let var = Var::from_vec(values, &param.shape[..], device)?;
            entries.push((param, var));
        }
        Ok(Self::new(entries))
    }

    fn new(entries: Vec<(ParamInfo, Var)>) -> Self {
        let indices = entries.iter().enumerate().map(|(at, (param, _))| (param.name.clone(), at)).collect();
        Self { entries, indices }
    }

    /// A deep copy.
    ///
    /// # Errors
    ///
    /// Errors of Candle.
    pub fn copy(&self) -> candle_core::Result<Self> {
        let copy =
            |(param, var): &(ParamInfo, Var)| Ok((param.clone(), Var::from_tensor(&var.as_detached_tensor().copy()?)?));
        Ok(Self::new(self.entries.iter().map(copy).collect::<candle_core::Result<_>>()?))
    }

    /// The parameters in the order of [`Graph::params`], with their variables.
    pub fn entries(&self) -> impl Iterator<Item = (&ParamInfo, &Var)> {
        self.entries.iter().map(|(param, var)| (param, var))
    }

    /// The variables in that order.
    pub fn variables(&self) -> impl Iterator<Item = &Var> {
        self.entries.iter().map(|(_, var)| var)
    }

    /// A builder of a network that shares these variables. Parameters get gradients if `is_trained` returns true for
    /// them; running statistics are updated in any case.
    pub fn var_builder(&self, is_trained: impl Fn(&ParamInfo) -> bool, device: &Device) -> VarBuilder<'static> {
        let tensor = |(param, var): &(ParamInfo, Var)| {
            let shared = !param.kind.is_trained() || is_trained(param);
            let tensor = if shared { var.as_tensor().clone() } else { var.as_detached_tensor() };
            (param.name.clone(), tensor)
        };
        let tensors: HashMap<String, Tensor> = self.entries.iter().map(tensor).collect();
        VarBuilder::from_tensors(tensors, DType::F32, device)
    }

    /// The values of entry `index`.
    pub(crate) fn values_at(&self, index: usize) -> candle_core::Result<Vec<f32>> {
        values_of(&self.entries[index].1)
    }
}

/// The values of a variable.
pub(crate) fn values_of(var: &Var) -> candle_core::Result<Vec<f32>> {
    var.as_detached_tensor().flatten_all()?.to_vec1()
}

impl Parameters for Weights {
    fn values(&self, param: &ParamInfo) -> hardnet_params::Result<Vec<f32>> {
        match self.indices.get(&param.name) {
            Some(&at) => self
                .values_at(at)
                .map_err(|error| hardnet_params::Error::Source { name: param.name.clone(), source: Box::new(error) }),
            None => {
                Err(hardnet_params::Error::Parameter { name: param.name.clone(), expected: param.count(), found: 0 })
            }
        }
    }
}
