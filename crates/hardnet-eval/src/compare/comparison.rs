//! Two runs over the same images.

use super::groups::{self, ClassGroup, GroupCounts, RangeGroup};
use super::matched::MatchedRuns;
use super::paired::PairedCounts;
use super::predictions::Choice;
use crate::tally::Proportion;

/// The comparison of a first and a second run.
#[derive(Clone, Debug)]
pub struct Comparison<'a> {
    runs: &'a MatchedRuns,
    first: usize,
    second: usize,
    counts: GroupCounts,
    top5: Option<PairedCounts>,
    changes: Vec<Change<'a>>,
}

/// An image whose most probable class differs between two runs.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Change<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its class, if it is known.
    pub label: Option<u32>,
    /// Width and height in pixels, if they are known.
    pub size: Option<(u32, u32)>,
    /// The most probable class of the first run.
    pub first: Choice,
    /// That of the second run.
    pub second: Choice,
}

/// The effect of a change on the accuracy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Only the first run is right.
    Lost,
    /// Only the second run is right.
    Gained,
    /// Both are wrong, each in its own way.
    BothWrong,
    /// The label is not known.
    Unlabeled,
}

impl Change<'_> {
    /// Which of the runs is right.
    pub fn verdict(&self) -> Verdict {
        match self.label {
            None => Verdict::Unlabeled,
            Some(label) if label == self.first.class => Verdict::Lost,
            Some(label) if label == self.second.class => Verdict::Gained,
            Some(_) => Verdict::BothWrong,
        }
    }

    /// How sure both runs are: the sum of their probabilities.
    fn confidence(&self) -> f32 {
        self.first.probability + self.second.probability
    }
}

impl<'a> Comparison<'a> {
    pub(super) fn new(runs: &'a MatchedRuns, first: usize, second: usize) -> Self {
        let (mut counts, mut top5, mut changes) = (GroupCounts::default(), Some(PairedCounts::default()), Vec::new());
        for image in 0..runs.images() {
            let (one, another) = (runs.image(first, image), runs.image(second, image));
            let change = pair(runs, first, second, image);
            counts.add(&change);
            if let Some(label) = change.label {
                match (one.is_in_top5(label), another.is_in_top5(label)) {
                    (Some(one), Some(another)) => top5.iter_mut().for_each(|top5| top5.add(one, another)),
                    _ => top5 = None,
                }
            }
            if change.first.class != change.second.class {
                changes.push(change);
            }
        }
        // The sort keeps the order of equals.
        changes.sort_by(|a: &Change, b: &Change| b.confidence().total_cmp(&a.confidence()));
        Self { runs, first, second, counts, top5: top5.filter(|top5| top5.images() > 0), changes }
    }

    /// The images whose most probable class is the same.
    pub fn agreement(&self) -> Proportion {
        Proportion::new(self.counts.same, self.counts.images)
    }

    /// Labeled images by whether the most probable class is right.
    pub fn top1(&self) -> PairedCounts {
        self.counts.top1
    }

    /// Labeled images by whether their class is among the five most probable; none unless both files say so of all.
    pub fn top5(&self) -> Option<PairedCounts> {
        self.top5
    }

    /// The images whose most probable class differs, those first of which both runs are surest.
    pub fn changes(&self) -> &[Change<'a>] {
        &self.changes
    }

    /// The changes with this verdict, in the same order.
    pub fn changes_with(&self, verdict: Verdict) -> impl Iterator<Item = &Change<'a>> {
        self.changes.iter().filter(move |change| change.verdict() == verdict)
    }

    /// Labeled images by their class: those first whose accuracy differs most, by the number of images; of equals,
    /// those with more flips.
    pub fn by_class(&self) -> Vec<ClassGroup> {
        groups::by_class(self.pairs())
    }

    /// Images of known size by their short side in pixels.
    pub fn by_short_side(&self) -> Vec<RangeGroup> {
        let short_side = |(width, height): (u32, u32)| f64::from(width.min(height));
        groups::by_range(self.pairs(), &groups::SHORT_SIDES, short_side)
    }

    /// Images of known size by width over height.
    pub fn by_aspect_ratio(&self) -> Vec<RangeGroup> {
        let aspect_ratio = |(width, height): (u32, u32)| f64::from(width) / f64::from(height);
        groups::by_range(self.pairs(), &groups::ASPECT_RATIOS, aspect_ratio)
    }

    /// How many images have another size in the second run's file than in the first's, as where only one of them turned
    /// photographs upright.
    pub fn resized(&self) -> usize {
        let sizes = |image| (self.runs.image(self.first, image).size(), self.runs.image(self.second, image).size());
        let differ = |image: &usize| matches!(sizes(*image), (Some(first), Some(second)) if first != second);
        (0..self.runs.images()).filter(differ).count()
    }

    /// All images with what both runs say, changed or not.
    fn pairs(&self) -> impl Iterator<Item = Change<'a>> {
        let (runs, first, second) = (self.runs, self.first, self.second);
        (0..runs.images()).map(move |image| pair(runs, first, second, image))
    }
}

fn pair(runs: &MatchedRuns, first: usize, second: usize, image: usize) -> Change<'_> {
    Change {
        name: runs.image(0, image).name(),
        label: runs.label(image),
        size: runs.size(image),
        first: runs.image(first, image).best(),
        second: runs.image(second, image).best(),
    }
}
