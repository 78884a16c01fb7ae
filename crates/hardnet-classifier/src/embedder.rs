//! Embeddings: images as vectors.

use std::fmt;
use std::sync::Arc;

use hardnet_data::{Image, Pipeline, Resizer, Sample};
use hardnet_engine::PlanOptions;
use hardnet_eval::{ComputeLogits, EvalError, EvalOptions, EvalSummary, Logits, Observer, evaluate};
use hardnet_graph::{FeatureInfo, Graph};
use hardnet_params::{Metadata, WeightsFile};
use hardnet_simd::Isa;

use crate::builder::ClassifierBuilder;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::features::Tap;
use crate::input::{self, ImageInput};
use crate::network::{FileSource, Network};
use crate::stage::Stage;

/// The output of an [`Embedder`].
///
/// ```
/// use hardnet_classifier::{EmbedOptions, Stage};
///
/// let options = EmbedOptions::default();
/// assert_eq!((options.stage, options.maps), (Stage::Last, false));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EmbedOptions {
    /// The feature map, by default the last one, which the classifier reads.
    pub stage: Stage,
    /// Whether to give the whole map, `[C, H, W]`, rather than the mean of each channel, `[C]`.
    pub maps: bool,
}

impl EmbedOptions {
    /// Sets [`stage`](Self::stage).
    pub fn stage(mut self, stage: Stage) -> Self {
        self.stage = stage;
        self
    }

    /// Sets [`maps`](Self::maps).
    pub fn maps(mut self, maps: bool) -> Self {
        self.maps = maps;
        self
    }
}

/// A network up to a stage, with its weights and preprocessing: turns images into vectors.
///
/// It computes the network only as far as its stage needs, and weights without a classifier are enough. The values are
/// those of [`Classifier::features`](crate::Classifier::features) for the same stage, or the
/// [means](crate::FeatureMap::pooled) of its channels. As a classifier, it is cheap to clone and shared by threads.
///
/// ```no_run
/// use hardnet_classifier::{Classifier, EmbedOptions};
/// use hardnet_params::WeightsFile;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let weights = WeightsFile::open("hardnet68.safetensors")?;
/// let embedder = Classifier::builder().embedder(weights, &EmbedOptions::default())?;
/// let vector = embedder.embed("photo.jpg")?;
/// assert_eq!(vector.len(), 1024);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Embedder(Arc<Inner>);

struct Inner {
    network: Network,
    tap: Tap,
    maps: bool,
    in_channels: usize,
    pipeline: Pipeline,
    /// Threads of this machine that the network keeps busy.
    threads: usize,
    /// Images computed together.
    batch: usize,
    /// Instruction set of the resize.
    isa: Isa,
    weights: String,
}

impl ClassifierBuilder {
    /// Builds an embedder of weights that are open, with or without a classifier. Names of classes and
    /// [`features`](Self::features) do not matter to it.
    ///
    /// # Errors
    ///
    /// [`Error::Graph`] for a stage that the network does not have and for an image size that it is too deep for,
    /// otherwise as [`from_weights`](Self::from_weights).
    pub fn embedder(self, file: WeightsFile, options: &EmbedOptions) -> Result<Embedder> {
        let weights = file.path().display().to_string();
        let metadata = file.metadata().cloned().unwrap_or_else(|| Metadata::new(file.config().clone()));
        let (pipeline, isa) = (self.preprocessing(&metadata)?, self.isa);
        let side = pipeline.crop as usize;
        let graph = Graph::new(&metadata.config.clone().without_head())?;
        let tap = options.stage.tap(&graph, side)?;
        let (network, threads, batch) = match self.chosen_engine()? {
            Engine::Native => {
                let batch = self.batch_size.min(Self::MAX_NATIVE_BATCH);
                let plan = PlanOptions::default().size(side, side).batch(batch).threads(self.threads).isa(self.isa);
                let plan = plan.batch_invariant(self.batch_invariant);
                // The output of the part is the map.
                let part = graph.clone().truncated(tap.module);
                let source = FileSource::new(file, &graph, self.precision)?;
                (Network::native(&part, &[], &source.source(), &plan)?, self.threads, batch)
            }
            #[cfg(feature = "candle")]
            Engine::Candle => {
                file.expect_floats()?;
                let vb = hardnet_model::var_builder(&file, &self.device)?;
                let network = hardnet_model::HarDNet::new(file.config(), vb)?;
                let threads = if self.device.is_cpu() { self.threads } else { 1 };
                let network = crate::network::CandleNetwork { network, device: self.device, side };
                (Network::Candle(network), threads, self.batch_size)
            }
            #[cfg(not(feature = "candle"))]
            Engine::Candle => unreachable!("the engine is refused without the feature"),
        };
        let (maps, in_channels) = (options.maps, metadata.config.in_channels);
        Ok(Embedder(Arc::new(Inner { network, tap, maps, in_channels, pipeline, threads, batch, isa, weights })))
    }
}

impl Embedder {
    /// Returns the values of an image: a path, an [`Image`], or the content of an image file.
    ///
    /// # Errors
    ///
    /// As [`Classifier::classify`](crate::Classifier::classify).
    pub fn embed<'a>(&self, image: impl Into<ImageInput<'a>>) -> Result<Vec<f32>> {
        let (image, _) = image.into().decode(&self.0.pipeline.decode_options())?;
        Ok(self.rows(&[self.prepare(&image)?])?.into_vec())
    }

    /// Turns an image into the tensor that [`rows`](Self::rows) takes.
    ///
    /// # Errors
    ///
    /// [`Error::Preprocess`] where the image cannot be resized.
    pub fn prepare(&self, image: &Image) -> Result<Vec<f32>> {
        input::prepare(&self.0.pipeline, &mut Resizer::with_isa(self.0.isa), image)
    }

    /// Computes images that are prepared, each a tensor `[channels, side, side]`: a row of values for each.
    ///
    /// # Errors
    ///
    /// [`Error::ImageLength`] for a tensor of another size, [`Error::NotFinite`] where the output makes no sense.
    pub fn rows<I: AsRef<[f32]>>(&self, images: &[I]) -> Result<Logits> {
        let Inner { network, tap, batch, weights, .. } = &*self.0;
        let expected = self.0.in_channels * (self.0.pipeline.crop as usize).pow(2);
        let images = input::tensors(images, expected)?;
        let map = network.features(&images, *batch, std::slice::from_ref(tap))?.remove(0);
        let values = if self.0.maps { map.values } else { map.pooled() };
        if !values.iter().all(|value| value.is_finite()) {
            return Err(Error::NotFinite { weights: weights.clone() });
        }
        Ok(Logits::new(values, self.shape().iter().product()))
    }

    /// Computes all `samples`, prepared by this embedder's preprocessing, as [`evaluate()`]: what the observer gets as
    /// the logits of an image are its values.
    ///
    /// # Errors
    ///
    /// As [`evaluate()`].
    pub fn embed_all(
        &self,
        samples: impl Into<Arc<Vec<Sample>>>,
        options: &EvalOptions,
        observer: &mut (impl Observer + ?Sized),
    ) -> Result<EvalSummary, EvalError<Error>> {
        evaluate(self, samples, self.pipeline(), options, observer)
    }

    /// Returns the shape of an image's values: channels, or channels, rows and columns.
    pub fn shape(&self) -> Vec<usize> {
        let Tap { info, rows, columns, .. } = &self.0.tap;
        if self.0.maps { vec![info.channels, *rows, *columns] } else { vec![info.channels] }
    }

    /// Returns the module whose output the values are.
    pub fn info(&self) -> &FeatureInfo {
        &self.0.tap.info
    }

    /// Returns the preprocessing.
    pub fn pipeline(&self) -> &Pipeline {
        &self.0.pipeline
    }

    /// Returns the engine that computes.
    pub fn engine(&self) -> Engine {
        self.0.network.engine()
    }
}

impl ComputeLogits for Embedder {
    type Error = Error;

    fn compute_logits(&self, images: &[&[f32]]) -> Result<Logits> {
        self.rows(images)
    }

    fn busy_threads(&self) -> usize {
        self.0.threads
    }
}

impl fmt::Debug for Embedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Embedder of `{}` at {} on the {} engine", self.0.weights, self.info().module, self.engine())
    }
}
