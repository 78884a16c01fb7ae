//! A network under a name, ready to answer.

use std::sync::Arc;

use hardnet_classifier::{Classifier, Embedder, Labels};
use hardnet_segmentation::Segmenter;
use tokio::sync::Semaphore;

use crate::batcher::{Batcher, BatcherOptions, StartError};
use crate::workers::Workers;

/// A network under the name that requests ask for.
///
/// Its classifier or embedder must be built with `batch_invariant`, so that no answer depends on other requests.
#[derive(Debug)]
pub struct Model {
    name: String,
    classifier: Option<Classes>,
    embedder: Option<Vectors>,
    segmenter: Option<Pixels>,
}

#[derive(Debug)]
pub(crate) struct Classes {
    pub(crate) classifier: Classifier,
    pub(crate) batcher: Batcher,
    pub(crate) workers: Arc<Workers>,
    /// Activation maps that may be computed or wait at a time.
    pub(crate) maps: Arc<Semaphore>,
    pub(crate) max_pixels: u64,
}

#[derive(Debug)]
pub(crate) struct Vectors {
    pub(crate) embedder: Embedder,
    pub(crate) batcher: Batcher,
}

#[derive(Debug)]
pub(crate) struct Pixels {
    pub(crate) segmenter: Segmenter,
    pub(crate) batcher: Batcher,
}

/// What a model answers inference with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target<'a> {
    Classes(&'a Classes),
    Pixels(&'a Pixels),
}

impl Model {
    /// Makes a model that answers nothing yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), classifier: None, embedder: None, segmenter: None }
    }

    /// Warms `classifier` up and answers with its classes, and with activation maps where it was built with
    /// [`activation_maps`](hardnet_classifier::ClassifierBuilder::activation_maps).
    ///
    /// # Errors
    ///
    /// As [`Batcher::start`].
    pub fn classifier(
        self,
        classifier: Classifier,
        workers: &Arc<Workers>,
        options: &BatcherOptions,
    ) -> Result<Self, StartError> {
        let batcher = Batcher::start(Arc::new(classifier.clone()), Arc::clone(workers), options)?;
        let (workers, maps) = (Arc::clone(workers), Arc::new(Semaphore::new(2 * workers.threads())));
        let max_pixels = options.max_pixels;
        Ok(Self { classifier: Some(Classes { classifier, batcher, workers, maps, max_pixels }), ..self })
    }

    /// Warms `embedder` up and answers with its vectors.
    ///
    /// # Errors
    ///
    /// As [`Batcher::start`].
    pub fn embedder(
        self,
        embedder: Embedder,
        workers: &Arc<Workers>,
        options: &BatcherOptions,
    ) -> Result<Self, StartError> {
        let batcher = Batcher::start(Arc::new(embedder.clone()), Arc::clone(workers), options)?;
        Ok(Self { embedder: Some(Vectors { embedder, batcher }), ..self })
    }

    /// Warms `segmenter` up and answers with the class of each pixel. Images are computed one by one.
    ///
    /// # Errors
    ///
    /// As [`Batcher::start`].
    pub fn segmenter(
        self,
        segmenter: Segmenter,
        workers: &Arc<Workers>,
        options: &BatcherOptions,
    ) -> Result<Self, StartError> {
        let options = options.clone().batch_size(1);
        let batcher = Batcher::start(Arc::new(segmenter.clone()), Arc::clone(workers), &options)?;
        Ok(Self { segmenter: Some(Pixels { segmenter, batcher }), ..self })
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn classes(&self) -> Option<&Classes> {
        self.classifier.as_ref()
    }

    pub(crate) fn vectors(&self) -> Option<&Vectors> {
        self.embedder.as_ref()
    }

    pub(crate) fn pixels(&self) -> Option<&Pixels> {
        self.segmenter.as_ref()
    }

    /// What answers inference, if anything does.
    pub(crate) fn target(&self) -> Option<Target<'_>> {
        let classes = self.classifier.as_ref().map(Target::Classes);
        classes.or_else(|| self.segmenter.as_ref().map(Target::Pixels))
    }

    /// The batchers, and what they answer with.
    pub(crate) fn batchers(&self) -> impl Iterator<Item = (&'static str, &Batcher)> {
        let classes = self.classifier.iter().map(|classes| ("classes", &classes.batcher));
        let vectors = self.embedder.iter().map(|vectors| ("embedding", &vectors.batcher));
        let pixels = self.segmenter.iter().map(|pixels| ("pixels", &pixels.batcher));
        classes.chain(vectors).chain(pixels)
    }
}

impl Target<'_> {
    pub(crate) fn batcher(&self) -> &Batcher {
        match self {
            Self::Classes(classes) => &classes.batcher,
            Self::Pixels(pixels) => &pixels.batcher,
        }
    }

    /// Channels, rows and columns of a prepared image, where it is one tensor.
    pub(crate) fn input_shape(&self) -> Option<[usize; 3]> {
        match self {
            Self::Classes(classes) => Some(classes.input_shape()),
            Self::Pixels(_) => None,
        }
    }

    /// Number of classes.
    pub(crate) fn classes(&self) -> usize {
        match self {
            Self::Classes(classes) => classes.labels().len(),
            Self::Pixels(pixels) => pixels.segmenter.classes().names.len(),
        }
    }
}

impl Classes {
    pub(crate) fn labels(&self) -> &Labels {
        self.classifier.labels()
    }

    /// Channels, rows and columns of a prepared image.
    pub(crate) fn input_shape(&self) -> [usize; 3] {
        let side = self.classifier.image_size();
        [self.classifier.config().in_channels, side, side]
    }
}
