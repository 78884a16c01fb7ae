//! Sliding windows: padding, and how many windows fit.

/// Rows and columns around a map that a window may reach into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs)]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns on the left.
    pub left: usize,
    /// Columns on the right.
    pub right: usize,
}

impl Padding {
    /// The same on all four sides.
    pub const fn all(size: usize) -> Self {
        Self { top: size, bottom: size, left: size, right: size }
    }

    /// Above and on the left only.
    pub const fn top_left(size: usize) -> Self {
        Self { top: size, bottom: 0, left: size, right: 0 }
    }

    /// The size, if it is the same on all four sides.
    pub fn uniform(self) -> Option<usize> {
        (self == Self::all(self.top)).then_some(self.top)
    }
}

/// Rows and columns of the windows that fit into a padded map: `floor((size + padding - kernel) / stride) + 1` along
/// each side, or 0 where not one fits.
///
/// `map` and `kernel` are rows and columns.
///
/// ```
/// use hardnet_graph::{Padding, output_size};
///
/// assert_eq!(output_size((224, 225), (3, 3), 2, Padding::all(1)), (112, 113));
/// assert_eq!(output_size((2, 8), (3, 3), 1, Padding::default()), (0, 6));
/// ```
pub fn output_size(map: (usize, usize), kernel: (usize, usize), stride: usize, padding: Padding) -> (usize, usize) {
    sizes(map, kernel, stride, padding, false)
}

/// As [`output_size`]; with `ceil`, a last window that reaches beyond the padding counts if it starts within the map or
/// the padding before it, as with PyTorch's `ceil_mode`.
pub(super) fn sizes(
    map: (usize, usize),
    kernel: (usize, usize),
    stride: usize,
    padding: Padding,
    ceil: bool,
) -> (usize, usize) {
    let fit = |side: usize, kernel: usize, before: usize, after: usize| {
        let padded = side.saturating_add(before).saturating_add(after);
        let Some(room) = padded.checked_sub(kernel).filter(|_| kernel > 0 && stride > 0) else { return 0 };
        let whole = (room / stride).saturating_add(1);
        let partial = ceil && room % stride != 0 && whole.saturating_mul(stride) < side.saturating_add(before);
        whole + usize::from(partial)
    };
    (fit(map.0, kernel.0, padding.top, padding.bottom), fit(map.1, kernel.1, padding.left, padding.right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_counted_as_a_loop_counts_them() {
        for (side, kernel, stride, before, after) in (0..9).flat_map(|side| {
            [(1, 1, 0, 0), (3, 2, 1, 1), (3, 2, 1, 0), (2, 2, 0, 0), (5, 3, 2, 1)]
                .map(move |(kernel, stride, before, after)| (side, kernel, stride, before, after))
        }) {
            let padding = Padding { top: before, bottom: after, left: 0, right: 0 };
            let padded = side + before + after;
            let counted = (0..padded).step_by(stride).filter(|start| start + kernel <= padded).count();
            assert_eq!(output_size((side, 1), (kernel, 1), stride, padding), (counted, 1), "{side} {kernel} {stride}");
        }
    }

    #[test]
    fn what_is_no_window_has_no_output() {
        assert_eq!(output_size((8, 8), (0, 3), 1, Padding::default()), (0, 6));
        assert_eq!(output_size((8, 8), (3, 3), 0, Padding::default()), (0, 0));
        let huge = Padding::all(usize::MAX);
        assert_eq!(output_size((8, 8), (1, 1), 1, huge), (usize::MAX, usize::MAX));
    }

    #[test]
    fn padding_that_is_alike_on_all_sides_is_uniform() {
        assert_eq!(Padding::all(2).uniform(), Some(2));
        assert_eq!(Padding::top_left(1).uniform(), None);
    }
}
