//! Weights split for 16-bit and 8-bit multiplications, four taps at a time.
//!
//! A weight has up to 24 bits with its sign; the products that vectors have many of take 16 or 8. With
//! `weight = high * 2^16 + low`, both signed, a sum of `sample * weight` is
//! `sum(sample * low) + sum(sample * high) * 2^16`. The whole fits in an i32, so both parts may wrap, and of the second
//! only 16 bits count.

use super::super::weights::AxisPlan;

/// Taps of a [`Quad`].
pub(super) const TAPS: usize = 4;

/// The split weights of four taps in a row, each field the four bytes that one 32-bit lane multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quad {
    /// Low parts of taps 0 and 2, 16 bits each.
    pub(super) even: i32,
    /// Low parts of taps 1 and 3.
    pub(super) odd: i32,
    /// High parts of the four taps, 8 bits each.
    pub(super) high: i32,
}

/// The quads of every window of an axis, the same number for each: short windows end with weights 0.
#[derive(Default)]
pub(super) struct Quads {
    per_window: usize,
    quads: Vec<Quad>,
}

impl Quads {
    /// Takes the weights of `plan`.
    pub(super) fn split(&mut self, plan: &AxisPlan) {
        self.per_window = plan.longest().div_ceil(TAPS);
        self.quads.clear();
        for window in plan.windows() {
            let (whole, rest) = window.weights.as_chunks::<TAPS>();
            self.quads.extend(whole.iter().map(|&weights| Quad::new(weights)));
            let mut last = [0; TAPS];
            last[..rest.len()].copy_from_slice(rest);
            let mut missing = self.per_window - whole.len();
            if missing > 0 {
                self.quads.push(Quad::new(last));
                missing -= 1;
            }
            self.quads.extend(std::iter::repeat_n(Quad::new([0; TAPS]), missing));
        }
    }

    /// The number of quads of a window.
    pub(super) fn per_window(&self) -> usize {
        self.per_window
    }

    /// The quads of window `index`.
    pub(super) fn window(&self, index: usize) -> &[Quad] {
        &self.quads[index * self.per_window..][..self.per_window]
    }

    /// The quads of all windows, one window after the other.
    pub(super) fn all(&self) -> &[Quad] {
        &self.quads
    }
}

impl Quad {
    fn new(weights: [i32; TAPS]) -> Quad {
        let low = weights.map(|weight| weight as i16);
        // Exact: `low` has the 16 lowest bits of `weight`.
        let high = weights.map(|weight| (weight - i32::from(weight as i16)) >> 16);
        // A pair of products must not saturate the 16 bits that hold their sum.
        debug_assert!((high[0].abs() + high[1].abs()).max(high[2].abs() + high[3].abs()) <= 128, "{weights:?}");
        let pair = |a: i16, b: i16| i32::from(b) << 16 | i32::from(a as u16);
        Quad {
            even: pair(low[0], low[2]),
            odd: pair(low[1], low[3]),
            high: i32::from_le_bytes(high.map(|high| high as u8)),
        }
    }
}
