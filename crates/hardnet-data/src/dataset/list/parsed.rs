//! The samples that a list names, with their lines for error messages.

use std::path::{Path, PathBuf};

use hardnet_base::{TextLines, excerpt};

use super::{BLANKS, kaggle};
use crate::dataset::label_error::QUOTED;
use crate::dataset::labels::WrittenLabel;
use crate::dataset::{DatasetError, MAX_LIST_BYTES, Sample};

/// A label of a list.
#[derive(Debug)]
pub(super) struct ListedLabel {
    pub(super) text: String,
    /// The first line that has it, from 1.
    pub(super) line: usize,
}

/// The samples of a list with their lines.
#[derive(Debug)]
pub(in crate::dataset) struct ParsedList<'a> {
    pub(super) path: &'a Path,
    /// The labels are WordNet ids.
    pub(super) is_kaggle: bool,
    /// All of them below one folder, until they are found elsewhere.
    ///
    /// The label of each is a number of `labels` until it is a class index.
    pub(super) samples: Vec<Sample>,
    /// The line of each sample, from 1.
    pub(super) lines: Vec<u32>,
    /// The labels in the order of their first lines.
    pub(super) labels: Vec<ListedLabel>,
}

impl<'a> ParsedList<'a> {
    pub(super) fn new(path: &'a Path) -> Self {
        Self { path, is_kaggle: false, samples: Vec::new(), lines: Vec::new(), labels: Vec::new() }
    }

    /// The labels as the list writes them, each once.
    pub(in crate::dataset) fn labels(&self) -> Vec<WrittenLabel<'_>> {
        self.labels.iter().map(|label| WrittenLabel { text: &label.text, line: Some(label.line) }).collect()
    }

    /// Gives each sample the class index of its label: that of `indices` at the number of the label.
    pub(in crate::dataset) fn set_classes(&mut self, indices: &[u32]) {
        for sample in &mut self.samples {
            let number = sample.label().expect("samples of a list have a label");
            sample.set_label(indices[number as usize]);
        }
    }

    /// The path of the list.
    pub(in crate::dataset) fn path(&self) -> &'a Path {
        self.path
    }

    /// Whether the labels are WordNet ids.
    pub(in crate::dataset) fn is_kaggle(&self) -> bool {
        self.is_kaggle
    }

    pub(in crate::dataset) fn into_samples(self) -> Vec<Sample> {
        self.samples
    }

    pub(in crate::dataset) fn len(&self) -> usize {
        self.samples.len()
    }

    pub(in crate::dataset) fn samples(&self) -> &[Sample] {
        &self.samples
    }

    pub(in crate::dataset) fn sample_mut(&mut self, number: usize) -> &mut Sample {
        &mut self.samples[number]
    }

    /// The line of sample `number`.
    pub(in crate::dataset) fn line(&self, number: usize) -> u32 {
        self.lines[number]
    }

    /// Looks for the images in folders of their classes if the first is there and not in `root` itself, as those of
    /// Kaggle's `LOC_train_solution.csv` are; says so.
    pub(in crate::dataset) fn move_below_class_folders(&mut self, root: &Path) -> Option<String> {
        let below_class =
            |sample: &Sample| Some(Path::new(kaggle::class_from_name(sample.name())?).join(sample.relative()));
        let first = self.samples.first()?;
        if first.path().exists() || !root.join(below_class(first)?).exists() {
            return None;
        }
        for sample in &mut self.samples {
            if let Some(path) = below_class(sample) {
                sample.move_below(path.to_string_lossy().into_owned());
            }
        }
        Some(format!("the images are in the folders of their classes in `{}`", root.display()))
    }

    /// Whether sample `number` is a file below `root` whose name has a backslash, which is then no separator.
    pub(in crate::dataset) fn has_backslash(&mut self, root: &Path, number: usize) -> bool {
        let sample = &mut self.samples[number];
        let name = sample.name();
        if !name.contains('\\') || !Path::new(name).is_relative() || !root.join(name).is_file() {
            return false;
        }
        sample.move_below(name.to_owned());
        true
    }

    /// A line without blanks around it, fit for a message; empty if it cannot be read again.
    pub(in crate::dataset) fn excerpt(&self, line: u32) -> String {
        let text = || {
            let mut lines = TextLines::open(self.path, MAX_LIST_BYTES).ok()?;
            while let Some((number, text)) = lines.next_line().ok()? {
                if number == line as usize {
                    return Some(excerpt(text.trim_matches(BLANKS)));
                }
            }
            None
        };
        text().unwrap_or_default()
    }

    /// The error of line `line`, whose file line `first` names too.
    pub(in crate::dataset) fn duplicate(&self, first: u32, line: u32) -> DatasetError {
        let (first_line, text) = (first as usize, self.excerpt(line));
        DatasetError::DuplicateName { list: self.path.into(), first_line, line: line as usize, text }
    }

    /// The error of line `line`, which gives the file of line `first` another label.
    pub(in crate::dataset) fn conflict(&self, first: u32, line: u32) -> DatasetError {
        let (first_line, text) = (first as usize, self.excerpt(line));
        DatasetError::ConflictingLabels { list: self.path.into(), first_line, line: line as usize, text }
    }

    /// The error of one or more images that are not in `root`.
    pub(in crate::dataset) fn missing(
        &self,
        root: &Path,
        numbers: &[usize],
        better_root: Option<PathBuf>,
    ) -> DatasetError {
        let quoted = |&number: &usize| (self.lines[number] as usize, excerpt(self.samples[number].name()));
        DatasetError::MissingImages {
            list: self.path.into(),
            root: root.into(),
            count: numbers.len(),
            total: self.len(),
            first: numbers.iter().take(QUOTED).map(quoted).collect(),
            better_root,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::names::FolderNames;
    use super::super::parse::parse;
    use super::*;

    #[test]
    fn lines_are_quoted_as_they_are_now() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let list = folder.path().join("list");
        fs::write(&list, "\u{feff} a.jpg 1\r\n\n\tb.jpg 2 \nc.jpg 3").expect("the list is written");
        let lines = TextLines::open(&list, MAX_LIST_BYTES).expect("a file");
        let entries = parse(&list, lines, &FolderNames::new(folder.path()), false).expect("a good list");
        assert_eq!((entries.len(), entries.line(1), entries.line(2)), (3, 3, 4));
        let quoted = || [1, 3, 4].map(|line| entries.excerpt(line));
        assert_eq!(quoted(), ["a.jpg 1", "b.jpg 2", "c.jpg 3"]);
        fs::write(&list, b"x\n\ny\n\xff").expect("the list is written");
        assert_eq!(quoted(), ["x", "y", ""]);
        fs::write(&list, "x").expect("the list is written");
        assert_eq!(quoted(), ["x", "", ""]);
        fs::remove_file(&list).expect("the list is removed");
        assert_eq!(quoted(), ["", "", ""]);
    }
}
