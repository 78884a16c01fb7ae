//! The image classifier.

use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, ModuleT, Result, Tensor};
use candle_nn::VarBuilder;
use hardnet_graph::{Config, Graph, NodeId};
use hardnet_kernels::Isa;
use hardnet_kernels::training::{BatchPart, GradientObserver};
use hardnet_params::WeightsFile;

use super::Layers;
use crate::parameters::var_builder;

/// A HarDNet from images to logits.
///
/// ```no_run
/// use candle_core::{Device, Tensor};
/// use hardnet_model::HarDNet;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let network = HarDNet::load("hardnet68.safetensors", &Device::Cpu)?;
/// let images = Tensor::zeros((1, 3, 224, 224), candle_core::DType::F32, &Device::Cpu)?;
/// assert_eq!(network.forward(&images)?.dims(), [1, 1000]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct HarDNet {
    config: Config,
    layers: Layers,
    outputs: Vec<Vec<NodeId>>,
}

impl HarDNet {
    /// The network of `config` with its parameters from `vb`, under PyTorch's names.
    ///
    /// Without a head, its output is the map of the last module.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](hardnet_graph::Error::Config) for a configuration that does not describe a network; Candle's
    /// error for a parameter that `vb` lacks or has in another shape. `vb` may hold more: [`HarDNet::load`] is strict
    /// about that too.
    pub fn new(config: &Config, vb: VarBuilder) -> crate::Result<Self> {
        let graph = Graph::new(config)?;
        let outputs = vec![graph.outputs().to_vec()];
        Ok(Self { config: config.clone(), layers: Layers::new(graph, &vb)?, outputs })
    }

    /// The network of a PyTorch, Paddle, safetensors or ONNX file in f32, named by its metadata or recognized by its
    /// tensors.
    ///
    /// # Errors
    ///
    /// As [`WeightsFile::open`] and [`HarDNet::from_file`].
    pub fn load(path: impl AsRef<Path>, device: &Device) -> crate::Result<Self> {
        Self::from_file(&WeightsFile::open(path)?, device)
    }

    /// The network of a file that is open, in f32.
    ///
    /// # Errors
    ///
    /// As [`var_builder`].
    pub fn from_file(file: &WeightsFile, device: &Device) -> crate::Result<Self> {
        Self::new(file.config(), var_builder(file, device)?)
    }

    /// Sets the instruction set that training on the CPU computes with, the best of the processor by default.
    #[must_use]
    pub fn with_isa(mut self, isa: Isa) -> Self {
        self.layers.set_isa(isa);
        self
    }

    /// Passes in training compute `part` of a batch, whose parts are normalized by the statistics of all. The weights,
    /// and the memory of passes, are shared with the network that this one is a clone of.
    ///
    /// A pass and its gradients wait for those of the other parts, which run on threads of their own or elsewhere. The
    /// gradients are of a loss of the whole batch if each part has its terms of that loss.
    #[must_use]
    pub fn with_part(mut self, part: Arc<dyn BatchPart>) -> Self {
        self.layers.part = Some(part);
        self
    }

    /// Backward passes of [`forward_train`](Self::forward_train) give gradients to `observer` while they compute
    /// others. Its list of parameters is that of [`Graph::params`] without running statistics. Passes that the
    /// kernels do not compute give it nothing: on other devices than the CPU, in other types than f32, of networks
    /// that the kernels do not know. Nor do those that start after a module.
    #[must_use]
    pub fn with_gradient_observer(mut self, observer: Arc<dyn GradientObserver>) -> Self {
        self.layers.observer = Some(observer);
        self
    }

    /// Logits `[N, classes]` of normalized `images`, `[N, 3, H, W]`, by the running statistics.
    ///
    /// # Errors
    ///
    /// Candle's, and where the images are too small for the strides.
    pub fn forward(&self, images: &Tensor) -> Result<Tensor> {
        self.forward_t(images, false)
    }

    /// Logits `[N, classes]` of a batch of the training set: by the batch's statistics, which update the running ones,
    /// and with dropout, whose choice depends on `seed`, the layer and the place of the value alone.
    ///
    /// [`forward_t`](ModuleT::forward_t) with `train` is the same with another choice each time.
    ///
    /// # Errors
    ///
    /// As [`HarDNet::forward`].
    pub fn forward_train(&self, images: &Tensor, seed: u64) -> Result<Tensor> {
        Ok(self.layers.pass(images, Some(self.layers.train(seed)), &self.outputs)?.remove(0))
    }

    /// Logits `[N, classes]` of a batch of the training set from the output, `[N, C, H, W]`, of the module at position
    /// `module` of [`Graph::modules`], as [`HarDNet::forward_train`] computes them. Modules up to that one are not
    /// computed, and their running statistics stay.
    ///
    /// # Errors
    ///
    /// As [`HarDNet::forward`], and where `module` is past the last module or `output` has other channels.
    pub fn forward_train_after(&self, module: usize, output: &Tensor, seed: u64) -> Result<Tensor> {
        let modules = self.layers.graph.modules();
        let Some(module) = modules.get(module) else { candle_core::bail!("the network has {} modules", modules.len()) };
        Ok(self.layers.pass_after(module, output, &self.layers.train(seed), &self.outputs)?.remove(0))
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Its graph.
    pub fn graph(&self) -> &Graph {
        &self.layers.graph
    }

    /// The outputs of the modules at `positions` of [`Graph::modules`] for `images`, `[N, C, H, W]`: for finding where
    /// two implementations part.
    ///
    /// # Errors
    ///
    /// As [`HarDNet::forward`], and where a position is past the last module.
    pub fn module_outputs(&self, images: &Tensor, positions: &[usize]) -> Result<Vec<Tensor>> {
        let modules = self.layers.graph.modules();
        let wanted: Option<Vec<_>> = positions.iter().map(|&at| Some(modules.get(at)?.outputs.clone())).collect();
        let Some(wanted) = wanted else { candle_core::bail!("the network has {} modules", modules.len()) };
        self.layers.run(images, false, &wanted)
    }
}

impl ModuleT for HarDNet {
    /// Logits; with `train`, by the batch's statistics, which update the running ones, and with dropout.
    fn forward_t(&self, images: &Tensor, train: bool) -> Result<Tensor> {
        Ok(self.layers.run(images, train, &self.outputs)?.remove(0))
    }
}
