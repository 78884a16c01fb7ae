//! Logits of a network and the classes that follow from them.
//!
//! A network computes logits at a fraction of its input's size. Between these and the classes of pixels are bilinear
//! interpolations, sums over views of the image (mirrored, at several scales), and a maximum. All of it runs row by
//! row: maps of all classes at full size, 160 MB for an image of Cityscapes, never exist.

mod rows;

use hardnet_graph::Alignment;

use crate::mask::{MAX_CLASSES, Mask};
use rows::{Resampled, Rows, Softmax, Stored, Sum};

/// Logits of an image: `[classes, height, width]`, at a fraction of its size.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    classes: usize,
    width: usize,
    height: usize,
    values: Vec<f32>,
}

/// Error of [`Scores`] of a shape that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found} logits, expected {classes} classes of {width}x{height} pixels, 1 to {MAX_CLASSES} classes")]
#[non_exhaustive]
pub struct ScoresError {
    /// Classes.
    pub classes: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Values given.
    pub found: usize,
}

impl Scores {
    /// Takes values of `[classes, height, width]`.
    ///
    /// # Errors
    ///
    /// [`ScoresError`] for another number of values, for none, and for more than 255 classes.
    pub fn new(classes: usize, width: usize, height: usize, values: Vec<f32>) -> Result<Self, ScoresError> {
        let expected = classes.checked_mul(width).and_then(|values| values.checked_mul(height));
        if expected != Some(values.len()) || values.is_empty() || classes > MAX_CLASSES {
            return Err(ScoresError { classes, width, height, found: values.len() });
        }
        Ok(Self { classes, width, height, values })
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The values, `[classes, height, width]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The values without the shape around them.
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// The logits with left and right exchanged.
    pub fn mirrored(mut self) -> Self {
        self.values.chunks_exact_mut(self.width).for_each(<[f32]>::reverse);
        self
    }

    /// The same interpolated to `width` x `height`.
    pub fn resized(&self, width: usize, height: usize, alignment: Alignment) -> Self {
        let mut rows = Resampled::new(Stored(self), (width, height), alignment);
        let mut values = vec![0.0; self.classes * width * height];
        let mut row = vec![0.0; self.classes * width];
        for y in 0..height {
            rows.row(y, &mut row);
            for (class, row) in row.chunks_exact(width).enumerate() {
                values[(class * height + y) * width..][..width].copy_from_slice(row);
            }
        }
        Self { classes: self.classes, width, height, values }
    }
}

/// How the logits of several views of an image are averaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Averaging {
    /// The logits are, as by FC-HarDNet's `validate.py --eval_flip`.
    Logits,
    /// Probabilities are: softmax comes first, as in PaddleSeg's `aug_inference`.
    Probabilities,
}

/// The logits of a view of an image.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct View {
    /// Logits, mirrored back if the view was mirrored.
    pub scores: Scores,
    /// Columns and rows of the network's input for this view.
    pub input: (usize, usize),
}

impl View {
    /// Logits and the size of the input that they were computed from.
    pub fn new(scores: Scores, input: (usize, usize)) -> Self {
        Self { scores, input }
    }
}

/// From the logits of views to classes.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Merge {
    /// How the network interpolates its logits to the size of its input.
    pub alignment: Alignment,
    /// How views are averaged.
    pub averaging: Averaging,
    /// Columns and rows of the input at scale 1, to which other views are interpolated.
    pub input: (usize, usize),
    /// Columns and rows of the result, to which what is averaged is interpolated.
    pub output: (usize, usize),
    /// Threads to compute on.
    pub threads: usize,
}

impl Merge {
    /// A network's own input size, with one thread and logits averaged.
    pub fn new(alignment: Alignment, input: (usize, usize)) -> Self {
        Self { alignment, averaging: Averaging::Logits, input, output: input, threads: 1 }
    }

    /// Sets how views are averaged.
    pub fn averaging(mut self, averaging: Averaging) -> Self {
        self.averaging = averaging;
        self
    }

    /// Sets the size of the result.
    pub fn output(mut self, width: usize, height: usize) -> Self {
        self.output = (width, height);
        self
    }

    /// Sets the threads. The result does not depend on them.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// The most probable class of each pixel, the first of several that are equal.
    ///
    /// # Panics
    ///
    /// If there is no view, if views have different numbers of classes, or if a side of the result is 0.
    pub fn classes(&self, views: &[View]) -> Mask {
        let (width, height) = self.output;
        let mut labels = vec![0; width * height];
        let band = height.div_ceil(self.threads);
        std::thread::scope(|scope| {
            for (index, labels) in labels.chunks_mut(band * width).enumerate() {
                let mut job = move || self.band(views, index * band, labels);
                // The last part is computed here.
                if (index + 1) * band >= height { job() } else { drop(scope.spawn(job)) }
            }
        });
        Mask::new(width, height, labels).expect("the labels are those of the size")
    }

    /// The classes of the rows from `first` on.
    fn band(&self, views: &[View], first: usize, labels: &mut [u8]) {
        let width = self.output.0;
        let mut rows = self.rows(views);
        let classes = views[0].scores.classes;
        let (mut row, mut best) = (vec![0.0; classes * width], vec![0.0; width]);
        for (index, labels) in labels.chunks_exact_mut(width).enumerate() {
            rows.row(first + index, &mut row);
            let (base, others) = row.split_at(width);
            best.copy_from_slice(base);
            labels.fill(0);
            for (class, scores) in others.chunks_exact(width).enumerate() {
                for ((best, label), score) in best.iter_mut().zip(labels.iter_mut()).zip(scores) {
                    let better = *score > *best;
                    *label = if better { class as u8 + 1 } else { *label };
                    *best = if better { *score } else { *best };
                }
            }
        }
    }

    /// The averaged rows of `views` in the size of the result.
    fn rows<'a>(&self, views: &'a [View]) -> Box<dyn Rows + 'a> {
        let several = views.len() > 1;
        let view = |view: &'a View| {
            let rows = resampled(Box::new(Stored(&view.scores)), view.input, self.alignment);
            let rows = resampled(rows, self.input, Alignment::HalfPixel);
            match self.averaging {
                Averaging::Probabilities if several => Box::new(Softmax(rows)),
                _ => rows,
            }
        };
        let mut all: Vec<_> = views.iter().map(view).collect();
        let sum = if several { Box::new(Sum::new(all)) } else { all.pop().expect("there is a view") };
        resampled(sum, self.output, Alignment::HalfPixel)
    }
}

/// `rows` interpolated to `size`, unless they have it.
fn resampled<'a>(rows: Box<dyn Rows + 'a>, size: (usize, usize), alignment: Alignment) -> Box<dyn Rows + 'a> {
    if rows.size() == size { rows } else { Box::new(Resampled::new(rows, size, alignment)) }
}
