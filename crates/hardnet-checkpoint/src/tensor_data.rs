//! Where a tensor's elements lie in the file, and how to bring them into C order.

use std::borrow::Cow;

use crate::dtype::Dtype;
use crate::pickle::Payload;

/// The order of the elements.
#[derive(Debug, Clone)]
pub(crate) enum Layout {
    /// C order.
    RowMajor,
    /// Fortran order.
    ColumnMajor,
    /// Steps in elements, for raw bytes only; a step of 0 repeats an element.
    Strided(Vec<usize>),
}

/// The elements of one tensor. Whoever makes a source checks that its bytes suffice.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Concatenated; more than one only in row-major order.
    pub(crate) parts: Vec<Payload>,
    pub(crate) layout: Layout,
    pub(crate) big_endian: bool,
}

impl Source {
    /// Where the elements lie in the file, if they do so in one piece.
    pub(crate) fn range(&self) -> Option<std::ops::Range<usize>> {
        match &self.parts[..] {
            [Payload::Raw(range)] => Some(range.clone()),
            _ => None,
        }
    }

    /// The elements in C order, little-endian. `None` if the source lies outside `bytes`.
    pub(crate) fn read<'a>(&self, bytes: &'a [u8], dtype: Dtype, shape: &[usize]) -> Option<Cow<'a, [u8]>> {
        let size = dtype.size();
        let total = shape.iter().try_fold(size, |total, &extent| total.checked_mul(extent))?;
        if let (Layout::RowMajor, [Payload::Raw(range)], false) = (&self.layout, &self.parts[..], self.big_endian) {
            return bytes.get(range.clone()).filter(|elements| elements.len() == total).map(Cow::Borrowed);
        }
        let mut out = Vec::with_capacity(total);
        match &self.layout {
            _ if total == 0 => {}
            Layout::RowMajor => {
                for part in &self.parts {
                    append(bytes, part, &mut out)?;
                }
            }
            Layout::Strided(strides) => {
                let [Payload::Raw(range)] = self.parts.as_slice() else { return None };
                let elements = bytes.get(range.clone())?;
                for at in Walk::new(shape, strides) {
                    out.extend_from_slice(elements.get(at * size..at * size + size)?);
                }
            }
            Layout::ColumnMajor => {
                out.resize(total, 0);
                // The elements come with the first index fastest: walk the reversed shape over the C order's strides.
                let reversed: Vec<usize> = shape.iter().rev().copied().collect();
                let strides: Vec<usize> = row_major(shape).into_iter().rev().collect();
                let places = Walk::new(&reversed, &strides).flat_map(|at| at * size..at * size + size);
                let [part] = self.parts.as_slice() else { return None };
                match part {
                    Payload::Raw(range) => {
                        let raw = bytes.get(range.clone())?;
                        places.zip(raw).for_each(|(at, &byte)| out[at] = byte);
                    }
                    Payload::Latin1 { range, .. } => {
                        let text = std::str::from_utf8(bytes.get(range.clone())?).ok()?;
                        places.zip(text.chars()).for_each(|(at, character)| out[at] = character as u8);
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
            // Each byte is written, and stays unless it leads a pair: no branch to mispredict on random weights.
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

/// The strides of C order, in elements.
pub(crate) fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1_usize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis]);
    }
    strides
}

/// The positions of a non-empty strided array's elements, last index fastest.
struct Walk<'a> {
    shape: &'a [usize],
    strides: &'a [usize],
    index: Vec<usize>,
    next: Option<usize>,
}

impl<'a> Walk<'a> {
    fn new(shape: &'a [usize], strides: &'a [usize]) -> Self {
        Self { shape, strides, index: vec![0; shape.len()], next: Some(0) }
    }
}

impl Iterator for Walk<'_> {
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
