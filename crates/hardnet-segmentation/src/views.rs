//! Several views of an image, whose results are averaged: test-time augmentation.

use hardnet_data::{Image, Resizer};
use hardnet_graph::Alignment;

use crate::protocol::{Convention, InputSize, InputTensor, Protocol, ProtocolError};
use crate::scores::{Averaging, Scores};

/// The views of an image that a network sees.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Views {
    /// Sizes relative to the protocol's.
    pub scales: Vec<f64>,
    /// Whether each is seen mirrored, too.
    pub flip: bool,
}

impl Default for Views {
    /// The image as it is.
    fn default() -> Self {
        Self { scales: vec![1.0], flip: false }
    }
}

/// Error of [`Views`] that make no sense.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("the scale {scale} is not accepted, expected numbers from {} to {}", Views::RANGE.0, Views::RANGE.1)]
#[non_exhaustive]
pub struct ScaleError {
    /// The scale given; NaN if there was none.
    pub scale: f64,
}

/// An input of the network.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ViewInput {
    pub(crate) tensor: InputTensor,
    pub(crate) is_mirrored: bool,
}

impl Views {
    /// The smallest and the largest scale.
    pub const RANGE: (f64, f64) = (0.1, 8.0);

    /// Sets the sizes, relative to the protocol's.
    pub fn scales(mut self, scales: impl IntoIterator<Item = f64>) -> Self {
        self.scales = scales.into_iter().collect();
        self
    }

    /// Sets whether each is seen mirrored, too.
    pub fn flip(mut self, flip: bool) -> Self {
        self.flip = flip;
        self
    }

    /// Checks that there are scales, and that they make sense.
    ///
    /// # Errors
    ///
    /// [`ScaleError`].
    pub fn validate(&self) -> Result<(), ScaleError> {
        let wrong = |scale: &&f64| !(Self::RANGE.0..=Self::RANGE.1).contains(*scale);
        match self.scales.iter().find(wrong) {
            Some(&scale) => Err(ScaleError { scale }),
            None if self.scales.is_empty() => Err(ScaleError { scale: f64::NAN }),
            None => Ok(()),
        }
    }

    /// How many inputs the network computes for an image.
    pub fn count(&self) -> usize {
        self.scales.len() * if self.flip { 2 } else { 1 }
    }

    /// The inputs for `image`.
    ///
    /// FC-HarDNet's protocol resizes the image to each scale. PaddleSeg's interpolates the tensor, and each scale from
    /// the one before.
    pub(crate) fn inputs(
        &self,
        protocol: &Protocol,
        resizer: &mut Resizer,
        image: &Image,
    ) -> Result<Vec<ViewInput>, ProtocolError> {
        let base = protocol.input_size(image.width(), image.height());
        let mut inputs: Vec<ViewInput> = Vec::with_capacity(self.count());
        let mut last: Option<InputTensor> = None;
        for &scale in &self.scales {
            let size = (scaled(base.0, scale), scaled(base.1, scale));
            let tensor = match (protocol.convention, size == base && last.is_none()) {
                (_, true) => protocol.input_with(resizer, image)?,
                (Convention::FcHarDNet, false) => {
                    let size = InputSize::Fixed { width: size.0 as u32, height: size.1 as u32 };
                    protocol.clone().with_size(size).input_with(resizer, image)?
                }
                (Convention::PaddleSeg, false) => {
                    let from = last.take().map_or_else(|| protocol.input_with(resizer, image), Ok)?;
                    interpolated(from, size)?
                }
            };
            if protocol.convention == Convention::PaddleSeg && self.scales.len() > 1 {
                last = Some(tensor.clone());
            }
            if self.flip {
                inputs.push(ViewInput { tensor: tensor.clone().mirrored(), is_mirrored: true });
            }
            inputs.push(ViewInput { tensor, is_mirrored: false });
        }
        Ok(inputs)
    }
}

/// The averaging of a protocol.
pub(crate) fn averaging(convention: Convention) -> Averaging {
    match convention {
        Convention::FcHarDNet => Averaging::Logits,
        Convention::PaddleSeg => Averaging::Probabilities,
    }
}

/// PaddleSeg's rounding of a scaled side.
fn scaled(side: usize, scale: f64) -> usize {
    ((side as f64 * scale + 0.5) as usize).max(1)
}

fn interpolated(tensor: InputTensor, (width, height): (usize, usize)) -> Result<InputTensor, ProtocolError> {
    if (tensor.width, tensor.height) == (width, height) {
        return Ok(tensor);
    }
    // Checked before memory of that size is asked for.
    Protocol::paddleseg().with_size(InputSize::Fixed { width: width as u32, height: height as u32 }).validate()?;
    let planes = Scores::new(3, tensor.width, tensor.height, tensor.values).expect("a tensor has three planes");
    InputTensor::new(width, height, planes.resized(width, height, Alignment::HalfPixel).into_values())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Image {
        Image::from_rgb8(8, 4, (0..96).map(|level| (level * 37 % 256) as u8).collect()).unwrap()
    }

    fn sizes(views: &Views, protocol: &Protocol) -> Vec<(usize, usize, bool)> {
        let inputs = views.inputs(protocol, &mut Resizer::new(), &image()).unwrap();
        inputs.iter().map(|input| (input.tensor.width, input.tensor.height, input.is_mirrored)).collect()
    }

    #[test]
    fn each_scale_is_seen_twice_with_flip() {
        let views = Views::default().scales([0.5, 1.0]).flip(true);
        let expected = [(4, 2, true), (4, 2, false), (8, 4, true), (8, 4, false)];
        assert_eq!(sizes(&views, &Protocol::paddleseg()), expected);
        assert_eq!(sizes(&views, &Protocol::fchardnet().with_size(InputSize::Image)), expected);
        assert_eq!((views.count(), Views::default().count()), (4, 1));
    }

    #[test]
    fn paddleseg_interpolates_each_scale_from_the_one_before() {
        let protocol = Protocol::paddleseg();
        let views = Views::default().scales([0.5, 1.0]);
        let inputs = views.inputs(&protocol, &mut Resizer::new(), &image()).unwrap();
        let whole = protocol.input(&image()).unwrap();
        let half = interpolated(whole.clone(), (4, 2)).unwrap();
        assert_eq!(inputs[0].tensor, half);
        assert_eq!(inputs[1].tensor, interpolated(half, (8, 4)).unwrap());
        assert_ne!(inputs[1].tensor, whole, "the image has lost its details");
        let alone = Views::default().inputs(&protocol, &mut Resizer::new(), &image()).unwrap();
        assert_eq!(alone[0].tensor, whole);
    }

    #[test]
    fn scales_that_make_no_sense_are_refused() {
        for scale in [0.0, -1.0, 9.0, f64::NAN] {
            assert!(Views::default().scales([1.0, scale]).validate().is_err(), "{scale}");
        }
        assert!(Views::default().scales([]).validate().is_err());
        assert!(Views::default().scales([0.5, 2.0]).validate().is_ok());
    }
}
