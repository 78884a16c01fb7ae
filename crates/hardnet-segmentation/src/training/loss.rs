//! Losses of segmentation, with their gradients.
//!
//! Logits are `[classes, pixels]` of one image, truth a class for each pixel or [`IGNORED`]. Everything is computed in
//! f64 and rounded once. Oracle: PyTorch 2.15.0 in f64, held by `tests/training.rs`.

use serde::{Deserialize, Serialize};

use crate::mask::IGNORED;

/// A loss of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Loss {
    /// The mean of cross entropy over the pixels that have a class: `F.cross_entropy` with `ignore_index`.
    CrossEntropy,
    /// The mean of cross entropy over the hardest pixels, as `bootstrapped_cross_entropy2d` of FC-HarDNet. These are
    /// the pixels whose cross entropy exceeds `threshold`, if that is more than `least` pixels, and the `least` hardest
    /// otherwise. Ignored pixels have a cross entropy of 0, and count where they are among them.
    Bootstrapped {
        /// The least number of pixels, `min_K`.
        least: usize,
        /// Cross entropy in nats, `loss_th`.
        threshold: f64,
    },
}

/// Error of arguments that do not fit each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LossError {
    /// The logits are not those of the pixels.
    #[error("{logits} logits for {pixels} pixels of {classes} classes")]
    Shape {
        /// Logits given.
        logits: usize,
        /// Pixels.
        pixels: usize,
        /// Classes.
        classes: usize,
    },
    /// A pixel has a class that the network does not.
    #[error("pixel {pixel} has class {class}, the network has {classes} classes")]
    Class {
        /// The pixel.
        pixel: usize,
        /// Its class.
        class: u8,
        /// Classes of the network.
        classes: usize,
    },
}

impl Loss {
    /// The loss of FC-HarDNet's `configs/hardnet.yml`: 4,096 pixels, 0.3 nats.
    pub const fn fchardnet() -> Self {
        Self::Bootstrapped { least: 4096, threshold: 0.3 }
    }

    /// The loss of an image, and its derivatives by the logits in `gradient`, which has as many values.
    ///
    /// An image without a pixel that has a class has a loss of 0, where PyTorch's mean is NaN.
    ///
    /// # Errors
    ///
    /// [`LossError`] for arguments that do not fit each other.
    pub fn compute(self, classes: usize, logits: &[f32], truth: &[u8], gradient: &mut [f32]) -> Result<f64, LossError> {
        let pixels = truth.len();
        let fits = |values: usize| classes.checked_mul(pixels) == Some(values);
        if !fits(logits.len()) || !fits(gradient.len()) {
            return Err(LossError::Shape { logits: logits.len().min(gradient.len()), pixels, classes });
        }
        let wrong = |(_, class): &(usize, &u8)| **class != IGNORED && usize::from(**class) >= classes;
        if let Some((pixel, &class)) = truth.iter().enumerate().find(wrong) {
            return Err(LossError::Class { pixel, class, classes });
        }
        gradient.fill(0.0);
        let column = |pixel: usize| (0..classes).map(move |class| f64::from(logits[class * pixels + pixel]));
        let log_sum = |pixel: usize| {
            let largest = column(pixel).fold(f64::NEG_INFINITY, f64::max);
            largest + column(pixel).map(|logit| (logit - largest).exp()).sum::<f64>().ln()
        };
        let entropy = |pixel: usize| match truth[pixel] {
            IGNORED => 0.0,
            class => log_sum(pixel) - f64::from(logits[usize::from(class) * pixels + pixel]),
        };
        let entropies: Vec<f64> = (0..pixels).map(entropy).collect();
        let chosen = self.choose(&entropies, truth);
        if chosen.is_empty() {
            return Ok(0.0);
        }
        let scale = 1.0 / chosen.len() as f64;
        for &pixel in chosen.iter().filter(|&&pixel| truth[pixel] != IGNORED) {
            let log_sum = log_sum(pixel);
            for class in 0..classes {
                let place = class * pixels + pixel;
                let probability = (f64::from(logits[place]) - log_sum).exp();
                let is_true = f64::from(u8::from(usize::from(truth[pixel]) == class));
                gradient[place] = ((probability - is_true) * scale) as f32;
            }
        }
        Ok(chosen.iter().map(|&pixel| entropies[pixel]).sum::<f64>() * scale)
    }

    /// The loss of a batch of images of as many `pixels` each, `[images, classes, pixels]`, and its derivatives.
    ///
    /// Cross entropy is the mean over the pixels of all images that have a class, the bootstrapped loss the mean over
    /// the losses of the images, as in FC-HarDNet.
    ///
    /// # Errors
    ///
    /// [`LossError`] for arguments that do not fit each other.
    pub fn compute_batch(
        self,
        classes: usize,
        pixels: usize,
        logits: &[f32],
        truth: &[u8],
        gradient: &mut [f32],
    ) -> Result<f64, LossError> {
        let values = classes * pixels;
        if logits.len() != classes * truth.len() || gradient.len() != logits.len() || values == 0 {
            return Err(LossError::Shape { logits: logits.len().min(gradient.len()), pixels: truth.len(), classes });
        }
        let labeled = |truth: &[u8]| truth.iter().filter(|&&class| class != IGNORED).count();
        let (images, all) = (truth.len().div_ceil(pixels), labeled(truth));
        let mut sum = 0.0;
        let parts = logits.chunks(values).zip(truth.chunks(pixels)).zip(gradient.chunks_mut(values));
        for ((logits, truth), gradient) in parts {
            let share = match self {
                Self::CrossEntropy => labeled(truth) as f64 / all.max(1) as f64,
                Self::Bootstrapped { .. } => 1.0 / images as f64,
            };
            sum += share * self.compute(classes, logits, truth, gradient)?;
            gradient.iter_mut().for_each(|value| *value = (f64::from(*value) * share) as f32);
        }
        Ok(sum)
    }

    /// The pixels whose mean the loss is.
    fn choose(self, entropies: &[f64], truth: &[u8]) -> Vec<usize> {
        match self {
            Self::CrossEntropy => (0..truth.len()).filter(|&pixel| truth[pixel] != IGNORED).collect(),
            Self::Bootstrapped { least, threshold } => {
                let above: Vec<_> = (0..entropies.len()).filter(|&pixel| entropies[pixel] > threshold).collect();
                if above.len() > least {
                    above
                } else {
                    let mut order: Vec<usize> = (0..entropies.len()).collect();
                    // Of equal pixels the first ones count, whatever the sort.
                    order.sort_unstable_by(|&a, &b| entropies[b].total_cmp(&entropies[a]).then(a.cmp(&b)));
                    order.truncate(least);
                    order
                }
            }
        }
    }
}
