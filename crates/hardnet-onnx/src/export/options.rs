//! Options of an export.

use std::fmt;
use std::str::FromStr;

use super::integers::Quantization;
use crate::error::Error;
use crate::model::Dim;
use crate::precision::Precision;

/// Options of an [`Export`](super::Export).
///
/// ```
/// use hardnet_onnx::{Batch, ExportOptions, Precision};
///
/// # fn main() -> Result<(), hardnet_onnx::Error> {
/// let options = ExportOptions::default().opset("13".parse()?).batch(Batch::Dynamic).precision(Precision::F16);
/// assert_eq!(options.size, (224, 224));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ExportOptions {
    /// Version of the operators.
    pub opset: Opset,
    /// Images of a run.
    pub batch: Batch,
    /// Rows and columns of an image.
    pub size: (usize, usize),
    /// Whether each run chooses rows and columns.
    pub dynamic_size: bool,
    /// Whether batch normalization is folded.
    pub norm: Norm,
    /// Type of the weights and of all maps.
    pub precision: Precision,
    /// Normalization of an image of bytes within the model.
    pub image: Option<Image>,
    /// Whether the output is probabilities rather than logits.
    pub softmax: bool,
    /// Positions in [`Graph::modules`](hardnet_graph::Graph::modules) whose maps are the outputs, in place of the
    /// network's own. Layers after the last of them are left out.
    pub features: Option<Vec<usize>>,
    /// The maps and layers that are 8-bit integers; normalization is folded into these layers.
    pub quantization: Option<Quantization>,
    /// Texts by name, for programs that use the model.
    pub metadata: Vec<(String, String)>,
    /// Description of the model, for people.
    pub description: String,
}

impl Default for ExportOptions {
    /// Opset 17, one image of 224x224 pixels in f32, normalization folded, logits.
    fn default() -> Self {
        Self {
            opset: Opset::default(),
            batch: Batch::default(),
            size: (224, 224),
            dynamic_size: false,
            norm: Norm::default(),
            precision: Precision::default(),
            image: None,
            softmax: false,
            features: None,
            quantization: None,
            metadata: Vec::new(),
            description: String::new(),
        }
    }
}

impl ExportOptions {
    /// Sets the version of the operators.
    #[must_use]
    pub fn opset(mut self, opset: Opset) -> Self {
        self.opset = opset;
        self
    }

    /// Sets the images of a run.
    #[must_use]
    pub fn batch(mut self, batch: Batch) -> Self {
        self.batch = batch;
        self
    }

    /// Sets the rows and columns of an image.
    #[must_use]
    pub fn size(mut self, height: usize, width: usize) -> Self {
        self.size = (height, width);
        self
    }

    /// Sets whether each run chooses rows and columns.
    #[must_use]
    pub fn dynamic_size(mut self, dynamic: bool) -> Self {
        self.dynamic_size = dynamic;
        self
    }

    /// Sets whether batch normalization is folded.
    #[must_use]
    pub fn norm(mut self, norm: Norm) -> Self {
        self.norm = norm;
        self
    }

    /// Sets the type of the weights and of all maps.
    #[must_use]
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Makes the input an image of bytes, which the model normalizes.
    #[must_use]
    pub fn image(mut self, image: Image) -> Self {
        self.image = Some(image);
        self
    }

    /// Sets whether the output is probabilities.
    #[must_use]
    pub fn softmax(mut self, softmax: bool) -> Self {
        self.softmax = softmax;
        self
    }

    /// Makes the maps of the modules at these positions the outputs.
    #[must_use]
    pub fn features(mut self, positions: Vec<usize>) -> Self {
        self.features = Some(positions);
        self
    }

    /// Makes maps and layers 8-bit integers.
    #[must_use]
    pub fn quantization(mut self, quantization: Quantization) -> Self {
        self.quantization = Some(quantization);
        self
    }

    /// Adds a text for programs that use the model.
    #[must_use]
    pub fn metadata(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.metadata.push((name.into(), text.into()));
        self
    }

    /// Sets the description of the model.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = text.into();
        self
    }
}

/// Version of ONNX's operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Opset(u64);

impl Opset {
    /// The oldest that is written.
    pub const LEAST: Self = Self(13);
    /// The newest that is written.
    pub const MOST: Self = Self(21);

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The oldest version of the format that has it, by the table of releases in ONNX's `docs/Versioning.md`.
    pub const fn ir_version(self) -> u64 {
        match self.0 {
            ..15 => 7,
            15..19 => 8,
            19..21 => 9,
            21.. => 10,
        }
    }
}

impl Default for Opset {
    /// 17, of June 2022, which all common programs read.
    fn default() -> Self {
        Self(17)
    }
}

impl TryFrom<u64> for Opset {
    type Error = Error;

    fn try_from(number: u64) -> Result<Self, Error> {
        let opset = Self(number);
        if (Self::LEAST..=Self::MOST).contains(&opset) { Ok(opset) } else { Err(Error::Opset(number.to_string())) }
    }
}

impl FromStr for Opset {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.parse().map_err(|_| Error::Opset(text.into())).and_then(|number: u64| number.try_into())
    }
}

impl fmt::Display for Opset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Images of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Batch {
    /// As many in every run.
    Fixed(usize),
    /// As many as each run has.
    Dynamic,
}

impl Batch {
    /// The extent.
    pub(super) fn dim(self) -> Dim {
        match self {
            Self::Fixed(images) => Dim::Fixed(images),
            Self::Dynamic => Dim::Dynamic("batch".into()),
        }
    }
}

impl Default for Batch {
    /// One, as compilers for accelerators expect.
    fn default() -> Self {
        Self::Fixed(1)
    }
}

impl FromStr for Batch {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match (text, text.parse()) {
            ("dynamic", _) => Ok(Self::Dynamic),
            (_, Ok(images @ 1..)) => Ok(Self::Fixed(images)),
            _ => Err(Error::Batch(text.into())),
        }
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(images) => images.fmt(f),
            Self::Dynamic => f.pad("dynamic"),
        }
    }
}

/// Where batch normalization goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Norm {
    /// Into the weights and the bias of the convolution before it.
    #[default]
    Folded,
    /// Into nodes of its own, with the network's own parameters.
    Kept,
}

/// An input of bytes, `[N, H, W, C]`: an image as decoders give it, rows of pixels of samples from 0 to 255.
///
/// A sample `x` becomes `(x / 255 - mean) / std`, computed in f32 as `(x - 255 mean) / (255 std)`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Image {
    /// The mean of each channel, of samples scaled to 0..=1.
    pub mean: Vec<f32>,
    /// The deviation of each channel, of samples scaled to 0..=1.
    pub std: Vec<f32>,
}

impl Image {
    /// An image that is normalized by the mean and the deviation of each channel, of samples scaled to 0..=1.
    pub fn new(mean: impl Into<Vec<f32>>, std: impl Into<Vec<f32>>) -> Self {
        Self { mean: mean.into(), std: std.into() }
    }
}
