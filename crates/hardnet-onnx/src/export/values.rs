//! The values of initializers, streamed.

use std::io::Write;

use half::f16;
use hardnet_graph::{BatchNorm, ParamInfo};

use super::SourceError;
use crate::error::{Error, Result};
use crate::model::{ElementType, TensorInfo};

/// Values are encoded so many at a time.
const CHUNK: usize = 1 << 14;

/// Where the values of an initializer come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A parameter as it is.
    Param(ParamInfo),
    /// The weight of a convolution, times the scale of the normalization after it.
    FoldedWeight(Box<Folded>),
    /// The bias that folding the last `FoldedWeight` left.
    FoldedBias,
    /// These numbers.
    Constant(Vec<f32>),
}

/// A convolution and the normalization after it.
#[derive(Clone, Debug)]
pub(super) struct Folded {
    pub(super) weight: ParamInfo,
    pub(super) bias: Option<ParamInfo>,
    /// Weight, bias, mean and variance of the normalization.
    pub(super) norm: [ParamInfo; 4],
    pub(super) constants: BatchNorm,
}

/// Reads values and writes them.
pub(super) struct Writer<'a> {
    values: &'a mut dyn FnMut(&ParamInfo) -> std::result::Result<Vec<f32>, SourceError>,
    /// The bias of the last folded convolution.
    bias: Vec<f64>,
    /// Tensors with values that are not finite in their type.
    overflowed: Vec<String>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(values: &'a mut dyn FnMut(&ParamInfo) -> std::result::Result<Vec<f32>, SourceError>) -> Self {
        Self { values, bias: Vec::new(), overflowed: Vec::new() }
    }

    /// Writes the tensor `info`.
    pub(super) fn write(&mut self, info: &TensorInfo, source: &Source, out: &mut impl Write) -> Result<()> {
        let finite = match source {
            Source::Param(param) => {
                let values = self.read(param)?;
                encode(values.iter().map(|&value| f64::from(value)), info.element, out)?
            }
            Source::FoldedWeight(folded) => self.folded(folded, info.element, out)?,
            Source::FoldedBias => encode(self.bias.iter().copied(), info.element, out)?,
            Source::Constant(values) => encode(values.iter().map(|&value| f64::from(value)), info.element, out)?,
        };
        if !finite {
            self.overflowed.push(info.name.clone());
        }
        Ok(())
    }

    /// The tensors that had values beyond their type.
    pub(super) fn finish(self) -> Vec<String> {
        self.overflowed
    }

    /// Writes the weight and keeps the bias. Both are f64 until they are rounded once.
    fn folded(&mut self, folded: &Folded, element: ElementType, out: &mut impl Write) -> Result<bool> {
        let [gamma, beta, mean, variance] = &folded.norm;
        let [gamma, beta, mean, variance] =
            [self.read(gamma)?, self.read(beta)?, self.read(mean)?, self.read(variance)?];
        let (scale, mut shift) = folded.constants.scale_and_shift(&gamma, &beta, &mean, &variance);
        if let Some(bias) = &folded.bias {
            let bias = self.read(bias)?;
            shift.iter_mut().zip(&scale).zip(bias).for_each(|((shift, scale), bias)| *shift += scale * f64::from(bias));
        }
        self.bias = shift;
        let weights = self.read(&folded.weight)?;
        let per_channel = weights.len() / scale.len().max(1);
        let scaled = weights.chunks(per_channel.max(1)).zip(&scale);
        encode(scaled.flat_map(|(row, scale)| row.iter().map(move |&value| f64::from(value) * scale)), element, out)
    }

    fn read(&mut self, param: &ParamInfo) -> Result<Vec<f32>> {
        let values = (self.values)(param);
        let values = values.map_err(|source| Error::Values { name: param.name.clone(), source })?;
        match values.len() {
            found if found != param.count() => {
                Err(Error::Count { name: param.name.clone(), expected: param.count(), found })
            }
            _ => Ok(values),
        }
    }
}

/// Writes `values` as elements of a type, f32 or f16, and tells whether all are finite in it.
///
/// They are rounded to nearest, ties to even, to f32 and from there to f16: `half` rounds an f64 to f16 in one step or
/// in two, by the processor.
fn encode(values: impl Iterator<Item = f64>, element: ElementType, out: &mut impl Write) -> Result<bool> {
    let mut finite = true;
    let mut bytes = Vec::with_capacity(CHUNK * element.size());
    for value in values {
        let value = value as f32;
        if element == ElementType::F16 {
            let value = f16::from_f32(value);
            finite &= value.is_finite();
            bytes.extend(value.to_le_bytes());
        } else {
            finite &= value.is_finite();
            bytes.extend(value.to_le_bytes());
        }
        if bytes.len() >= CHUNK * element.size() {
            out.write_all(&bytes).map_err(Error::Write)?;
            bytes.clear();
        }
    }
    out.write_all(&bytes).map_err(Error::Write)?;
    Ok(finite)
}
