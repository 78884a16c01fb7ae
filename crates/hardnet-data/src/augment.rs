//! Random augmentation for training: torchvision's `RandomResizedCrop`, `RandomCrop` with padding and
//! `RandomHorizontalFlip`.
//!
//! Crops are resampled by the same rule as everything else, [`Resizer`]; what is drawn has torchvision's distribution,
//! from a stream of its own for each sample and epoch. Oracle of the distributions: torchvision 0.29.2, held by
//! `augment/tests.rs`.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::normalize::TensorWriter;
use crate::{Image, Pipeline, PipelineError, RandomStream, Resizer};

/// Random changes to an image of the training set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Augmentation {
    /// Which part of the image is used.
    pub crop: RandomCrop,
    /// Probability that left and right are exchanged.
    pub flip: f64,
}

/// Which part of an image training uses. The result is always as large as the crop of the [`Pipeline`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum RandomCrop {
    /// The center crop of evaluations.
    None,
    /// A rectangle of random size and shape, resized to a square: `RandomResizedCrop`.
    Resized {
        /// Least and greatest share of the image's area.
        scale: [f64; 2],
        /// Least and greatest width divided by height.
        ratio: [f64; 2],
    },
    /// A random square of the center crop in a border of black pixels: `RandomCrop` with padding.
    Padded {
        /// Width of the border in pixels of the crop.
        padding: u32,
    },
}

impl Augmentation {
    /// No augmentation.
    pub fn none() -> Self {
        Self { crop: RandomCrop::None, flip: 0.0 }
    }

    /// The usual augmentation of ImageNet: 8 to 100 % of the area at 3:4 to 4:3, and half of the images mirrored.
    pub fn imagenet() -> Self {
        Self { crop: RandomCrop::Resized { scale: [0.08, 1.0], ratio: [3.0 / 4.0, 4.0 / 3.0] }, flip: 0.5 }
    }

    /// Sets the crop.
    pub fn with_crop(self, crop: RandomCrop) -> Self {
        Self { crop, ..self }
    }

    /// Sets the probability of mirroring.
    pub fn with_flip(self, flip: f64) -> Self {
        Self { flip, ..self }
    }

    /// Checks that every setting is in its range.
    ///
    /// # Errors
    /// [`PipelineError::Augmentation`] for a probability outside 0 to 1, a share of the area outside 0 (exclusive) to
    /// 1, a ratio that is not above 0 and finite, an interval whose ends are exchanged, and a border wider than
    /// [`Pipeline::MAX_SIDE`].
    pub fn validate(&self) -> Result<(), PipelineError> {
        let wrong = |name, value, expected| Err(PipelineError::Augmentation { name, value, expected });
        if !(0.0..=1.0).contains(&self.flip) {
            return wrong("flip", self.flip, "a probability from 0 to 1");
        }
        match self.crop {
            RandomCrop::None => {}
            RandomCrop::Resized { scale, ratio } => {
                if let Some(value) = scale.into_iter().find(|share| !(*share > 0.0 && *share <= 1.0)) {
                    return wrong("scale", value, "a share of the area above 0 and at most 1");
                }
                if let Some(value) = ratio.into_iter().find(|ratio| !(*ratio > 0.0 && ratio.is_finite())) {
                    return wrong("ratio", value, "a width divided by a height, above 0");
                }
                for (name, [low, high]) in [("scale", scale), ("ratio", ratio)] {
                    if low > high {
                        return wrong(name, high, "the greater number last");
                    }
                }
            }
            RandomCrop::Padded { padding } if padding > Pipeline::MAX_SIDE => {
                return wrong("padding", padding.into(), "at most 4096 pixels");
            }
            RandomCrop::Padded { .. } => {}
        }
        Ok(())
    }

    /// The tensor `[3, crop, crop]` of an image as `pipeline` makes it, but for the crop and the mirroring drawn from
    /// `random`.
    ///
    /// # Errors
    /// Those of [`validate`](Self::validate) and [`Pipeline::tensor_with`].
    pub fn tensor_with(
        &self,
        pipeline: &Pipeline,
        resizer: &mut Resizer,
        image: &Image,
        random: &mut RandomStream,
        out: &mut [f32],
    ) -> Result<(), PipelineError> {
        self.validate()?;
        pipeline.validate()?;
        let side = pipeline.crop as usize;
        let expected = 3 * side * side;
        if out.len() != expected {
            return Err(PipelineError::OutputLength { expected, found: out.len() });
        }
        let (seen, (x, y)) = self.seen(pipeline, resizer, image, random)?;
        let mirrored = random.uniform() < self.flip;
        let channels = seen.channels().count();
        let mut normalized = TensorWriter::new(pipeline, seen.channels(), out);
        let mut row = vec![0; side * channels];
        for index in 0..side {
            // Row and column of the result lie at `index + y` and `column + x` of what is seen, black outside.
            row.fill(0);
            let source_row = index as i64 + y;
            if (0..side as i64).contains(&source_row) {
                let source = &seen.samples()[source_row as usize * side * channels..][..side * channels];
                let (from, to) = overlap(side, x);
                row[to.start * channels..to.end * channels]
                    .copy_from_slice(&source[from.start * channels..from.end * channels]);
            }
            if mirrored {
                mirror(&mut row, channels);
            }
            normalized.write(index, &row);
        }
        Ok(())
    }

    /// A square of the side of the pipeline's crop, and how far right and down of its corner the result begins.
    fn seen(
        &self,
        pipeline: &Pipeline,
        resizer: &mut Resizer,
        image: &Image,
        random: &mut RandomStream,
    ) -> Result<(Image, (i64, i64)), PipelineError> {
        match self.crop {
            RandomCrop::None => Ok((pipeline.crop_image(resizer, image)?, (0, 0))),
            RandomCrop::Padded { padding } => {
                let seen = pipeline.crop_image(resizer, image)?;
                let mut shift = || i64::from(random.below(2 * padding + 1)) - i64::from(padding);
                let (y, x) = (shift(), shift());
                Ok((seen, (x, y)))
            }
            RandomCrop::Resized { scale, ratio } => {
                let (columns, rows) = rectangle((image.width(), image.height()), scale, ratio, random);
                let part = image.part(columns, rows);
                let side = pipeline.crop as usize;
                Ok((resizer.resize(&part, side, side, pipeline.interpolation)?, (0, 0)))
            }
        }
    }
}

/// Columns and rows that torchvision's `RandomResizedCrop.get_params` gives: ten attempts at an area and a ratio, and
/// then the largest rectangle in the middle whose ratio is allowed.
fn rectangle(
    (width, height): (usize, usize),
    scale: [f64; 2],
    ratio: [f64; 2],
    random: &mut RandomStream,
) -> (Range<usize>, Range<usize>) {
    let area = width as f64 * height as f64;
    let place = |random: &mut RandomStream, size: usize, side: usize| {
        let start = random.below((size - side + 1) as u32) as usize;
        start..start + side
    };
    // Python rounds halves to even; `as` saturates, and what is too large is tried again.
    let whole = |side: f64| side.round_ties_even() as usize;
    for _ in 0..10 {
        let target = area * random.between(scale[0], scale[1]);
        let aspect = random.between(ratio[0].ln(), ratio[1].ln()).exp();
        let (w, h) = (whole((target * aspect).sqrt()), whole((target / aspect).sqrt()));
        if (1..=width).contains(&w) && (1..=height).contains(&h) {
            let rows = place(random, height, h);
            return (place(random, width, w), rows);
        }
    }
    let own = width as f64 / height as f64;
    let (w, h) = if own < ratio[0] {
        (width, whole(width as f64 / ratio[0]).clamp(1, height))
    } else if own > ratio[1] {
        (whole(height as f64 * ratio[1]).clamp(1, width), height)
    } else {
        (width, height)
    };
    let (x, y) = ((width - w) / 2, (height - h) / 2);
    (x..x + w, y..y + h)
}

/// The columns of a row of `side` pixels that a shift by `x` keeps, and where they come to lie.
fn overlap(side: usize, x: i64) -> (Range<usize>, Range<usize>) {
    let by = (x.unsigned_abs() as usize).min(side);
    let (kept, cut) = (0..side - by, by..side);
    if x >= 0 { (cut, kept) } else { (kept, cut) }
}

/// Exchanges left and right of a row of pixels.
fn mirror(row: &mut [u8], channels: usize) {
    row.reverse();
    row.chunks_exact_mut(channels).for_each(<[u8]>::reverse);
}

#[cfg(test)]
mod tests;
