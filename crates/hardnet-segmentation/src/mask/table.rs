//! From the numbers in files to classes.

use super::{IGNORED, MAX_CLASSES};

/// The class of each number in the files of a data set, [`IGNORED`], or nothing for numbers that are errors.
#[derive(Clone, PartialEq, Eq)]
pub struct LabelTable([Option<u8>; 256]);

impl LabelTable {
    /// A table without numbers.
    pub fn empty() -> Self {
        Self([None; 256])
    }

    /// The numbers 0 to `classes - 1` are classes, 255 is ignored.
    pub fn indices(classes: usize) -> Self {
        let mut table = Self::empty();
        (0..classes.min(MAX_CLASSES) as u8).for_each(|class| table.set(class, class));
        table.set(IGNORED, IGNORED);
        table
    }

    /// Ignores `labels` too, whatever they were.
    pub fn ignoring(mut self, labels: impl IntoIterator<Item = u8>) -> Self {
        labels.into_iter().for_each(|label| self.set(label, IGNORED));
        self
    }

    /// Ignores all numbers that are not in the table.
    pub fn ignoring_others(mut self) -> Self {
        self.0.iter_mut().for_each(|class| *class = class.or(Some(IGNORED)));
        self
    }

    /// Lets `label` be `class`.
    pub fn set(&mut self, label: u8, class: u8) {
        self.0[usize::from(label)] = Some(class);
    }

    /// The class of `label`, [`IGNORED`], or nothing if it is not in the table.
    pub fn get(&self, label: u8) -> Option<u8> {
        self.0[usize::from(label)]
    }

    /// The numbers that are classes, as an interval for messages.
    pub(super) fn expected(&self) -> String {
        let known: Vec<_> =
            (0..=255u8).filter(|&label| self.get(label).is_some_and(|class| class != IGNORED)).collect();
        match (known.first(), known.last()) {
            (Some(first), Some(last)) if first == last => format!("{first}"),
            (Some(first), Some(last)) => format!("{first} to {last}"),
            _ => "no number".into(),
        }
    }
}

impl std::fmt::Debug for LabelTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let entries = (0..=255u8).filter_map(|label| Some((label, self.get(label)?)));
        f.debug_map().entries(entries).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_classes_ignored_or_unknown() {
        let table = LabelTable::indices(3).ignoring([1, 9]);
        assert_eq!(
            [0, 1, 2, 3, 9, 255].map(|label| table.get(label)),
            [Some(0), Some(IGNORED), Some(2), None, Some(IGNORED), Some(IGNORED)]
        );
        assert_eq!(table.clone().ignoring_others().get(3), Some(IGNORED));
        assert_eq!((table.expected(), LabelTable::indices(1).expected()), ("0 to 2".into(), "0".into()));
        // Class 255 would be the ignored one.
        assert_eq!(LabelTable::indices(1000).get(254), Some(254));
    }
}
