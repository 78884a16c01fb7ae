//! Location of a tensor's elements in the file, and their conversion to C order.

use std::borrow::Cow;

use crate::dtype::Dtype;
use crate::pickle::Payload;

/// Order of the elements.
#[derive(Debug, Clone)]
pub(crate) enum ElementOrder {
    /// C order.
    RowMajor,
    /// Fortran order.
    ColumnMajor,
    /// Strides in elements, for raw bytes only; a stride of 0 repeats an element.
    Strided(Vec<usize>),
}

/// Location of the elements of one tensor. The reader that makes it checks that the bytes suffice.
#[derive(Debug, Clone)]
pub(crate) struct TensorData {
    /// Parts to concatenate; more than one only in row-major order.
    pub(crate) parts: Vec<Payload>,
    pub(crate) order: ElementOrder,
    pub(crate) big_endian: bool,
}

impl TensorData {
    /// Range of the elements in the file, if they are in one piece.
    pub(crate) fn range(&self) -> Option<std::ops::Range<usize>> {
        match &self.parts[..] {
            [Payload::Raw(range)] => Some(range.clone()),
            _ => None,
        }
    }

    /// Bytes of the file that reading the elements takes.
    pub(crate) fn stored(&self) -> usize {
        let length = |part: &Payload| match part {
            Payload::Raw(range) | Payload::Latin1 { range, .. } => range.len(),
        };
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(length(part)))
    }

    /// Whether the parts one after the other are the elements in C order, little-endian.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.order, ElementOrder::RowMajor) && !self.big_endian
    }

    /// The elements in C order, little-endian. `None` if they lie outside `bytes`.
    pub(crate) fn read<'a>(&self, bytes: &'a [u8], dtype: Dtype, shape: &[usize]) -> Option<Cow<'a, [u8]>> {
        let size = dtype.size();
        let total = shape.iter().try_fold(size, |total, &extent| total.checked_mul(extent))?;
        if let (ElementOrder::RowMajor, [Payload::Raw(range)], false) = (&self.order, &self.parts[..], self.big_endian)
        {
            return bytes.get(range.clone()).filter(|elements| elements.len() == total).map(Cow::Borrowed);
        }
        let mut out = Vec::with_capacity(total);
        match &self.order {
            _ if total == 0 => {}
            ElementOrder::RowMajor => {
                for part in &self.parts {
                    append(bytes, part, &mut out)?;
                }
            }
            ElementOrder::Strided(strides) => {
                let [Payload::Raw(range)] = self.parts.as_slice() else { return None };
                let elements = bytes.get(range.clone())?;
                for at in StridedOffsets::new(shape, strides) {
                    out.extend_from_slice(elements.get(at * size..at * size + size)?);
                }
            }
            ElementOrder::ColumnMajor => {
                out.resize(total, 0);
                // The first index varies fastest in the file: iterate the reversed shape with the strides of C order.
                let reversed: Vec<usize> = shape.iter().rev().copied().collect();
                let strides: Vec<usize> = row_major(shape).into_iter().rev().collect();
                let offsets = StridedOffsets::new(&reversed, &strides).flat_map(|at| at * size..at * size + size);
                let [part] = self.parts.as_slice() else { return None };
                match part {
                    Payload::Raw(range) => {
                        let raw = bytes.get(range.clone())?;
                        offsets.zip(raw).for_each(|(at, &byte)| out[at] = byte);
                    }
                    Payload::Latin1 { range, .. } => {
                        let text = std::str::from_utf8(bytes.get(range.clone())?).ok()?;
                        offsets.zip(text.chars()).for_each(|(at, character)| out[at] = character as u8);
                    }
                }
            }
        }
        if out.len() != total {
            return None;
        }
        if self.big_endian {
            out.chunks_exact_mut(size).for_each(<[u8]>::reverse);
        }
        Some(Cow::Owned(out))
    }
}

/// Appends the bytes of `part`.
fn append(bytes: &[u8], part: &Payload, out: &mut Vec<u8>) -> Option<()> {
    match part {
        Payload::Raw(range) => out.extend_from_slice(bytes.get(range.clone())?),
        Payload::Latin1 { range, length } => {
            let start = out.len();
            out.resize(start + *length, 0);
            let target = &mut out[start..];
            // Each byte is written, and overwritten if it leads a pair: a branch would be mispredicted on random
            // weights.
            let (mut at, mut last) = (0, 0_u8);
            for &byte in bytes.get(range.clone())? {
                *target.get_mut(at)? = if byte < 0x80 { byte } else { last << 6 | byte & 0x3f };
                at += usize::from(byte < 0xc0);
                last = byte;
            }
        }
    }
    Some(())
}

/// Strides of C order, in elements.
pub(crate) fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1_usize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis]);
    }
    strides
}

/// Offsets of the elements of a non-empty strided array, in C order.
struct StridedOffsets<'a> {
    shape: &'a [usize],
    strides: &'a [usize],
    index: Vec<usize>,
    next: Option<usize>,
}

impl<'a> StridedOffsets<'a> {
    fn new(shape: &'a [usize], strides: &'a [usize]) -> Self {
        Self { shape, strides, index: vec![0; shape.len()], next: Some(0) }
    }
}

impl Iterator for StridedOffsets<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let at = self.next?;
        let mut following = at;
        self.next = None;
        for axis in (0..self.shape.len()).rev() {
            self.index[axis] += 1;
            if self.index[axis] < self.shape[axis] {
                self.next = Some(following + self.strides[axis]);
                break;
            }
            following -= self.strides[axis] * (self.shape[axis] - 1);
            self.index[axis] = 0;
        }
        Some(at)
    }
}
