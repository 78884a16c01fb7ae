//! How well a quantized network agrees with the original, by logits and by maps.

use hardnet_engine::{Plan, PlanOptions};
use hardnet_graph::{Graph, NodeId, Shape};
use hardnet_params::{Parameters, QuantizedParameters};
use serde::Serialize;

use crate::error::Result;

/// Logits of two networks for the same images.
///
/// ```
/// use hardnet_quantize::Agreement;
///
/// let mut agreement = Agreement::default();
/// agreement.add(&[1.0, 2.0, 0.5], &[1.1, 1.9, 0.4]);
/// agreement.add(&[3.0, 2.9, 0.5], &[2.9, 3.0, 0.5]);
/// assert_eq!((agreement.images, agreement.same_class), (2, 1));
/// assert!(agreement.mean_kl().unwrap() < 0.01);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Agreement {
    /// Images.
    pub images: usize,
    /// Images whose most probable class is the same; of equal logits, the first class counts.
    pub same_class: usize,
    /// The sum over images of the Kullback-Leibler divergence of the second network's probabilities from those of the
    /// first, in nats.
    pub kl: f64,
    /// The greatest divergence of an image.
    pub greatest_kl: f64,
    /// The sum of the squares of the first network's logits.
    pub signal: f64,
    /// The sum of the squares of their differences.
    pub noise: f64,
}

impl Agreement {
    /// Adds an image's logits of the original and of the other network.
    pub fn add(&mut self, original: &[f32], other: &[f32]) {
        let kl = divergence(original, other);
        self.images += 1;
        self.same_class += usize::from(first_of_greatest(original) == first_of_greatest(other));
        self.kl += kl;
        self.greatest_kl = self.greatest_kl.max(kl);
        for (&original, &other) in original.iter().zip(other) {
            self.signal += f64::from(original).powi(2);
            self.noise += (f64::from(original) - f64::from(other)).powi(2);
        }
    }

    /// The mean divergence in nats.
    pub fn mean_kl(&self) -> Option<f64> {
        (self.images > 0).then(|| self.kl / self.images as f64)
    }

    /// The share of images of the same class.
    pub fn same_share(&self) -> Option<f64> {
        (self.images > 0).then(|| self.same_class as f64 / self.images as f64)
    }

    /// Signal to noise of the logits in dB.
    pub fn decibels(&self) -> Option<f64> {
        decibels(self.signal, self.noise)
    }
}

/// Every map of a network in f32 and in integers, for the same images.
#[derive(Debug)]
pub struct LayerErrors {
    original: Plan,
    quantized: Plan,
    /// Names of the nodes, with the sums of the squares of values and of errors.
    layers: Vec<(String, f64, f64)>,
    images: usize,
}

impl LayerErrors {
    /// Compiles both networks of `graph`, with the parameters of one and of the other, for images of the size of
    /// `options`, as many at once as its batch.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`](crate::Error::Engine) for a network that the engine does not compute, or for another size.
    pub fn new(
        graph: &Graph,
        original: &dyn Parameters,
        quantized: &dyn QuantizedParameters,
        options: &PlanOptions,
    ) -> Result<Self> {
        let graph = graph.inference();
        let nodes: Vec<NodeId> = (1..graph.nodes().len()).collect();
        let layers = graph.nodes()[1..].iter().map(|node| (node.name.clone(), 0.0, 0.0)).collect();
        let original = Plan::with_maps(&graph, &nodes, original, options)?;
        let quantized = Plan::quantized_graph(&graph, &nodes, quantized, options)?;
        Ok(Self { original, quantized, layers, images: 0 })
    }

    /// Adds normalized images, each `[C, H, W]`.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`](crate::Error::Engine) for an image of another size.
    pub fn add<I: AsRef<[f32]>>(&mut self, images: &[I]) -> Result<()> {
        let shapes = self.original.tap_shapes().to_vec();
        let length = self.original.output_len();
        for images in images.chunks(self.original.options().batch.max(1)) {
            let (original, quantized) = (self.original.run(images)?, self.quantized.run(images)?);
            let pairs = original.chunks_exact(length).zip(quantized.chunks_exact(length));
            pairs.for_each(|(original, quantized)| self.compare(&shapes, original, quantized));
        }
        Ok(())
    }

    /// Adds one image's maps.
    fn compare(&mut self, shapes: &[Shape], mut original: &[f32], mut quantized: &[f32]) {
        for ((_, signal, noise), shape) in self.layers.iter_mut().zip(shapes) {
            let (map, rest) = original.split_at(shape.count());
            let (other, others) = quantized.split_at(shape.count());
            for (&exact, &found) in map.iter().zip(other) {
                *signal += f64::from(exact).powi(2);
                *noise += (f64::from(exact) - f64::from(found)).powi(2);
            }
            (original, quantized) = (rest, others);
        }
        self.images += 1;
    }

    /// Images that were added.
    pub fn images(&self) -> usize {
        self.images
    }

    /// The nodes in the order of computation, with the signal to noise of their maps in dB, where there is noise.
    pub fn decibels(&self) -> Vec<(String, Option<f64>)> {
        self.layers.iter().map(|(name, signal, noise)| (name.clone(), decibels(*signal, *noise))).collect()
    }
}

/// Signal to noise in dB; none without either.
pub(crate) fn decibels(signal: f64, noise: f64) -> Option<f64> {
    (signal > 0.0 && noise > 0.0).then(|| 10.0 * (signal / noise).log10())
}

fn first_of_greatest(logits: &[f32]) -> usize {
    (0..logits.len()).fold(0, |best, at| if logits[at] > logits[best] { at } else { best })
}

/// The divergence of the softmax of `other` from that of `original`, never negative.
fn divergence(original: &[f32], other: &[f32]) -> f64 {
    let logs = |logits: &[f32]| {
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let shifted: Vec<f64> = logits.iter().map(|&logit| f64::from(logit) - f64::from(most)).collect();
        let log_sum = shifted.iter().map(|logit| logit.exp()).sum::<f64>().ln();
        shifted.into_iter().map(move |logit| logit - log_sum).collect::<Vec<f64>>()
    };
    let (original, other) = (logs(original), logs(other));
    original.iter().zip(other).map(|(p, q)| p.exp() * (p - q)).sum::<f64>().max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_divergence_is_that_of_the_definition() {
        let softmax = |logits: &[f32]| {
            let sum: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
            logits.iter().map(|&logit| f64::from(logit).exp() / sum).collect::<Vec<f64>>()
        };
        let (a, b) = ([0.3_f32, -1.2, 2.0, 0.0], [0.1_f32, -1.0, 2.2, 0.4]);
        let expected: f64 = softmax(&a).iter().zip(softmax(&b)).map(|(p, q)| p * (p / q).ln()).sum();
        assert!((divergence(&a, &b) - expected).abs() < 1e-15);
        assert_eq!(divergence(&a, &a), 0.0);
        // Logits whose exponentials overflow.
        assert!((divergence(&[1000.0, 999.0], &[1000.0, 1000.0]) - 0.1109).abs() < 1e-4);
    }

    #[test]
    fn of_equal_logits_the_first_class_counts() {
        let mut agreement = Agreement::default();
        agreement.add(&[1.0, 1.0], &[1.0, 0.5]);
        agreement.add(&[1.0, 1.0], &[0.5, 1.0]);
        assert_eq!((agreement.same_class, agreement.same_share()), (1, Some(0.5)));
        assert_eq!(Agreement::default().mean_kl(), None);
    }

    #[test]
    fn decibels_are_ten_times_the_logarithm_of_the_ratio() {
        let mut agreement = Agreement::default();
        agreement.add(&[10.0, 0.0], &[9.0, 0.0]);
        assert!((agreement.decibels().unwrap() - 20.0).abs() < 1e-12);
        assert_eq!((decibels(1.0, 0.0), decibels(0.0, 1.0)), (None, None));
    }
}
