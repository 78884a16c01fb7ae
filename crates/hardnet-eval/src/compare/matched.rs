//! The lines of the same images in several files.

use std::collections::HashMap;

use hardnet_base::excerpt;

use super::comparison::Comparison;
use super::error::MatchError;
use super::predictions::{PredictedImage, Predictions};
use crate::tally::Proportion;

/// Runs over the same images, which are matched by their names.
#[derive(Clone, Debug)]
pub struct MatchedRuns {
    runs: Vec<Predictions>,
    /// The place of each image in every run.
    places: Vec<Vec<u32>>,
    labels: Vec<Option<u32>>,
    sizes: Vec<Option<(u32, u32)>>,
}

impl MatchedRuns {
    /// Matches `runs`, which must be of the same images, in any order. The first is the reference.
    ///
    /// # Errors
    /// A [`MatchError`] if there are fewer than two runs, their images differ, or an image has different labels.
    pub fn new(runs: Vec<Predictions>) -> Result<Self, MatchError> {
        let (reference, others) = split(&runs)?;
        let places = places(reference);
        for other in others {
            let in_other = self::places(other);
            let only_reference = only(reference, &in_other);
            let only_other = only(other, &places);
            if only_reference.0 + only_other.0 > 0 {
                return Err(MatchError::DifferentImages {
                    reference: reference.path().into(),
                    other: other.path().into(),
                    common: reference.images().len() - only_reference.0,
                    only_reference,
                    only_other,
                });
            }
        }
        Self::common(runs)
    }

    /// Matches the images that all `runs` have, in the order of the first.
    ///
    /// # Errors
    /// A [`MatchError`] if there are fewer than two runs, there is no such image, or one has different labels.
    pub fn common(runs: Vec<Predictions>) -> Result<Self, MatchError> {
        let (reference, others) = split(&runs)?;
        let others: Vec<_> = others.iter().map(places).collect();
        let mut found = vec![Vec::new(); runs.len()];
        for (place, image) in reference.images().iter().enumerate() {
            let in_others: Option<Vec<_>> = others.iter().map(|places| places.get(image.name()).copied()).collect();
            if let Some(in_others) = in_others {
                found[0].push(place as u32);
                in_others.into_iter().zip(&mut found[1..]).for_each(|(place, found)| found.push(place));
            }
        }
        if found[0].is_empty() {
            return Err(nothing_in_common(&runs));
        }
        let mut matched = Self { runs, places: found, labels: Vec::new(), sizes: Vec::new() };
        matched.labels = matched.shared_labels()?;
        let size = |image| (0..matched.runs.len()).find_map(|run| matched.image(run, image).size());
        matched.sizes = (0..matched.images()).map(size).collect();
        Ok(matched)
    }

    /// The runs.
    pub fn runs(&self) -> &[Predictions] {
        &self.runs
    }

    /// The number of images that all runs have.
    pub fn images(&self) -> usize {
        self.places[0].len()
    }

    /// How many of the images have a label.
    pub fn labeled(&self) -> usize {
        self.labels.iter().flatten().count()
    }

    /// How many of the images have a known size.
    pub fn with_size(&self) -> usize {
        self.sizes.iter().flatten().count()
    }

    /// The labeled images whose most probable class in `run` is their label.
    pub fn top1(&self, run: usize) -> Proportion {
        let is_right = |(image, &label): (usize, &Option<u32>)| Some(self.image(run, image).best().class == label?);
        share(self.labels.iter().enumerate().filter_map(is_right))
    }

    /// The labeled images whose label is among the five most probable classes in `run`; none unless its file says so of
    /// all of them.
    pub fn top5(&self, run: usize) -> Option<Proportion> {
        let labels = self.labels.iter().enumerate().filter_map(|(image, label)| Some((image, (*label)?)));
        let in_top5: Option<Vec<_>> = labels.map(|(image, label)| self.image(run, image).is_in_top5(label)).collect();
        Some(share(in_top5?.into_iter()))
    }

    /// The images whose most probable class is the same in both runs.
    pub fn agreement(&self, first: usize, second: usize) -> Proportion {
        let is_same = |image| self.image(first, image).best().class == self.image(second, image).best().class;
        share((0..self.images()).map(is_same))
    }

    /// Compares two of the runs.
    ///
    /// # Panics
    /// If there are not that many runs.
    pub fn compare(&self, first: usize, second: usize) -> Comparison<'_> {
        Comparison::new(self, first, second)
    }

    /// The name of a class, if a file has it.
    pub fn class_name(&self, class: usize) -> Option<&str> {
        self.runs.iter().find_map(|run| run.class_name(class))
    }

    pub(super) fn image(&self, run: usize, image: usize) -> &PredictedImage {
        &self.runs[run].images()[self.places[run][image] as usize]
    }

    pub(super) fn label(&self, image: usize) -> Option<u32> {
        self.labels[image]
    }

    pub(super) fn size(&self, image: usize) -> Option<(u32, u32)> {
        self.sizes[image]
    }

    /// The label of each image, which is the same in all files that have one.
    fn shared_labels(&self) -> Result<Vec<Option<u32>>, MatchError> {
        let (mut labels, mut differing, mut first) = (Vec::with_capacity(self.images()), 0, None);
        for image in 0..self.images() {
            let mut all = (0..self.runs.len()).filter_map(|run| Some((run, self.image(run, image).label()?)));
            let label = all.next();
            if let (Some(one), Some(another)) = (label, all.find(|(_, other)| Some(*other) != label.map(|(_, l)| l))) {
                differing += 1;
                first.get_or_insert((image, one, another));
            }
            labels.push(label.map(|(_, label)| label));
        }
        match first {
            None => Ok(labels),
            Some((image, (run, label), (other_run, other_label))) => Err(MatchError::DifferentLabels {
                name: excerpt(self.image(0, image).name()),
                count: differing,
                reference: self.runs[run].path().into(),
                first: label as usize,
                other: self.runs[other_run].path().into(),
                second: other_label as usize,
            }),
        }
    }
}

fn split(runs: &[Predictions]) -> Result<(&Predictions, &[Predictions]), MatchError> {
    match runs {
        [reference, others @ ..] if !others.is_empty() => Ok((reference, others)),
        _ => Err(MatchError::TooFew(runs.len())),
    }
}

/// The place of each image by its name.
fn places(run: &Predictions) -> HashMap<&str, u32> {
    run.images().iter().zip(0..).map(|(image, place)| (image.name(), place)).collect()
}

/// How many images of `run` are not among `others`, and the first of them.
fn only(run: &Predictions, others: &HashMap<&str, u32>) -> (usize, Option<String>) {
    let mut only = run.images().iter().filter(|image| !others.contains_key(image.name()));
    let first = only.next().map(|image| excerpt(image.name()));
    (usize::from(first.is_some()) + only.count(), first)
}

fn nothing_in_common(runs: &[Predictions]) -> MatchError {
    let reference = places(&runs[0]);
    let has_none = |run: &&Predictions| run.images().iter().all(|image| !reference.contains_key(image.name()));
    let other = runs.iter().find(has_none).unwrap_or(&runs[runs.len() - 1]);
    let first = |run: &Predictions| excerpt(run.images()[0].name());
    MatchError::NothingInCommon {
        runs: runs.len(),
        reference: runs[0].path().into(),
        first: first(&runs[0]),
        other: other.path().into(),
        second: first(other),
    }
}

/// The share of those that are `true`.
fn share(is: impl Iterator<Item = bool>) -> Proportion {
    is.fold(Proportion::default(), |share, is| Proportion::new(share.correct + usize::from(is), share.total + 1))
}
