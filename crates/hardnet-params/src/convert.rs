//! Weights of any format, written as safetensors with canonical names.
//!
//! A file is a little-endian length of 8 bytes, a JSON header of that length padded with blanks to a multiple of 8, and the
//! values, C order, little-endian, one tensor behind the other in the order of PyTorch's `state_dict`. The header's only
//! metadata key, `hardnet`, holds a [`Metadata`] as JSON with sorted keys: the same input gives the same bytes.

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

/// A conversion about to be written.
///
/// ```no_run
/// use hardnet_params::{Conversion, Precision, WeightsFile};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let weights = WeightsFile::open("hardnet68.pth")?;
/// let conversion = Conversion::new(&weights, Precision::F16, None, None)?;
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
    /// Prepares `weights` to be written in `precision`, with names of the classes in order and with the preprocessing that
    /// they need, a name or a table. What is not given is taken from the metadata of `weights`.
    ///
    /// # Errors
    ///
    /// [`Error::ClassNames`] where there is not one name for each class.
    pub fn new(
        weights: &'a WeightsFile,
        precision: Precision,
        labels: Option<Vec<String>>,
        pipeline: Option<serde_json::Value>,
    ) -> Result<Self> {
        let own = weights.metadata();
        let labels = labels.or_else(|| own.and_then(|own| own.labels.clone()));
        let expected = weights.config().classes();
        if let Some(found) = labels.as_ref().map(Vec::len).filter(|&found| found != expected) {
            return Err(Error::ClassNames { expected, found });
        }
        let checkpoint = weights.checkpoint();
        let mut metadata = Metadata::new(weights.config().clone());
        metadata.labels = labels;
        metadata.pipeline = pipeline.or_else(|| own.and_then(|own| own.pipeline.clone()));
        metadata.scheme = Some(weights.scheme().name().into());
        metadata.source = Some(Provenance {
            sha256: weights.sha256(),
            bytes: checkpoint.bytes().len() as u64,
            format: checkpoint.format().to_string(),
        });
        metadata.tool = Some(concat!("hardnet ", env!("CARGO_PKG_VERSION")).into());
        let header = header(weights.shapes(), precision, &metadata);
        Ok(Self { weights, precision, metadata, header })
    }

    /// What the file will say of itself.
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
    /// [`Error::Write`] where `out` fails; [`Error::Overflow`] with every tensor that has values beyond the type asked for:
    /// what was written is then of no use.
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
