//! The values of initializers, streamed.

use std::io::Write;

use half::f16;
use hardnet_graph::{BatchNorm, ParamInfo};

use super::SourceError;
use super::integers::IntegerLayer;
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
    /// The weights of a convolution of integers.
    IntegerWeight(Box<Integers>),
    /// The scales of the last `IntegerWeight`.
    IntegerScale,
    /// The bias of the last `IntegerWeight`, in units of its sums.
    IntegerBias,
    /// These units.
    IntegerBiasScale,
    /// As many zeros as the tensor has elements.
    Zeros,
    /// One byte.
    Byte(u8),
    /// These whole numbers, of 64 bits.
    Extents(Vec<i64>),
}

/// A convolution of integers.
#[derive(Clone, Debug)]
pub(super) struct Integers {
    /// The name of its node.
    pub(super) node: String,
    /// The shape of its weights.
    pub(super) shape: Vec<usize>,
    /// The scale of what it reads.
    pub(super) scale: f32,
    /// How many input channels have values that are too small by how much; none where all are right.
    pub(super) shifts: Vec<(usize, i32)>,
    pub(super) depthwise: bool,
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
    layers: &'a mut dyn FnMut(&str) -> std::result::Result<IntegerLayer, SourceError>,
    /// The bias of the last folded convolution.
    bias: Vec<f64>,
    /// Scales of weights, bias and units of the last convolution of integers.
    integers: (Vec<f32>, Vec<i32>, Vec<f32>),
    /// Tensors with values that are not finite in their type.
    overflowed: Vec<String>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        values: &'a mut dyn FnMut(&ParamInfo) -> std::result::Result<Vec<f32>, SourceError>,
        layers: &'a mut dyn FnMut(&str) -> std::result::Result<IntegerLayer, SourceError>,
    ) -> Self {
        Self { values, layers, bias: Vec::new(), integers: Default::default(), overflowed: Vec::new() }
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
            Source::Extents(values) => {
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                out.write_all(&bytes).map_err(Error::Write)?;
                true
            }
            Source::Constant(values) => encode(values.iter().map(|&value| f64::from(value)), info.element, out)?,
            Source::IntegerWeight(integers) => self.integers(integers, out)?,
            Source::IntegerScale => floats(&self.integers.0, out)?,
            Source::IntegerBias => {
                let bytes: Vec<u8> = self.integers.1.iter().flat_map(|bias| bias.to_le_bytes()).collect();
                out.write_all(&bytes).map_err(Error::Write)?;
                true
            }
            Source::IntegerBiasScale => floats(&self.integers.2, out)?,
            Source::Zeros => {
                out.write_all(&vec![0; info.byte_count().unwrap_or(0)]).map_err(Error::Write)?;
                true
            }
            Source::Byte(byte) => {
                out.write_all(&[*byte]).map_err(Error::Write)?;
                true
            }
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

    /// Writes the weights and keeps scales and bias.
    fn integers(&mut self, integers: &Integers, out: &mut impl Write) -> Result<bool> {
        let name = &integers.node;
        let layer = (self.layers)(name).map_err(|source| Error::Values { name: name.clone(), source })?;
        let channels = integers.shape[0];
        let count = integers.shape.iter().product();
        for (found, expected) in
            [(layer.weights.len(), count), (layer.scale.len(), channels), (layer.bias.len(), channels)]
        {
            if found != expected {
                return Err(Error::Count { name: name.clone(), expected, found });
            }
        }
        let mut finite = true;
        self.integers = Default::default();
        for (output, row) in layer.weights.chunks(count / channels.max(1)).enumerate() {
            let row = integers.row(output, row, layer.scale[output], layer.bias[output]);
            finite &= row.scale.is_normal();
            let bytes: Vec<u8> = row.weights.iter().map(|&weight| weight as u8).collect();
            out.write_all(&bytes).map_err(Error::Write)?;
            self.integers.0.push(row.scale);
            self.integers.1.push(row.bias);
            self.integers.2.push(row.scale * integers.scale);
        }
        Ok(finite)
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

/// The weights of an output channel as they are written.
#[derive(Debug, PartialEq)]
struct Row {
    weights: Vec<i8>,
    /// Of the weights.
    scale: f32,
    /// In units of the sum.
    bias: i32,
}

impl Integers {
    /// Turns the weights of output channel `output`, whose sum has the unit `unit`, into what is written.
    ///
    /// A bias that does not fit 32 bits in that unit is more than any sum: weights of a coarser unit are exact enough.
    fn row(&self, output: usize, weights: &[i8], unit: f32, bias: f32) -> Row {
        const MOST: f64 = (1_u32 << 30) as f64;
        let mut scale = (f64::from(unit) / f64::from(self.scale)) as f32;
        let mut weights = weights.to_vec();
        let mut in_units = f64::from(bias) / (f64::from(scale) * f64::from(self.scale));
        while in_units.abs() > MOST && scale.is_normal() {
            weights.iter_mut().for_each(|weight| *weight /= 2);
            (scale, in_units) = (scale * 2.0, in_units / 2.0);
        }
        let mut bias = in_units.round_ties_even() as i32;
        // The sum of each shifted channel's weights, or of the only channel's that a depthwise convolution reads.
        let taps: usize = self.shape.iter().skip(2).product();
        let channels = self.shifts.iter().flat_map(|&(channels, shift)| std::iter::repeat_n(shift, channels));
        let first = if self.depthwise { output } else { 0 };
        for (weights, shift) in weights.chunks(taps.max(1)).zip(channels.skip(first)) {
            bias += shift * weights.iter().map(|&weight| i32::from(weight)).sum::<i32>();
        }
        Row { weights, scale, bias }
    }
}

/// Writes `values` as they are, and tells whether all are finite.
fn floats(values: &[f32], out: &mut impl Write) -> Result<bool> {
    encode(values.iter().map(|&value| f64::from(value)), ElementType::F32, out)
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
