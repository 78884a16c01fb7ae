//! Weights of any format, written as safetensors with canonical names.
//!
//! A file is a little-endian length of 8 bytes, a JSON header of that length padded with blanks to a multiple of 8, and
//! the values, C order, little-endian, one tensor after the other in the order of PyTorch's `state_dict`. The header's
//! only metadata key, `hardnet`, holds a [`Metadata`] as JSON with sorted keys: the same input gives the same bytes.

use std::fmt;
use std::io::Write;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::metadata::{Metadata, Provenance};
use crate::values::{encode, greatest, magnitude};
use crate::weights_file::WeightsFile;
use crate::writer::header;

/// The type that values are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Precision {
    /// IEEE 754 binary32.
    #[default]
    F32,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of a binary32.
    Bf16,
}

impl Precision {
    /// Bytes of a value.
    pub const fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// Its name in a safetensors header.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        })
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::F32, Self::F16, Self::Bf16]
            .into_iter()
            .find(|precision| precision.to_string() == text)
            .ok_or_else(|| Error::UnknownPrecision(text.into()))
    }
}

/// Options of a [`Conversion`]. What is not given is taken from the metadata of the file that is converted.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ConversionOptions {
    /// Type of the values.
    pub precision: Precision,
    /// Names of the classes in order.
    pub labels: Option<Vec<String>>,
    /// Preprocessing of the images: a name or a table.
    pub pipeline: Option<serde_json::Value>,
}

impl ConversionOptions {
    /// Sets the type of the values.
    #[must_use]
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Sets the names of the classes in order.
    #[must_use]
    pub fn labels(mut self, labels: Vec<String>) -> Self {
        self.labels = Some(labels);
        self
    }

    /// Sets the preprocessing of the images: a name or a table.
    #[must_use]
    pub fn pipeline(mut self, pipeline: impl Into<serde_json::Value>) -> Self {
        self.pipeline = Some(pipeline.into());
        self
    }
}

/// A weights file about to be written as safetensors.
///
/// ```no_run
/// use hardnet_params::{Conversion, ConversionOptions, Precision, WeightsFile};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let weights = WeightsFile::open("hardnet68.pth")?;
/// let options = ConversionOptions::default().precision(Precision::F16);
/// let conversion = Conversion::new(&weights, &options)?;
/// conversion.write(std::fs::File::create("hardnet68.safetensors")?)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Conversion<'a> {
    weights: &'a WeightsFile,
    precision: Precision,
    metadata: Metadata,
    header: Vec<u8>,
}

impl<'a> Conversion<'a> {
    /// Prepares `weights` to be written.
    ///
    /// # Errors
    ///
    /// [`Error::ClassNames`] where there is not one name for each class, [`Error::Quantized`] for a file of integers.
    pub fn new(weights: &'a WeightsFile, options: &ConversionOptions) -> Result<Self> {
        weights.expect_floats()?;
        let metadata = Self::describe(weights, options)?;
        let precision = options.precision;
        let header = header(weights.shapes(), precision, &metadata);
        Ok(Self { weights, precision, metadata, header })
    }

    /// Metadata of a file that is made from `weights`, whatever it holds: floating point or integers.
    ///
    /// # Errors
    ///
    /// [`Error::ClassNames`] where there is not one name for each class, [`Error::Format`] if the file is on disk and
    /// can no longer be read.
    pub fn describe(weights: &WeightsFile, options: &ConversionOptions) -> Result<Metadata> {
        let own = weights.metadata();
        let labels = options.labels.clone().or_else(|| own.and_then(|own| own.labels.clone()));
        let expected = weights.config().classes();
        if let Some(found) = labels.as_ref().map(Vec::len).filter(|&found| found != expected) {
            return Err(Error::ClassNames { expected, found });
        }
        let checkpoint = weights.checkpoint();
        let mut metadata = Metadata::new(weights.config().clone());
        metadata.labels = labels;
        metadata.pipeline = options.pipeline.clone().or_else(|| own.and_then(|own| own.pipeline.clone()));
        metadata.scheme = Some(weights.scheme().name().into());
        metadata.assumed = weights.assumed().to_vec();
        metadata.source = Some(Provenance {
            sha256: weights.sha256()?,
            bytes: checkpoint.byte_count() as u64,
            format: checkpoint.format().to_string(),
        });
        metadata.tool = Some(concat!("hardnet ", env!("CARGO_PKG_VERSION")).into());
        Ok(metadata)
    }

    /// Metadata of the file that will be written.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Length of the file.
    pub fn byte_count(&self) -> u64 {
        self.header.len() as u64 + (self.value_count() * self.precision.size()) as u64
    }

    /// Number of tensors.
    pub fn tensor_count(&self) -> usize {
        self.weights.shapes().count()
    }

    /// Number of values.
    pub fn value_count(&self) -> usize {
        self.weights.shapes().map(|(_, shape)| shape.iter().product::<usize>()).sum()
    }

    /// Writes the file to `out`, holding one tensor at a time.
    ///
    /// # Errors
    ///
    /// [`Error::Write`] where `out` fails; [`Error::Overflow`] with every tensor that has values beyond the type asked
    /// for: the output is then incomplete.
    pub fn write(&self, mut out: impl Write) -> Result<()> {
        out.write_all(&self.header).map_err(Error::Write)?;
        let mut tensors = Vec::new();
        for (named, values) in self.weights.params() {
            let values = values?;
            if magnitude(&values) > greatest(self.precision) {
                tensors.push(named.param.name.clone());
            }
            out.write_all(&encode(&values, self.precision)).map_err(Error::Write)?;
        }
        if !tensors.is_empty() {
            let path = self.weights.path().into();
            return Err(Error::Overflow { path, precision: self.precision, tensors });
        }
        out.flush().map_err(Error::Write)
    }
}

#[cfg(test)]
mod tests;
