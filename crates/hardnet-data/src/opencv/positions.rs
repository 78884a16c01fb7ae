//! Which input pixels make an output pixel along an axis, and their weights.

use std::ops::Range;

/// Weights are multiples of one part in so many.
pub(super) const ONE: f32 = 2048.0;

/// An axis of `input` pixels that is resampled to `output` pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub(super) input: usize,
    pub(super) output: u64,
    /// Output pixels for each input pixel.
    pub(super) inverse: f64,
    /// Input pixels for each output pixel, as OpenCV computes them.
    pub(super) scale: f64,
}

impl Scale {
    pub(super) fn new(input: usize, output: u64) -> Self {
        let inverse = output as f64 / input as f64;
        Self { input, output, inverse, scale: 1.0 / inverse }
    }

    /// Whether the axis does not grow.
    pub(super) fn shrinks(&self) -> bool {
        self.scale >= 1.0
    }

    /// The scale if it is a whole number.
    pub(super) fn integral(&self) -> Option<usize> {
        let rounded = self.scale.round_ties_even();
        ((self.scale - rounded).abs() < f64::EPSILON).then_some(rounded as usize)
    }

    /// The input pixel at or before the center of output pixel `index`, and the fraction from there to the center.
    pub(super) fn position(&self, index: u64) -> (i64, f32) {
        let center = ((index as f64 + 0.5) * self.scale - 0.5) as f32;
        let pixel = center.floor();
        (pixel as i64, center - pixel)
    }

    /// The same without rounding to f32.
    pub(super) fn exact_position(&self, index: u64) -> (i64, f64) {
        let center = (index as f64 + 0.5) * self.scale - 0.5;
        (center.floor() as i64, center - center.floor())
    }

    /// The same where [`Area`](super::Interpolation::Area) enlarges: the fraction is the part of the output pixel that
    /// lies in the next input pixel.
    pub(super) fn area_position(&self, index: u64) -> (i64, f32) {
        let pixel = (index as f64 * self.scale).floor();
        let fraction = ((index + 1) as f64 - (pixel + 1.0) * self.inverse) as f32;
        (pixel as i64, if fraction <= 0.0 { 0.0 } else { fraction - fraction.floor() })
    }

    /// The pixel `index` of the input, the first or last one where it lies outside.
    pub(super) fn clamp(&self, index: i64) -> usize {
        index.clamp(0, self.input as i64 - 1) as usize
    }
}

/// `K` input pixels for each output pixel of a row, and their weights.
#[derive(Debug)]
pub(super) struct Taps<const K: usize, W> {
    pub(super) pixels: Vec<[usize; K]>,
    pub(super) weights: Vec<[W; K]>,
    /// The output pixels whose input pixels follow each other: all but some at both ends.
    pub(super) consecutive: Range<usize>,
    /// The first sample of each of these, in rows of three channels.
    pub(super) starts: Vec<u32>,
}

impl<const K: usize, W> Default for Taps<K, W> {
    fn default() -> Self {
        Self { pixels: Vec::new(), weights: Vec::new(), consecutive: 0..0, starts: Vec::new() }
    }
}

impl<const K: usize, W> Taps<K, W> {
    /// Plans the output pixels of `window` by `tap`, which gives the pixels and weights of one.
    pub(super) fn plan(&mut self, window: Range<u64>, tap: impl Fn(u64) -> ([usize; K], [W; K])) {
        self.pixels.clear();
        self.weights.clear();
        for index in window {
            let (pixels, weights) = tap(index);
            self.pixels.push(pixels);
            self.weights.push(weights);
        }
        let follow = |pixels: &[usize; K]| pixels[K - 1] - pixels[0] == K - 1;
        let first = self.pixels.iter().position(follow).unwrap_or(self.pixels.len());
        let count = self.pixels[first..].iter().take_while(|pixels| follow(pixels)).count();
        self.consecutive = first..first + count;
        self.starts.clear();
        self.starts.extend(self.pixels[first..first + count].iter().map(|pixels| 3 * pixels[0] as u32));
    }

    /// The first of the [`consecutive`](Taps::consecutive) output pixels, in groups of `N`: those from whose last
    /// first sample on `load` samples of a row of `length` samples can be read.
    ///
    /// First samples ascend, so this is true of every output pixel of these groups.
    pub(super) fn groups<const N: usize>(&self, length: usize, load: usize) -> Groups<'_, N, K, W> {
        let starts = self.starts.as_chunks::<N>().0;
        let starts = &starts[..starts.partition_point(|group| group[N - 1] as usize + load <= length)];
        let columns = self.consecutive.start..self.consecutive.start + N * starts.len();
        Groups { starts, weights: self.weights[columns.clone()].as_chunks().0, columns }
    }
}

/// Groups of `N` output pixels.
pub(super) struct Groups<'a, const N: usize, const K: usize, W> {
    /// The first sample of each.
    pub(super) starts: &'a [[u32; N]],
    pub(super) weights: &'a [[[W; K]; N]],
    /// Their places in the row.
    pub(super) columns: Range<usize>,
}

/// A weight in units of 1/2048, rounded half to even.
pub(super) fn fixed_point(weight: f32) -> i16 {
    (weight * ONE).round_ties_even() as i16
}
