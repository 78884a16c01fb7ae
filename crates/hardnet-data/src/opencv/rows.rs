//! Rows that are interpolated along one axis, kept while output rows need them.

use super::Job;

/// Values of a pixel in a row between the passes: colors have a fourth, so that a vector holds whole pixels.
pub(super) fn lanes(channels: usize) -> usize {
    if channels == 3 { 4 } else { channels }
}

/// The last `K` input rows that were interpolated horizontally.
#[derive(Debug)]
pub(super) struct RowCache<const K: usize, T> {
    rows: [Vec<T>; K],
    /// The input row that each holds.
    held: [Option<usize>; K],
}

impl<const K: usize, T> Default for RowCache<K, T> {
    fn default() -> Self {
        Self { rows: std::array::from_fn(|_| Vec::new()), held: [None; K] }
    }
}

impl<const K: usize, T: Copy + Default> RowCache<K, T> {
    /// Makes room for rows of `length` values and forgets those that are held.
    pub(super) fn reset(&mut self, length: usize) {
        self.held = [None; K];
        self.rows.iter_mut().for_each(|row| row.resize(length, T::default()));
    }

    /// The interpolated rows `wanted`, ascending and at most `K` apart; those that are not held are made by
    /// `interpolate(input row, values)`.
    pub(super) fn get(
        &mut self,
        wanted: [usize; K],
        job: &Job<'_>,
        interpolate: impl Fn(&[u8], &mut [T]),
    ) -> [&[T]; K] {
        for row in wanted {
            let slot = row % K;
            if self.held[slot] != Some(row) {
                interpolate(job.rows_from(row), &mut self.rows[slot]);
                self.held[slot] = Some(row);
            }
        }
        wanted.map(|row| &self.rows[row % K][..])
    }
}
