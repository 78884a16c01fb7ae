//! The classifier.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use hardnet_data::{Image, Pipeline, Resizer, Sample};
use hardnet_eval::{ComputeLogits, EvalError, EvalOptions, EvalSummary, Logits, Observer, evaluate};
use hardnet_graph::Config;
use hardnet_simd::Isa;

use crate::activation::{ActivationMap, Head};
use crate::builder::ClassifierBuilder;
use crate::classification::Classification;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::features::{FeatureMap, Tap};
use crate::input::{self, ImageInput};
use crate::labels::Labels;
use crate::network::Network;

/// A network with its weights, preprocessing and names of classes.
///
/// A clone is cheap and shares the network. Threads may call one classifier at the same time: they read, decode and
/// prepare their images at the same time and take turns in the network, batch by batch. The network keeps all its
/// threads busy with one batch, so that a second one at the same time would gain little and need as much memory again.
///
/// ```no_run
/// use hardnet_classifier::Classifier;
///
/// # fn main() -> Result<(), hardnet_classifier::Error> {
/// let classifier = Classifier::load("hardnet68.safetensors")?;
/// let classification = classifier.classify("photo.jpg")?;
/// println!("{:?}", classification.top(5));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Classifier(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) network: Network,
    pub(crate) config: Config,
    pub(crate) pipeline: Pipeline,
    pub(crate) labels: Arc<Labels>,
    /// The feature maps that are asked for, then the last one, if there is a `head`.
    pub(crate) taps: Vec<Tap>,
    /// The weights of the last layer, for activation maps.
    pub(crate) head: Option<Head>,
    /// Threads of this machine that the network keeps busy.
    pub(crate) threads: usize,
    /// Images computed together.
    pub(crate) batch: usize,
    /// Instruction set of the preprocessing.
    pub(crate) isa: Isa,
    pub(crate) weights: String,
}

impl Classifier {
    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// Returns the options of a classifier to be built.
    pub fn builder() -> ClassifierBuilder {
        ClassifierBuilder::default()
    }

    /// Builds the classifier of the weights called `name`: a tag as `hardnet68.upstream_in1k`, an address
    /// `hf://owner/name[@revision][/file]`, or the path of a file.
    ///
    /// With the feature `hub`, weights that no cache has are fetched first. Caches, tokens and proxies are those of the
    /// environment (`HF_HOME`, `HF_TOKEN`, ...), as `FetchOptions::from_env` of `hardnet-weights` reads it. To use
    /// other options, or to show progress, open a `WeightsSource` of that crate and pass the file to
    /// [`ClassifierBuilder::from_weights`]. Without the feature, paths work, and tags of weights that are part of the
    /// program.
    ///
    /// # Errors
    ///
    /// [`Error::Source`] where the weights cannot be had, otherwise as [`ClassifierBuilder::from_weights`].
    pub fn from_pretrained(name: &str) -> Result<Self> {
        Self::builder().from_pretrained(name)
    }

    /// Builds the classifier of a weights file: safetensors, PyTorch or Paddle.
    ///
    /// # Errors
    ///
    /// As [`ClassifierBuilder::load`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder().load(path)
    }

    /// Classifies an image: a path, an [`Image`], or the content of an image file.
    ///
    /// # Errors
    ///
    /// [`Error::ReadImage`], [`Error::NotAnImageFile`], [`Error::ImageTooLarge`], [`Error::ImageFile`],
    /// [`Error::Decode`] and [`Error::Preprocess`] for an image that cannot be read, [`Error::NotFinite`] where the
    /// network's output makes no sense.
    pub fn classify<'a>(&self, image: impl Into<ImageInput<'a>>) -> Result<Classification> {
        let (image, warnings) = image.into().decode(&self.0.pipeline.decode_options())?;
        let logits = self.logits(&[self.prepare(&image)?])?;
        Ok(Classification::new(logits.into_vec(), Arc::clone(&self.0.labels), warnings))
    }

    /// Classifies images, which are decoded one after the other and computed together.
    ///
    /// For many files, [`evaluate`](Self::evaluate) decodes on several threads ahead of the network.
    ///
    /// # Errors
    ///
    /// As [`classify`](Self::classify), for the first image that cannot be read.
    pub fn classify_batch<'a>(
        &self,
        images: impl IntoIterator<Item = impl Into<ImageInput<'a>>>,
    ) -> Result<Vec<Classification>> {
        let (mut resizer, options) = (self.resizer(), self.0.pipeline.decode_options());
        let (mut tensors, mut lost) = (Vec::new(), Vec::new());
        for image in images {
            let (image, warnings) = image.into().decode(&options)?;
            tensors.push(self.prepare_with(&mut resizer, &image)?);
            lost.push(warnings);
        }
        let logits = self.logits(&tensors)?;
        let labels = || Arc::clone(&self.0.labels);
        Ok(logits.rows().zip(lost).map(|(row, lost)| Classification::new(row.to_vec(), labels(), lost)).collect())
    }

    /// Turns an image into the tensor that [`logits`](Self::logits) takes.
    ///
    /// # Errors
    ///
    /// [`Error::Preprocess`] where the image cannot be resized.
    pub fn prepare(&self, image: &Image) -> Result<Vec<f32>> {
        self.prepare_with(&mut self.resizer(), image)
    }

    fn resizer(&self) -> Resizer {
        Resizer::with_isa(self.0.isa)
    }

    fn prepare_with(&self, resizer: &mut Resizer, image: &Image) -> Result<Vec<f32>> {
        input::prepare(&self.0.pipeline, resizer, image)
    }

    /// Computes the logits of images that are prepared, each a tensor `[channels, side, side]`.
    ///
    /// # Errors
    ///
    /// [`Error::ImageLength`] for a tensor of another size, [`Error::NotFinite`] where the output makes no sense.
    pub fn logits<I: AsRef<[f32]>>(&self, images: &[I]) -> Result<Logits> {
        let Inner { network, config, batch, weights, .. } = &*self.0;
        let logits = network.logits(&self.tensors(images)?, *batch, config.classes())?;
        if !logits.as_slice().iter().all(|logit| logit.is_finite()) {
            return Err(Error::NotFinite { weights: weights.clone() });
        }
        Ok(logits)
    }

    /// Computes the feature maps that [`ClassifierBuilder::features`] named, in its order, of images that are
    /// prepared.
    ///
    /// ```no_run
    /// use hardnet_classifier::Classifier;
    /// use hardnet_graph::{TapKind, Taps};
    ///
    /// # fn main() -> Result<(), hardnet_classifier::Error> {
    /// let taps = Taps::Strides(vec![8, 16, 32], TapKind::Transition);
    /// let classifier = Classifier::builder().features(taps).load("hardnet68.safetensors")?;
    /// let image = vec![0.0; 3 * 224 * 224]; // or of `Classifier::prepare`
    /// for map in classifier.features(&[image])? {
    ///     println!("stride {}: {:?}", map.info.stride, map.shape);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NoTaps`] where it named none, [`Error::ImageLength`] for a tensor of another size.
    pub fn features<I: AsRef<[f32]>>(&self, images: &[I]) -> Result<Vec<FeatureMap>> {
        let taps = &self.0.taps[..self.0.taps.len() - usize::from(self.0.head.is_some())];
        if taps.is_empty() {
            return Err(Error::NoTaps);
        }
        self.0.network.features(&self.tensors(images)?, self.0.batch, taps)
    }

    /// Computes where the network sees `class` in an image that is prepared: the share of each place in its logit.
    ///
    /// ```no_run
    /// use hardnet_classifier::Classifier;
    /// use hardnet_data::{DecodeLimits, decode};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let classifier = Classifier::builder().activation_maps(true).load("hardnet68.safetensors")?;
    /// let photo = decode(&std::fs::read("photo.jpg")?, &DecodeLimits::default())?.image;
    /// let map = classifier.activation_map(classifier.prepare(&photo)?, 281)?;
    /// println!("{}x{} places, logit {}", map.rows, map.columns, map.logit());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NoActivationMaps`] unless [`ClassifierBuilder::activation_maps`] was set,
    /// [`Error::ImageLength`] for a tensor of another size, [`Error::NoClass`] for a class that the network does not
    /// have.
    pub fn activation_map(&self, image: impl AsRef<[f32]>, class: usize) -> Result<ActivationMap> {
        let mut maps = self.activation_maps(image, &[class])?;
        Ok(maps.remove(0))
    }

    /// Computes the [activation maps](Self::activation_map) of several classes in one pass of the network.
    ///
    /// # Errors
    ///
    /// As [`activation_map`](Self::activation_map).
    pub fn activation_maps(&self, image: impl AsRef<[f32]>, classes: &[usize]) -> Result<Vec<ActivationMap>> {
        let Inner { network, config, taps, batch, head, .. } = &*self.0;
        let head = head.as_ref().ok_or(Error::NoActivationMaps)?;
        if let Some(&class) = classes.iter().find(|&&class| class >= config.classes()) {
            return Err(Error::NoClass { class, classes: config.classes() });
        }
        let maps = network.features(&self.tensors(&[image])?, *batch, taps)?;
        let last = maps.last().expect("the last tap is the map that the head reads");
        Ok(classes.iter().map(|&class| head.activation(last, class)).collect())
    }

    /// Checks that every image is one of the network's input.
    fn tensors<'a, I: AsRef<[f32]>>(&self, images: &'a [I]) -> Result<Vec<&'a [f32]>> {
        let expected = self.0.config.in_channels * self.image_size().pow(2);
        input::tensors(images, expected)
    }

    /// Computes all `samples` with this classifier's preprocessing, as [`evaluate()`].
    ///
    /// ```no_run
    /// use hardnet_classifier::Classifier;
    /// use hardnet_data::Dataset;
    /// use hardnet_eval::{EvalOptions, Tally};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let classifier = Classifier::load("flowers.safetensors")?;
    /// let dataset = Dataset::from_class_folders("flowers/val", classifier.labels())?;
    /// let mut tally = Tally::default();
    /// classifier.evaluate(dataset.samples, &EvalOptions::default(), &mut tally)?;
    /// println!("top-1 {:?} %", tally.top1().percent());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`evaluate()`].
    pub fn evaluate(
        &self,
        samples: impl Into<Arc<Vec<Sample>>>,
        options: &EvalOptions,
        observer: &mut (impl Observer + ?Sized),
    ) -> Result<EvalSummary, EvalError<Error>> {
        evaluate(self, samples, self.pipeline(), options, observer)
    }

    /// Returns the network's description.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Returns the names of the classes.
    pub fn labels(&self) -> &Labels {
        &self.0.labels
    }

    /// Returns the preprocessing.
    pub fn pipeline(&self) -> &Pipeline {
        &self.0.pipeline
    }

    /// Returns the side of the square that the network sees, in pixels.
    pub fn image_size(&self) -> usize {
        self.0.pipeline.crop as usize
    }

    /// Returns the engine that computes.
    pub fn engine(&self) -> Engine {
        self.0.network.engine()
    }
}

impl ComputeLogits for Classifier {
    type Error = Error;

    fn compute_logits(&self, images: &[&[f32]]) -> Result<Logits> {
        self.logits(images)
    }

    fn busy_threads(&self) -> usize {
        self.0.threads
    }
}

impl fmt::Debug for Classifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { weights, .. } = &*self.0;
        write!(f, "Classifier of `{weights}` on the {} engine", self.engine())
    }
}

#[cfg(test)]
mod tests {
    use hardnet_params::WeightsFile;

    use super::*;

    /// The tensors do not tell the instruction sets apart.
    #[test]
    fn images_are_prepared_with_the_instruction_set_of_the_builder() {
        for isa in [Isa::Portable, Isa::best()] {
            let weights = WeightsFile::from_bytes("demo", hardnet_demo::fashion_mnist::WEIGHTS.to_vec()).unwrap();
            let classifier = Classifier::builder().isa(isa).from_weights(weights).unwrap();
            assert_eq!(classifier.resizer().isa(), isa);
        }
    }
}
