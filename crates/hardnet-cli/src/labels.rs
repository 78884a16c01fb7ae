//! Names of classes.

use hardnet_data::imagenet;
use hardnet_eval::Prediction;
use serde::Serialize;

/// A predicted class under its name, in JSON lines. Field names are API.
#[derive(Serialize)]
pub(crate) struct Hit {
    pub(crate) index: usize,
    pub(crate) name: String,
    pub(crate) probability: f32,
}

/// What a network calls its classes.
#[derive(Clone, Debug)]
pub(crate) enum Labels {
    /// The names in the weights file.
    OfWeights(Vec<String>),
    /// ImageNet's 1,000.
    ImageNet,
    /// No names are known.
    Numbers,
}

impl Labels {
    /// The names in a weights file, if any, else those that `classes` classes suggest.
    pub(crate) fn new(of_weights: Option<Vec<String>>, classes: usize) -> Self {
        match of_weights {
            Some(names) => Self::OfWeights(names),
            None if classes == imagenet::classes().len() => Self::ImageNet,
            None => Self::Numbers,
        }
    }

    /// The name of a class.
    pub(crate) fn name(&self, index: usize) -> String {
        let known = match self {
            Self::OfWeights(names) => names.get(index).cloned(),
            Self::ImageNet => imagenet::classes().get(index).map(|class| class.name.to_string()),
            Self::Numbers => None,
        };
        known.unwrap_or_else(|| format!("class {index}"))
    }

    /// Predictions with the names of their classes.
    pub(crate) fn hits(&self, predictions: &[Prediction]) -> Vec<Hit> {
        let hit = |p: &Prediction| Hit { index: p.index, name: self.name(p.index), probability: p.probability };
        predictions.iter().map(hit).collect()
    }
}
