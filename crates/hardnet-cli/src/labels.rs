//! Predicted classes in JSON lines.

use hardnet_classifier::Labels;
use serde::Serialize;

/// A predicted class with its name. Field names are API.
#[derive(Serialize)]
pub(crate) struct Hit {
    pub(crate) index: usize,
    pub(crate) name: String,
    pub(crate) probability: f32,
}

/// Returns the `k` most probable classes by `logits`, best first.
pub(crate) fn hits(labels: &Labels, logits: &[f32], k: usize) -> Vec<Hit> {
    let hits = labels.hits(logits, k).into_iter();
    hits.map(|hit| Hit { index: hit.index, name: hit.name, probability: hit.probability }).collect()
}
