//! Outputs of a network for a batch.

use crate::top_k::{Prediction, top_k};

/// The logits of a batch: a row of equal length for each image.
///
/// ```
/// use hardnet_eval::Logits;
///
/// let logits = Logits::new(vec![0.0, 1.0, 5.0, 2.0], 2);
/// assert_eq!(logits.row(1), [5.0, 2.0]);
/// assert_eq!(logits.top(1)[0][0].index, 1);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Logits {
    values: Vec<f32>,
    classes: usize,
}

impl Logits {
    /// Takes the rows one after the other, each of `classes` values.
    ///
    /// # Panics
    ///
    /// If `values` is not a whole number of rows.
    pub fn new(values: Vec<f32>, classes: usize) -> Self {
        let whole = if classes == 0 { values.is_empty() } else { values.len().is_multiple_of(classes) };
        assert!(whole, "{} values are not rows of {classes}", values.len());
        Self { values, classes }
    }

    /// Returns the number of images.
    pub fn len(&self) -> usize {
        self.values.len().checked_div(self.classes).unwrap_or(0)
    }

    /// Returns whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Returns the values of a row.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Returns the logits of image `index` of the batch.
    ///
    /// # Panics
    ///
    /// If there are fewer images.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.classes..][..self.classes]
    }

    /// Returns the rows in the order of the images.
    pub fn rows(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.classes.max(1))
    }

    /// Returns the `k` most probable classes of each image, as [`top_k`].
    pub fn top(&self, k: usize) -> Vec<Vec<Prediction>> {
        self.rows().map(|row| top_k(row, k)).collect()
    }

    /// Returns all values, row by row.
    pub fn as_slice(&self) -> &[f32] {
        &self.values
    }

    /// Returns all values, row by row, without a copy.
    pub fn into_vec(self) -> Vec<f32> {
        self.values
    }
}
