//! The loops of the two passes, once for each instruction set.
//!
//! This module owns what the loops read (weights in the form they need) and chooses the loop; the children compute. All
//! of them give the same samples: sums are exact in 32 bits, then rounded half up and clipped.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod portable;
#[cfg(target_arch = "x86_64")]
mod quads;
#[cfg(test)]
mod tests;

use std::ops::Range;

#[cfg(test)]
pub(super) use tests::{Noise, naive};

use hardnet_simd::Isa;

use super::weights::{AxisPlan, PRECISION_BITS};
use crate::image::Channels;
use crate::interpolation::Interpolation;

/// Half a unit of the result, so that the shift in a loop's last step rounds half up.
const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// Rows that [`Axis::horizontal`] takes best together.
pub(super) const BATCH: usize = 8;

/// Samples of space that a row needs after its last one, where [`Axis::horizontal`] may write anything.
pub(super) const PADDING: usize = 1;

/// One axis of a resize: its windows and the loops over them.
pub(super) struct Axis {
    isa: Isa,
    plan: AxisPlan,
    #[cfg(target_arch = "x86_64")]
    quads: quads::Quads,
}

/// Rows of samples in one slice: row `i` begins at `i * stride`.
#[derive(Clone, Copy)]
pub(super) struct SampleRows<'a> {
    /// From the first sample of the first row to the last sample of the last row at least.
    pub(super) samples: &'a [u8],
    /// Samples from one row to the next.
    pub(super) stride: usize,
}

impl<'a> SampleRows<'a> {
    /// Row `index` and those after it.
    pub(super) fn from(self, index: usize) -> SampleRows<'a> {
        SampleRows { samples: &self.samples[index * self.stride..], ..self }
    }
}

impl Axis {
    /// An axis without windows, for loops of `isa`.
    pub(super) fn new(isa: Isa) -> Axis {
        Axis {
            isa,
            plan: AxisPlan::default(),
            #[cfg(target_arch = "x86_64")]
            quads: quads::Quads::default(),
        }
    }

    /// The instruction set of the loops.
    pub(super) fn isa(&self) -> Isa {
        self.isa
    }

    /// [`AxisPlan::plan`] in place of the present windows.
    pub(super) fn plan(
        &mut self,
        input: usize,
        output: u64,
        kept: Range<u64>,
        interpolation: Interpolation,
    ) -> Range<usize> {
        let read = self.plan.plan(input, output, kept, interpolation);
        #[cfg(target_arch = "x86_64")]
        if self.isa.avx2().is_some() {
            self.quads.split(&self.plan);
        }
        read
    }

    /// The windows.
    pub(super) fn windows(&self) -> &AxisPlan {
        &self.plan
    }

    /// Resamples `count` rows of `input` to the planned columns: row `i` goes to `output[i * stride..]`, with
    /// [`PADDING`] samples after it that hold anything afterwards.
    pub(super) fn horizontal(
        &self,
        channels: Channels,
        input: SampleRows<'_>,
        count: usize,
        output: &mut [u8],
        stride: usize,
    ) {
        let length = self.plan.len() * channels.count();
        assert!(length + PADDING <= stride, "an output row overlaps the next");
        for first in (0..count).step_by(BATCH) {
            let rows = BATCH.min(count - first);
            let (input, output) = (input.from(first), &mut output[first * stride..][..rows * stride]);
            let done = self.horizontal_vectorized(channels, input, rows, output, stride);
            for row in 0..rows {
                let (pixels, results) = (input.from(row).samples, &mut output[row * stride..][..length]);
                portable::horizontal(channels, pixels, &self.plan, done, results);
            }
        }
    }

    /// As much of [`horizontal`](Axis::horizontal) as can be had from vectors: the number of leading columns done.
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
    fn horizontal_vectorized(
        &self,
        channels: Channels,
        input: SampleRows<'_>,
        count: usize,
        output: &mut [u8],
        stride: usize,
    ) -> usize {
        match self.isa.avx2() {
            #[cfg(target_arch = "x86_64")]
            Some(token) => {
                avx2::horizontal(token, channels, input, count, self.plan.starts(), &self.quads, output, stride)
            }
            _ => 0,
        }
    }

    /// Row `index` of the vertical pass, into the whole of `output`; `input` begins with the first row of its window.
    pub(super) fn vertical(&self, index: usize, input: SampleRows<'_>, output: &mut [u8]) {
        let weights = self.plan.window(index).weights;
        match self.isa.avx2() {
            #[cfg(target_arch = "x86_64")]
            Some(token) if output.len() >= avx2::SAMPLES => {
                avx2::vertical(token, input, weights.len(), self.quads.window(index), output);
            }
            _ => portable::vertical(input, weights, output),
        }
    }
}
