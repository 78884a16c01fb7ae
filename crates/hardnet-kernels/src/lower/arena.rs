//! The arena: places for maps that live at different times.
//!
//! Each map with memory of its own is the naive way; but most maps are read by the next layers and never again, so that
//! memory can be reused. The least arena is a packing problem; the greedy solution by size, which Pisarchyk and Lee
//! ("Efficient memory management for deep neural net inference", 2020) found close to the best for networks, places the
//! largest map first, each at the lowest offset that is free during its life:
//!
//! ```text
//! offset
//!   |   +-------+
//!   |   |   b   |   +-------+
//!   | +-+---+---+   |   d   |
//!   | |  a  | +-----+-------+--+
//!   | |     | |       c        |
//!   +-+-----+-+----------------+---> step
//! ```
//!
//! A map lives from the step that writes it to the last that reads it. Memory that is reused is still in caches.

/// A map to place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// Values.
    pub(crate) len: usize,
    /// First and last step that touches it.
    pub(crate) steps: (usize, usize),
}

/// Values that offsets are multiples of: two cache lines, which processors fetch together.
const ALIGN: usize = 32;

/// An offset for every extent, such that no two that live at one step overlap, and the values of the whole arena.
pub(crate) fn place(extents: &[Extent]) -> (Vec<usize>, usize) {
    let mut order: Vec<usize> = (0..extents.len()).collect();
    order.sort_by_key(|&at| (std::cmp::Reverse(extents[at].len), at));
    let mut offsets = vec![0; extents.len()];
    let mut placed: Vec<usize> = Vec::with_capacity(extents.len());
    let mut total = 0;
    for at in order {
        let extent = extents[at];
        let lives = |other: &Extent| other.steps.0 <= extent.steps.1 && extent.steps.0 <= other.steps.1;
        let mut taken: Vec<(usize, usize)> = placed
            .iter()
            .filter(|&&other| lives(&extents[other]))
            .map(|&other| (offsets[other], offsets[other] + extents[other].len))
            .collect();
        taken.sort_unstable();
        let mut offset = 0;
        for (start, end) in taken {
            if offset + extent.len <= start {
                break;
            }
            offset = offset.max(end.next_multiple_of(ALIGN));
        }
        offsets[at] = offset;
        total = total.max(offset + extent.len);
        placed.push(at);
    }
    (offsets, total.next_multiple_of(ALIGN))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pseudo-random extents never overlap while they live, and maps that are read by the next step alone need room for
    /// two.
    #[test]
    fn living_extents_do_not_overlap() {
        let mut state = 1_u64;
        let mut random = move |bound: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % bound
        };
        for _ in 0..200 {
            let extents: Vec<Extent> = (0..random(30) + 1)
                .map(|_| {
                    let first = random(20);
                    Extent { len: random(1000) + 1, steps: (first, first + random(6)) }
                })
                .collect();
            let (offsets, total) = place(&extents);
            for (i, a) in extents.iter().enumerate() {
                assert!(offsets[i] % ALIGN == 0 && offsets[i] + a.len <= total);
                for (j, b) in extents.iter().enumerate().skip(i + 1) {
                    let together = a.steps.0 <= b.steps.1 && b.steps.0 <= a.steps.1;
                    let apart = offsets[i] + a.len <= offsets[j] || offsets[j] + b.len <= offsets[i];
                    assert!(!together || apart, "{a:?} at {}, {b:?} at {}", offsets[i], offsets[j]);
                }
            }
        }
        let sequence: Vec<Extent> = (0..10).map(|at| Extent { len: 64, steps: (at, at + 1) }).collect();
        assert_eq!(place(&sequence).1, 128);
    }
}
