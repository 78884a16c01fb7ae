//! A network under a name, ready to answer.

use std::sync::Arc;

use hardnet_classifier::{Classifier, Embedder, Labels};

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
}

#[derive(Debug)]
pub(crate) struct Classes {
    pub(crate) classifier: Classifier,
    pub(crate) batcher: Batcher,
}

#[derive(Debug)]
pub(crate) struct Vectors {
    pub(crate) embedder: Embedder,
    pub(crate) batcher: Batcher,
}

impl Model {
    /// Makes a model that answers nothing yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), classifier: None, embedder: None }
    }

    /// Warms `classifier` up and answers with its classes.
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
        Ok(Self { classifier: Some(Classes { classifier, batcher }), ..self })
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

    /// The batchers, and what they answer with.
    pub(crate) fn batchers(&self) -> impl Iterator<Item = (&'static str, &Batcher)> {
        let classes = self.classifier.iter().map(|classes| ("classes", &classes.batcher));
        classes.chain(self.embedder.iter().map(|vectors| ("embedding", &vectors.batcher)))
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
