//! The confusion matrix.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::tally::Proportion;

/// A confusion matrix: images by their class and by the class that was found most probable.
///
/// Only what occurred takes memory: of a thousand classes most pairs are never confused. With serde, it is a list of
/// label, prediction and images of each pair that occurred.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<[usize; 3]>", from = "Vec<[usize; 3]>")]
pub struct Confusion {
    cells: BTreeMap<(usize, usize), usize>,
}

/// Images of one class that were found to be of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfusionCell {
    /// Their class.
    pub label: usize,
    /// The class that was found most probable.
    pub predicted: usize,
    /// How many they are, at least 1.
    pub images: usize,
}

/// How the images of one class were classified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassScore {
    /// The class.
    pub class: usize,
    /// Its images that were found to be of it, of its images.
    pub top1: Proportion,
    /// Images of any class that were found to be of it.
    pub predicted: usize,
    /// The class that most of its other images were found to be of, of equals the first.
    pub mistaken_for: Option<ConfusionCell>,
}

impl Confusion {
    /// Counts an image of class `label` that was found to be of class `predicted`.
    pub fn add(&mut self, label: usize, predicted: usize) {
        *self.cells.entry((label, predicted)).or_default() += 1;
    }

    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        other.cells.iter().for_each(|(&cell, &images)| *self.cells.entry(cell).or_default() += images);
    }

    /// Images of class `label` that were found to be of class `predicted`.
    pub fn count(&self, label: usize, predicted: usize) -> usize {
        self.cells.get(&(label, predicted)).copied().unwrap_or(0)
    }

    /// The pairs of label and prediction that occurred, ascending by label, then by prediction.
    pub fn cells(&self) -> impl Iterator<Item = ConfusionCell> + '_ {
        self.cells.iter().map(|(&(label, predicted), &images)| ConfusionCell { label, predicted, images })
    }

    /// The classes that have images, ascending.
    pub fn by_class(&self) -> Vec<ClassScore> {
        let mut predicted = BTreeMap::<usize, usize>::new();
        self.cells().for_each(|cell| *predicted.entry(cell.predicted).or_default() += cell.images);
        let mut classes = Vec::<ClassScore>::new();
        for cell in self.cells() {
            if classes.last().is_none_or(|last| last.class != cell.label) {
                let predicted = predicted.get(&cell.label).copied().unwrap_or(0);
                let top1 = Proportion::default();
                classes.push(ClassScore { class: cell.label, top1, predicted, mistaken_for: None });
            }
            let Some(class) = classes.last_mut() else { continue };
            class.top1.total += cell.images;
            if cell.predicted == cell.label {
                class.top1.correct = cell.images;
            } else if class.mistaken_for.is_none_or(|most| most.images < cell.images) {
                class.mistaken_for = Some(cell);
            }
        }
        classes
    }

    /// The `most` pairs of different classes with the most images, the most first; of equals the lower label, then the
    /// lower prediction.
    pub fn most_confused(&self, most: usize) -> Vec<ConfusionCell> {
        let mut pairs: Vec<_> = self.cells().filter(|cell| cell.label != cell.predicted).collect();
        pairs.sort_by_key(|cell| std::cmp::Reverse(cell.images));
        pairs.truncate(most);
        pairs
    }
}

impl From<Confusion> for Vec<[usize; 3]> {
    fn from(confusion: Confusion) -> Self {
        confusion.cells().map(|cell| [cell.label, cell.predicted, cell.images]).collect()
    }
}

/// Pairs without images are none.
impl From<Vec<[usize; 3]>> for Confusion {
    fn from(cells: Vec<[usize; 3]>) -> Self {
        let mut confusion = Self::default();
        for [label, predicted, images] in cells.into_iter().filter(|cell| cell[2] > 0) {
            let cell = confusion.cells.entry((label, predicted)).or_default();
            *cell = cell.saturating_add(images);
        }
        confusion
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confusion() -> Confusion {
        let mut confusion = Confusion::default();
        let cells = [(0, 0, 5), (0, 2, 2), (0, 9, 2), (2, 0, 3), (7, 7, 1), (7, 2, 1), (7, 0, 2)];
        for (label, predicted, images) in cells {
            (0..images).for_each(|_| confusion.add(label, predicted));
        }
        confusion
    }

    #[test]
    fn classes_are_rows_of_the_matrix() {
        let found = confusion().by_class();
        let numbers: Vec<_> = found.iter().map(|c| (c.class, c.top1.correct, c.top1.total, c.predicted)).collect();
        assert_eq!(numbers, [(0, 5, 9, 10), (2, 0, 3, 3), (7, 1, 4, 1)]);
        let mistaken: Vec<_> = found.iter().map(|c| c.mistaken_for.map(|m| (m.predicted, m.images))).collect();
        assert_eq!(mistaken, [Some((2, 2)), Some((0, 3)), Some((0, 2))]);
    }

    #[test]
    fn pairs_are_sorted_and_without_the_diagonal() {
        let pairs: Vec<_> = confusion().most_confused(4).iter().map(|c| (c.label, c.predicted, c.images)).collect();
        assert_eq!(pairs, [(2, 0, 3), (0, 2, 2), (0, 9, 2), (7, 0, 2)]);
        assert_eq!(Confusion::default().most_confused(4), []);
        assert_eq!(confusion().cells().map(|cell| cell.images).sum::<usize>(), 16);
    }
}
