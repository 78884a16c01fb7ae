//! The classes that a classifier finds in an image.

use std::sync::Arc;

use hardnet_data::DecodeWarning;
use hardnet_eval::top_k;

use crate::labels::Labels;

/// The classes of one image by their probability.
#[derive(Clone, Debug)]
pub struct Classification {
    logits: Vec<f32>,
    labels: Arc<Labels>,
    warnings: Vec<DecodeWarning>,
}

/// A class found in an image.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Hit {
    /// Index of the class, from 0.
    pub index: usize,
    /// Softmax over all classes, 0 to 1.
    pub probability: f32,
    /// Name of the class.
    pub name: String,
}

impl Classification {
    pub(crate) fn new(logits: Vec<f32>, labels: Arc<Labels>, warnings: Vec<DecodeWarning>) -> Self {
        Self { logits, labels, warnings }
    }

    /// Returns the `k` most probable classes, best first; of equals the lower index first.
    pub fn top(&self, k: usize) -> Vec<Hit> {
        self.labels.hits(&self.logits, k)
    }

    /// Returns the logits of all classes.
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// Returns what decoding lost of the image.
    pub fn warnings(&self) -> &[DecodeWarning] {
        &self.warnings
    }
}

impl Labels {
    /// Returns the `k` most probable classes by an image's `logits`, best first; of equals the lower index first.
    pub fn hits(&self, logits: &[f32], k: usize) -> Vec<Hit> {
        let hits = top_k(logits, k).into_iter();
        hits.map(|hit| Hit { index: hit.index, probability: hit.probability, name: self.name(hit.index).into() })
            .collect()
    }
}
