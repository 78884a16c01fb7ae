//! Maps that are computed row by row.

use hardnet_graph::{Alignment, Between};

use super::Scores;

/// A map of all classes, a row at a time.
pub(super) trait Rows {
    /// The number of classes.
    fn classes(&self) -> usize;

    /// Columns and rows.
    fn size(&self) -> (usize, usize);

    /// Writes row `y`, `[classes, width]`.
    fn row(&mut self, y: usize, out: &mut [f32]);
}

impl<R: Rows + ?Sized> Rows for Box<R> {
    fn classes(&self) -> usize {
        (**self).classes()
    }

    fn size(&self) -> (usize, usize) {
        (**self).size()
    }

    fn row(&mut self, y: usize, out: &mut [f32]) {
        (**self).row(y, out);
    }
}

/// The rows of a map in memory.
pub(super) struct Stored<'a>(pub(super) &'a Scores);

impl Rows for Stored<'_> {
    fn classes(&self) -> usize {
        self.0.classes
    }

    fn size(&self) -> (usize, usize) {
        (self.0.width, self.0.height)
    }

    fn row(&mut self, y: usize, out: &mut [f32]) {
        let Scores { width, height, values, .. } = self.0;
        for (class, out) in out.chunks_exact_mut(*width).enumerate() {
            out.copy_from_slice(&values[(class * height + y) * width..][..*width]);
        }
    }
}

/// Rows interpolated to another size: first along rows, then between two rows, as PyTorch does.
pub(super) struct Resampled<R> {
    source: R,
    size: (usize, usize),
    columns: Vec<Between>,
    rows: Vec<Between>,
    /// A row of the source.
    narrow: Vec<f32>,
    /// Two rows of the source at full width, with their numbers.
    wide: [(Option<usize>, Vec<f32>); 2],
}

impl<R: Rows> Resampled<R> {
    pub(super) fn new(source: R, size: (usize, usize), alignment: Alignment) -> Self {
        let between = |from: usize, to: usize| (0..to).map(|at| alignment.between(at, to, from)).collect();
        let ((width, height), classes) = (source.size(), source.classes());
        let wide = || (None, vec![0.0; classes * size.0]);
        Self {
            size,
            columns: between(width, size.0),
            rows: between(height, size.1),
            narrow: vec![0.0; classes * width],
            wide: [wide(), wide()],
            source,
        }
    }

    /// The place of row `y` of the source at full width, where `keep` is not to be replaced.
    fn widened(&mut self, y: usize, keep: usize) -> usize {
        if let Some(place) = self.wide.iter().position(|(row, _)| *row == Some(y)) {
            return place;
        }
        let place = usize::from(self.wide[0].0 == Some(keep));
        let (row, wide) = &mut self.wide[place];
        *row = Some(y);
        self.source.row(y, &mut self.narrow);
        let narrow = self.narrow.chunks_exact(self.source.size().0);
        for (narrow, wide) in narrow.zip(wide.chunks_exact_mut(self.size.0)) {
            for (value, Between { first, second, weight }) in wide.iter_mut().zip(&self.columns) {
                let weight = *weight as f32;
                *value = (1.0 - weight) * narrow[*first] + weight * narrow[*second];
            }
        }
        place
    }
}

impl<R: Rows> Rows for Resampled<R> {
    fn classes(&self) -> usize {
        self.source.classes()
    }

    fn size(&self) -> (usize, usize) {
        self.size
    }

    fn row(&mut self, y: usize, out: &mut [f32]) {
        let Between { first, second, weight } = self.rows[y];
        let weight = weight as f32;
        let above = self.widened(first, second);
        let below = self.widened(second, first);
        let (above, below) = (&self.wide[above].1, &self.wide[below].1);
        for ((out, above), below) in out.iter_mut().zip(above).zip(below) {
            *out = (1.0 - weight) * above + weight * below;
        }
    }
}

/// The probabilities of logits.
pub(super) struct Softmax<R>(pub(super) R);

impl<R: Rows> Rows for Softmax<R> {
    fn classes(&self) -> usize {
        self.0.classes()
    }

    fn size(&self) -> (usize, usize) {
        self.0.size()
    }

    fn row(&mut self, y: usize, out: &mut [f32]) {
        self.0.row(y, out);
        let width = self.size().0;
        for x in 0..width {
            let largest = out[x..].iter().step_by(width).fold(f32::NEG_INFINITY, |a, &b| a.max(b));
            let mut sum = 0.0;
            for value in out[x..].iter_mut().step_by(width) {
                *value = (*value - largest).exp();
                sum += *value;
            }
            out[x..].iter_mut().step_by(width).for_each(|value| *value /= sum);
        }
    }
}

/// The sum of several maps of one size, which has the same maximum as their mean.
pub(super) struct Sum<R> {
    maps: Vec<R>,
    term: Vec<f32>,
}

impl<R: Rows> Sum<R> {
    /// The sum of at least one map.
    pub(super) fn new(maps: Vec<R>) -> Self {
        let length = maps[0].classes() * maps[0].size().0;
        Self { maps, term: vec![0.0; length] }
    }
}

impl<R: Rows> Rows for Sum<R> {
    fn classes(&self) -> usize {
        self.maps[0].classes()
    }

    fn size(&self) -> (usize, usize) {
        self.maps[0].size()
    }

    fn row(&mut self, y: usize, out: &mut [f32]) {
        out.fill(0.0);
        for map in &mut self.maps {
            map.row(y, &mut self.term);
            out.iter_mut().zip(&self.term).for_each(|(sum, term)| *sum += term);
        }
    }
}
