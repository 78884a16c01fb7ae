//! Options of a classifier, and where its weights come from.

use std::path::Path;
use std::sync::Arc;

use hardnet_data::Pipeline;
use hardnet_engine::PlanOptions;
use hardnet_graph::{Config, Graph, Taps};
use hardnet_params::{Metadata, Parameters, QuantizedParameters, WeightsFile, WeightsOptions};
use hardnet_quantize::{QuantizeOptions, quantize};
use hardnet_simd::Isa;

use crate::activation::Head;
use crate::classifier::{Classifier, Inner};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::features::Tap;
use crate::labels::Labels;
use crate::network::{FileSource, Network, Source};
use crate::precision::Precision;
use crate::preprocessing::pipeline_of;
use crate::weights::open_weights;

/// Options of a [`Classifier`]; [`load`](Self::load) and its siblings build it.
///
/// The network is planned when the classifier is built, for the image size and batch size given here: its weights are
/// packed once, and the memory of the weights file is given back meanwhile.
///
/// ```no_run
/// use hardnet_classifier::Classifier;
///
/// # fn main() -> Result<(), hardnet_classifier::Error> {
/// let classifier = Classifier::builder().threads(4).image_size(192).load("hardnet68.safetensors")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder builds nothing until its weights are named"]
pub struct ClassifierBuilder {
    pub(crate) threads: usize,
    pub(crate) batch_size: usize,
    pub(crate) isa: Isa,
    pub(crate) batch_invariant: bool,
    engine: Option<Engine>,
    pub(crate) precision: Option<Precision>,
    pipeline: Option<Pipeline>,
    image_size: Option<u32>,
    labels: Option<Labels>,
    taps: Option<Taps>,
    activation_maps: bool,
    weights: WeightsOptions,
    #[cfg(feature = "candle")]
    pub(crate) device: candle_core::Device,
}

impl Default for ClassifierBuilder {
    /// A thread for each processor that the process may use, batches of 8, the best instruction set, preprocessing and
    /// names by the weights.
    fn default() -> Self {
        Self {
            threads: PlanOptions::default().threads,
            batch_size: Self::MAX_NATIVE_BATCH,
            isa: Isa::best(),
            batch_invariant: false,
            engine: None,
            precision: None,
            pipeline: None,
            image_size: None,
            labels: None,
            taps: None,
            activation_maps: false,
            weights: WeightsOptions::default(),
            #[cfg(feature = "candle")]
            device: candle_core::Device::Cpu,
        }
    }
}

impl ClassifierBuilder {
    /// Images that the native engine computes together at most: more need memory for their maps and gain little.
    pub const MAX_NATIVE_BATCH: usize = 8;

    /// Sets the threads of the native engine, the caller's among them, by default one for each processor that the
    /// process may use. Results do not depend on it.
    ///
    /// Where each core runs two threads (hyper-threading), as many threads as physical cores are often faster; that is
    /// the default of the command line.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Sets the number of images computed together, by default 8. The native engine takes at most
    /// [`MAX_NATIVE_BATCH`](Self::MAX_NATIVE_BATCH).
    ///
    /// The native engine chooses its algorithms for this number, so it may change the last bits of logits, unless they
    /// are [`batch_invariant`](Self::batch_invariant). Fewer images than that may be given at any time.
    pub fn batch_size(mut self, images: usize) -> Self {
        self.batch_size = images.max(1);
        self
    }

    /// Sets whether the native engine's logits are the same, to the last bit, whatever the batch size.
    pub fn batch_invariant(mut self, invariant: bool) -> Self {
        self.batch_invariant = invariant;
        self
    }

    /// Sets the instruction set of the native engine and of the preprocessing, by default the best of this processor.
    pub fn isa(mut self, isa: Isa) -> Self {
        self.isa = isa;
        self
    }

    /// Sets the engine, by default [`Engine::Native`] on the CPU and [`Engine::Candle`] on other devices.
    pub fn engine(mut self, engine: Engine) -> Self {
        self.engine = Some(engine);
        self
    }

    /// Sets the numbers that the native engine computes with, by default those of the weights file. Weights in floating
    /// point are quantized for [`Precision::Int8`] without images, by `hardnet_quantize::quantize`.
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = Some(precision);
        self
    }

    /// Sets the device, by default the CPU.
    #[cfg(feature = "candle")]
    pub fn device(mut self, device: candle_core::Device) -> Self {
        self.device = device;
        self
    }

    /// Sets the preprocessing, by default what the weights file names, or that of the network's authors.
    pub fn pipeline(mut self, pipeline: Pipeline) -> Self {
        self.pipeline = Some(pipeline);
        self
    }

    /// Sets the side of the square that the network sees, in pixels; the share of the image in it stays the same.
    pub fn image_size(mut self, side: u32) -> Self {
        self.image_size = Some(side);
        self
    }

    /// Sets the names of the classes, by default those in the weights file, or ImageNet's for 1,000 classes.
    pub fn labels(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.labels = Some(Labels::new(names.into_iter().map(Into::into).collect()));
        self
    }

    /// Sets the feature maps that [`Classifier::features`] gives, by default none.
    ///
    /// They are outputs of the same network: no weights are held twice. Each call of the native engine copies them out
    /// of its memory, also where only logits are wanted, so ask for what you need.
    pub fn features(mut self, taps: Taps) -> Self {
        self.taps = Some(taps);
        self
    }

    /// Sets whether [`Classifier::activation_map`] works, by default not: it needs the weights of the last layer and
    /// the map before it, which each call of the native engine then copies out of its memory.
    pub fn activation_maps(mut self, wanted: bool) -> Self {
        self.activation_maps = wanted;
        self
    }

    /// Sets what [`load`](Self::load) and [`from_pretrained`](Self::from_pretrained) read of a file: one dictionary of
    /// a checkpoint, the tensors below a prefix, a network that the file must hold. By default, the averaged weights of
    /// a checkpoint that has them.
    pub fn weights_options(mut self, options: WeightsOptions) -> Self {
        self.weights = options;
        self
    }

    /// Builds the classifier of a weights file: safetensors, PyTorch or Paddle.
    ///
    /// # Errors
    ///
    /// [`Error::Params`] where the file holds no such network, otherwise as [`from_weights`](Self::from_weights).
    pub fn load(self, path: impl AsRef<Path>) -> Result<Classifier> {
        let file = WeightsFile::open_with(path, &self.weights)?;
        self.from_weights(file)
    }

    /// Builds the classifier of the weights called `name`, as [`Classifier::from_pretrained`].
    ///
    /// # Errors
    ///
    /// [`Error::Source`] where the weights cannot be had, otherwise as [`from_weights`](Self::from_weights).
    pub fn from_pretrained(self, name: &str) -> Result<Classifier> {
        let file = open_weights(name, &self.weights)?;
        self.from_weights(file)
    }

    /// Builds the classifier of weights that are open.
    ///
    /// # Errors
    ///
    /// [`Error::NoHead`], [`Error::Segmentation`] and [`Error::LabelCount`] for weights of something else than a
    /// classifier, [`Error::Graph`] for an image size that the network is too deep for, [`Error::Engine`] for an engine
    /// that is not available, [`Error::Quantize`] for a network that cannot be quantized, [`Error::Params`] for 8-bit
    /// weights where floating point is needed.
    pub fn from_weights(self, file: WeightsFile) -> Result<Classifier> {
        let weights = file.path().display().to_string();
        let metadata = file.metadata().cloned().unwrap_or_else(|| Metadata::new(file.config().clone()));
        match self.chosen_engine()? {
            Engine::Native => {
                let source = FileSource::new(file, &Graph::new(&metadata.config)?, self.precision)?;
                self.native(&metadata, &source.source(), weights)
            }
            #[cfg(feature = "candle")]
            Engine::Candle => {
                file.expect_floats()?;
                let network =
                    hardnet_model::HarDNet::new(file.config(), hardnet_model::var_builder(&file, &self.device)?)?;
                let head = self.head(&metadata.config, &file.parameters())?;
                drop(file);
                self.candle(&metadata, network, head, weights)
            }
            #[cfg(not(feature = "candle"))]
            Engine::Candle => unreachable!("the engine is refused without the feature"),
        }
    }

    /// Builds a classifier on the native engine from parameters in memory; `metadata` describes the network.
    ///
    /// # Errors
    ///
    /// As [`from_weights`](Self::from_weights), and what `parameters` says.
    pub fn from_parameters(self, metadata: &Metadata, parameters: &dyn Parameters) -> Result<Classifier> {
        match self.chosen_engine()? {
            Engine::Native if self.precision == Some(Precision::Int8) => {
                let quantized = quantize(&Graph::new(&metadata.config)?, parameters, &QuantizeOptions::default())?;
                self.native(metadata, &Source::Integers(&quantized), "parameters in memory".into())
            }
            Engine::Native => self.native(metadata, &Source::Floats(parameters), "parameters in memory".into()),
            engine => Err(Error::Engine { engine, reason: "takes a network, not parameters" }),
        }
    }

    /// Builds a classifier on the native engine from a quantized network; `metadata` describes the network.
    ///
    /// # Errors
    ///
    /// As [`from_weights`](Self::from_weights), and what `parameters` says.
    pub fn from_quantized(self, metadata: &Metadata, parameters: &dyn QuantizedParameters) -> Result<Classifier> {
        match self.chosen_engine()? {
            Engine::Native => self.native(metadata, &Source::Integers(parameters), "parameters in memory".into()),
            engine => Err(Error::Engine { engine, reason: "computes in floating point" }),
        }
    }

    /// Builds a classifier on Candle from a network that is on the builder's device.
    ///
    /// # Errors
    ///
    /// As [`from_weights`](Self::from_weights); [`Error::Engine`] for [activation maps](Self::activation_maps), which
    /// need the weights.
    #[cfg(feature = "candle")]
    pub fn from_network(self, metadata: &Metadata, network: hardnet_model::HarDNet) -> Result<Classifier> {
        if self.activation_maps {
            let reason = "has no activation maps of a network in memory";
            return Err(Error::Engine { engine: Engine::Candle, reason });
        }
        self.candle(metadata, network, None, "parameters in memory".into())
    }

    /// Chooses the engine.
    pub(crate) fn chosen_engine(&self) -> Result<Engine> {
        #[cfg(feature = "candle")]
        let on_cpu = self.device.is_cpu();
        #[cfg(not(feature = "candle"))]
        let on_cpu = true;
        let engine = self.engine.unwrap_or(if on_cpu { Engine::Native } else { Engine::Candle });
        match engine {
            Engine::Native if !on_cpu => Err(Error::Engine { engine, reason: "computes on the CPU only" }),
            Engine::Candle if cfg!(not(feature = "candle")) => {
                Err(Error::Engine { engine, reason: "is not part of this build" })
            }
            Engine::Candle if self.precision == Some(Precision::Int8) => {
                Err(Error::Engine { engine, reason: "computes in floating point" })
            }
            _ => Ok(engine),
        }
    }

    fn native(self, metadata: &Metadata, source: &Source<'_>, weights: String) -> Result<Classifier> {
        let prepared = self.prepare(metadata, &weights)?;
        let batch = self.batch_size.min(Self::MAX_NATIVE_BATCH);
        let side = prepared.pipeline.crop as usize;
        let options = PlanOptions::default().size(side, side).batch(batch).threads(self.threads).isa(self.isa);
        let options = options.batch_invariant(self.batch_invariant);
        let head = self.head(&metadata.config, source.parameters())?;
        let plan = |source: &Source<'_>| Network::native(&prepared.graph, &prepared.taps, source, &options);
        let network = match (&head, source) {
            (None, source) => plan(source)?,
            (Some(head), Source::Floats(parameters)) => plan(&Source::Floats(&head.among(*parameters)))?,
            (Some(head), Source::Integers(parameters)) => plan(&Source::Integers(&head.among(*parameters)))?,
        };
        let head = match source {
            Source::Integers(parameters) => head.map(|head| head.in_network_units(&prepared.graph, *parameters)),
            Source::Floats(_) => head,
        };
        Ok(Self::finish(metadata, network, head, prepared, (self.threads, batch, self.isa), weights))
    }

    #[cfg(feature = "candle")]
    fn candle(
        self,
        metadata: &Metadata,
        network: hardnet_model::HarDNet,
        head: Option<Head>,
        weights: String,
    ) -> Result<Classifier> {
        let prepared = self.prepare(metadata, &weights)?;
        // Candle's CPU backend has a pool of its own; elsewhere this machine only waits.
        let threads = if self.device.is_cpu() { self.threads } else { 1 };
        let side = prepared.pipeline.crop as usize;
        let network = Network::Candle(crate::network::CandleNetwork { network, device: self.device, side });
        Ok(Self::finish(metadata, network, head, prepared, (threads, self.batch_size, self.isa), weights))
    }

    /// Reads the weights of the last layer, if they are needed.
    fn head(&self, config: &Config, parameters: &dyn Parameters) -> Result<Option<Head>> {
        // A network without one is refused later.
        let wanted = self.activation_maps && config.head.is_some();
        wanted.then(|| Head::read(&Graph::new(config)?, parameters)).transpose()
    }

    /// Decides preprocessing, names and feature maps, and checks them against the network.
    fn prepare(&self, metadata: &Metadata, weights: &str) -> Result<Prepared> {
        let config = &metadata.config;
        if config.decoder.is_some() {
            return Err(Error::Segmentation { weights: weights.into() });
        }
        let classes = config.classes();
        if classes == 0 {
            return Err(Error::NoHead { weights: weights.into() });
        }
        let labels = match (&self.labels, &metadata.labels) {
            (Some(labels), _) => labels.clone(),
            (None, Some(labels)) => Labels::new(labels.clone()),
            (None, None) => Labels::guess(classes),
        };
        if labels.len() != classes {
            return Err(Error::LabelCount { weights: weights.into(), expected: classes, found: labels.len() });
        }
        let pipeline = self.preprocessing(metadata)?;
        let (graph, side) = (Graph::new(config)?, pipeline.crop as usize);
        graph.shapes(side, side)?;
        let mut taps = self.taps.as_ref().map(|taps| Tap::resolve(&graph, taps, side)).transpose()?.unwrap_or_default();
        if self.activation_maps {
            taps.push(Tap::new(&graph, Head::module(&graph), side)?);
        }
        Ok(Prepared { graph, pipeline, labels, taps })
    }

    /// Decides the preprocessing of the network that `metadata` describes.
    pub(crate) fn preprocessing(&self, metadata: &Metadata) -> Result<Pipeline> {
        let mut pipeline = match &self.pipeline {
            Some(pipeline) => pipeline.clone(),
            None => pipeline_of(Some(&metadata.config), metadata.pipeline.as_ref())?.0,
        };
        if let Some(side) = self.image_size {
            pipeline = pipeline.with_image_size(side);
        }
        pipeline.validate().map_err(Error::Pipeline)?;
        Ok(pipeline)
    }

    fn finish(
        metadata: &Metadata,
        network: Network,
        head: Option<Head>,
        prepared: Prepared,
        (threads, batch, isa): (usize, usize, Isa),
        weights: String,
    ) -> Classifier {
        let config: Config = metadata.config.clone();
        let Prepared { pipeline, labels, taps, .. } = prepared;
        let labels = Arc::new(labels);
        Classifier::new(Inner { network, config, pipeline, labels, taps, head, threads, batch, isa, weights })
    }
}

/// The parts of a classifier that do not depend on parameters.
struct Prepared {
    graph: Graph,
    pipeline: Pipeline,
    labels: Labels,
    taps: Vec<Tap>,
}
