//! Preprocessing: from an image to the tensor that a network reads, as each published protocol does it.
//!
//! | name | reading | size | channels | values |
//! |---|---|---|---|---|
//! | `fchardnet` | Pillow | 2048x1024, bicubic | blue, green, red | `(x - mean * 255) / (std * 255)` in f64 |
//! | `paddleseg` | OpenCV | the image's own | red, green, blue | `(x / 255 - 0.5) / 0.5` in f32 |
//!
//! `fchardnet` is `cityscapes_loader.py` of FC-HarDNet, whose `Image.resize` names no filter: Pillow's default is
//! bicubic since 7.0. Images of Cityscapes have this size, so that it decides nothing there. `paddleseg` is the
//! validation of `configs/hardnet/hardnet_cityscapes_1024x1024_160k.yml` of PaddleSeg, which does not resize; where a
//! size is given, its `Resize` does, `cv2.INTER_LINEAR`.
//!
//! Oracles: Pillow 13.0.0, OpenCV 4.14.0 and NumPy 2.4.6, held by `tests/protocol.rs` over stored results.

use std::fmt;
use std::str::FromStr;

use hardnet_data::{
    Channels, DecodeOptions, Decoding, Exif, Image, ImageError, Interpolation, Resampling, Resizer, opencv,
};
use serde::{Deserialize, Serialize};

/// How an image becomes a tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Protocol {
    /// The size of the network's input.
    #[serde(default)]
    pub size: InputSize,
    /// How images of another size are resized.
    pub interpolation: Resampling,
    /// Order of channels, reading and arithmetic.
    pub convention: Convention,
    /// Means of red, green and blue, of samples scaled to 0..=1.
    pub mean: [f64; 3],
    /// Standard deviations of red, green and blue, of samples scaled to 0..=1.
    pub std: [f64; 3],
}

/// The size of the network's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[non_exhaustive]
pub enum InputSize {
    /// That of the image.
    #[default]
    Image,
    /// The same for all images, whatever their ratio.
    Fixed {
        /// Columns, in pixels.
        width: u32,
        /// Rows, in pixels.
        height: u32,
    },
}

/// Whose rules a [`Protocol`] follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Convention {
    /// FC-HarDNet's loader: files as Pillow reads them, blue, green and red, f64 rounded once.
    FcHarDNet,
    /// PaddleSeg's transforms: files as OpenCV reads them, red, green and blue, f32.
    PaddleSeg,
}

impl Protocol {
    /// The names that `FromStr` reads.
    pub const NAMES: [&str; 2] = ["fchardnet", "paddleseg"];

    /// The largest accepted side, in pixels.
    pub const MAX_SIDE: u32 = 16_384;

    /// The most pixels of an input that is accepted.
    pub const MAX_PIXELS: u64 = 1 << 26;

    /// The protocol of FC-HarDNet.
    pub fn fchardnet() -> Self {
        Self {
            size: InputSize::Fixed { width: 2048, height: 1024 },
            interpolation: Interpolation::Bicubic.into(),
            convention: Convention::FcHarDNet,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
        }
    }

    /// The protocol of PaddleSeg.
    pub fn paddleseg() -> Self {
        Self {
            size: InputSize::Image,
            interpolation: opencv::Interpolation::Linear.into(),
            convention: Convention::PaddleSeg,
            mean: [0.5; 3],
            std: [0.5; 3],
        }
    }

    /// Which of [`NAMES`](Self::NAMES) this value is, if any.
    pub fn name(&self) -> Option<&'static str> {
        Self::NAMES.into_iter().find(|name| name.parse().as_ref() == Ok(self))
    }

    /// Another size.
    pub fn with_size(self, size: InputSize) -> Self {
        Self { size, ..self }
    }

    /// Another filter or method of the resize.
    pub fn with_interpolation(self, interpolation: impl Into<Resampling>) -> Self {
        Self { interpolation: interpolation.into(), ..self }
    }

    /// How files for this protocol are decoded.
    pub fn decode_options(&self) -> DecodeOptions {
        match self.convention {
            Convention::FcHarDNet => DecodeOptions::default(),
            Convention::PaddleSeg => DecodeOptions::default().decoding(Decoding::OpenCv).exif(Exif::Apply),
        }
    }

    /// Checks that every number makes sense.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::Size`] for a side of 0 or above [`MAX_SIDE`](Self::MAX_SIDE), or for more pixels than
    /// [`MAX_PIXELS`](Self::MAX_PIXELS); [`ProtocolError::Normalization`] if a mean is not finite or a deviation not
    /// finite and above 0.
    pub fn validate(&self) -> Result<(), ProtocolError> {
        if let InputSize::Fixed { width, height } = self.size {
            check_size(width.into(), height.into())?;
        }
        for (channel, (mean, std)) in self.mean.into_iter().zip(self.std).enumerate() {
            if !mean.is_finite() {
                return Err(ProtocolError::Normalization { name: "mean", channel, value: mean });
            }
            if !(std.is_finite() && std > 0.0) {
                return Err(ProtocolError::Normalization { name: "std", channel, value: std });
            }
        }
        Ok(())
    }

    /// Columns and rows of the input for an image of `width` x `height` pixels.
    pub fn input_size(&self, width: usize, height: usize) -> (usize, usize) {
        match self.size {
            InputSize::Image => (width, height),
            InputSize::Fixed { width, height } => (width as usize, height as usize),
        }
    }

    /// The tensor of an image.
    ///
    /// # Errors
    ///
    /// Those of [`validate`](Self::validate), and [`ProtocolError::Size`] for an image that is too large.
    pub fn input(&self, image: &Image) -> Result<InputTensor, ProtocolError> {
        self.input_with(&mut Resizer::new(), image)
    }

    /// [`input`](Self::input) with the memory and instruction set of `resizer`.
    ///
    /// # Errors
    ///
    /// As [`input`](Self::input).
    pub fn input_with(&self, resizer: &mut Resizer, image: &Image) -> Result<InputTensor, ProtocolError> {
        self.validate()?;
        let (width, height) = self.input_size(image.width(), image.height());
        check_size(width as u64, height as u64)?;
        let resized;
        let pixels = if (width, height) == (image.width(), image.height()) {
            image
        } else {
            resized = resizer.resize(image, width, height, self.interpolation)?;
            &resized
        };
        let levels = self.levels();
        let mut values = vec![0.0; 3 * width * height];
        for (plane, (values, levels)) in values.chunks_exact_mut(width * height).zip(&levels).enumerate() {
            let channel = match (pixels.channels(), self.convention) {
                (Channels::Gray, _) => 0,
                (Channels::Rgb, Convention::FcHarDNet) => 2 - plane,
                (Channels::Rgb, Convention::PaddleSeg) => plane,
            };
            let samples = pixels.samples().chunks_exact(pixels.channels().count());
            values.iter_mut().zip(samples).for_each(|(value, pixel)| *value = levels[usize::from(pixel[channel])]);
        }
        Ok(InputTensor { width, height, values })
    }

    /// The value of each level in each plane of the tensor.
    fn levels(&self) -> [[f32; 256]; 3] {
        std::array::from_fn(|plane| {
            let channel = if self.convention == Convention::FcHarDNet { 2 - plane } else { plane };
            let (mean, std) = (self.mean[channel], self.std[channel]);
            std::array::from_fn(|level| match self.convention {
                Convention::FcHarDNet => ((level as f64 - mean * 255.0) / (std * 255.0)) as f32,
                // NumPy's in-place operations of an array of f32 with one of f64 compute in f64 and round each.
                Convention::PaddleSeg => {
                    let centered = (f64::from(level as f32 / 255.0) - mean) as f32;
                    (f64::from(centered) / std) as f32
                }
            })
        })
    }
}

fn check_size(width: u64, height: u64) -> Result<(), ProtocolError> {
    let sides = 1..=u64::from(Protocol::MAX_SIDE);
    if sides.contains(&width) && sides.contains(&height) && width * height <= Protocol::MAX_PIXELS {
        return Ok(());
    }
    Err(ProtocolError::Size { width, height })
}

/// An image as a network reads it: planes `[3, height, width]`, in the order of the protocol.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct InputTensor {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Values.
    pub values: Vec<f32>,
}

impl InputTensor {
    /// Takes values of `[3, height, width]`.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::Length`] for another number of values, [`ProtocolError::Size`] for a size that is not accepted.
    pub fn new(width: usize, height: usize, values: Vec<f32>) -> Result<Self, ProtocolError> {
        check_size(width as u64, height as u64)?;
        match 3 * width * height {
            expected if expected != values.len() => Err(ProtocolError::Length { expected, found: values.len() }),
            _ => Ok(Self { width, height, values }),
        }
    }

    /// The tensor with left and right exchanged.
    pub fn mirrored(mut self) -> Self {
        self.values.chunks_exact_mut(self.width).for_each(<[f32]>::reverse);
        self
    }
}

/// Error of preparing an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A size that is not accepted.
    #[error(
        "an input of `{width}x{height}` pixels, expected sides of 1 to {} and at most {} pixels",
        Protocol::MAX_SIDE,
        Protocol::MAX_PIXELS
    )]
    Size {
        /// Columns.
        width: u64,
        /// Rows.
        height: u64,
    },
    /// A mean or deviation that makes no sense.
    #[error("`{name}` of channel {channel} is {value}, expected a finite number, above 0 for `std`")]
    Normalization {
        /// `mean` or `std`.
        name: &'static str,
        /// Channel, from 0 for red.
        channel: usize,
        /// The value.
        value: f64,
    },
    /// A tensor of another length than its size.
    #[error("a tensor of {found} values, expected {expected}")]
    Length {
        /// Values of the size.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// The image cannot be resized.
    #[error(transparent)]
    Image(#[from] ImageError),
}

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(name: &str) -> Result<Self, UnknownProtocol> {
        match name {
            "fchardnet" => Ok(Self::fchardnet()),
            "paddleseg" => Ok(Self::paddleseg()),
            _ => Err(UnknownProtocol { name: name.into() }),
        }
    }
}

/// Error of a name that is not that of a [`Protocol`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown preprocessing `{name}`, expected one of {}", Protocol::NAMES.join(", "))]
#[non_exhaustive]
pub struct UnknownProtocol {
    /// The name given.
    pub name: String,
}

impl fmt::Display for InputSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image => f.write_str("image"),
            Self::Fixed { width, height } => write!(f, "{width}x{height}"),
        }
    }
}

impl FromStr for InputSize {
    type Err = UnknownSize;

    /// Reads `image`, or `WIDTHxHEIGHT`.
    fn from_str(text: &str) -> Result<Self, UnknownSize> {
        if text == "image" {
            return Ok(Self::Image);
        }
        let sides = text.split_once('x').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
        let fitting = sides.filter(|&(width, height): &(u32, u32)| check_size(width.into(), height.into()).is_ok());
        let size = fitting.map(|(width, height)| Self::Fixed { width, height });
        size.ok_or_else(|| UnknownSize { text: text.into() })
    }
}

impl TryFrom<String> for InputSize {
    type Error = UnknownSize;

    fn try_from(text: String) -> Result<Self, UnknownSize> {
        text.parse()
    }
}

impl From<InputSize> for String {
    fn from(size: InputSize) -> Self {
        size.to_string()
    }
}

/// Error of a text that is not an [`InputSize`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a size, expected `image` or WIDTHxHEIGHT such as 2048x1024")]
#[non_exhaustive]
pub struct UnknownSize {
    /// The text given.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_sizes_are_read_as_they_are_written() {
        for name in Protocol::NAMES {
            let protocol: Protocol = name.parse().unwrap();
            assert_eq!(protocol.name(), Some(name));
            protocol.validate().unwrap();
            let text = serde_json::to_string(&protocol).unwrap();
            assert_eq!(serde_json::from_str::<Protocol>(&text).unwrap(), protocol);
        }
        for size in ["image", "2048x1024", "1x1"] {
            assert_eq!(size.parse::<InputSize>().unwrap().to_string(), size);
        }
        for size in ["", "x", "10", "0x5", "5x0", "-1x5", "20000x5", "16384x16384", "1x1x1", "Image"] {
            assert!(size.parse::<InputSize>().is_err(), "{size}");
        }
        assert!("pil-bilinear".parse::<Protocol>().is_err());
        assert_eq!(Protocol::fchardnet().with_size(InputSize::Image).name(), None);
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused() {
        let std = Protocol { std: [0.5, 0.0, 0.5], ..Protocol::paddleseg() };
        assert!(matches!(std.validate(), Err(ProtocolError::Normalization { name: "std", channel: 1, .. })));
        let mean = Protocol { mean: [0.5, 0.5, f64::NAN], ..Protocol::paddleseg() };
        assert!(matches!(mean.validate(), Err(ProtocolError::Normalization { name: "mean", channel: 2, .. })));
        let size = Protocol::paddleseg().with_size(InputSize::Fixed { width: 0, height: 3 });
        assert!(matches!(size.validate(), Err(ProtocolError::Size { width: 0, height: 3 })));
        assert!(InputTensor::new(2, 2, vec![0.0; 11]).is_err());
    }

    #[test]
    fn a_mirrored_tensor_exchanges_columns() {
        let tensor = InputTensor::new(2, 1, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        assert_eq!(tensor.mirrored().values, [2.0, 1.0, 4.0, 3.0, 6.0, 5.0]);
    }
}
