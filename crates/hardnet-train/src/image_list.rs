//! The list of images that a run stores, so that it resumes with the same ones.

use hardnet_base::{excerpt, sha256};
use hardnet_data::Sample;
use hardnet_segmentation::Item;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::evaluate::label;
use crate::folder::{RunFile, RunFolder};

/// Number and digest of a list of images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImageListDigest {
    /// Number of images.
    pub count: usize,
    /// SHA-256 of the file that lists them.
    pub sha256: String,
}

/// Digests of a run's lists of images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImageDigests {
    /// Of the training images.
    pub training: ImageListDigest,
    /// Of the validation images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<ImageListDigest>,
}

/// The names and labels of images as text: a line `name label` for each, in their order.
pub(crate) struct ImageList {
    text: String,
    count: usize,
}

impl ImageList {
    /// The list of `samples`.
    ///
    /// # Errors
    ///
    /// [`Error::NoLabel`] for a sample without a label.
    pub(crate) fn new(samples: &[Sample]) -> Result<Self> {
        let mut text = String::new();
        for sample in samples {
            text += &line(sample.name(), label(sample)?);
        }
        Ok(Self { text, count: samples.len() })
    }

    /// The list of images with masks: a line `name`, tab and the mask's file name for each.
    pub(crate) fn with_masks(items: &[Item]) -> Self {
        let mut text = String::new();
        for item in items {
            let mask = item.mask.as_ref().and_then(|(path, _)| path.file_name()).unwrap_or_default();
            text += &format!("{}\t{}\n", one_line(item.image.name()), one_line(&mask.to_string_lossy()));
        }
        Self { text, count: items.len() }
    }

    pub(crate) fn digest(&self) -> ImageListDigest {
        ImageListDigest { count: self.count, sha256: sha256(self.text.as_bytes()) }
    }

    /// Writes the list as `file`.
    pub(crate) fn save(&self, folder: &RunFolder, file: RunFile) -> Result<()> {
        folder.write(file, |out| {
            out.write_all(self.text.as_bytes()).map_err(|error| Error::Params(hardnet_params::Error::Write(error)))
        })
    }

    /// Checks that this is the list with the digest `saved`, whose lines are in `file`.
    ///
    /// # Errors
    ///
    /// [`Error::OtherImages`] with the first difference.
    pub(crate) fn check(&self, saved: &ImageListDigest, folder: &RunFolder, file: RunFile) -> Result<()> {
        if self.digest() == *saved {
            return Ok(());
        }
        let set = if file == RunFile::TrainingImages { "training" } else { "validation" };
        // Without the file, the counts are all that can be compared.
        let lines = std::fs::read_to_string(folder.path(file)).ok();
        let lines = lines.filter(|lines| sha256(lines.as_bytes()) == saved.sha256);
        let difference = lines.and_then(|lines| first_difference(&lines, &self.text));
        Err(Error::OtherImages { set, expected: saved.count, found: self.count, difference })
    }
}

/// The line of an image.
fn line(name: &str, label: u32) -> String {
    format!("{} {label}\n", one_line(name))
}

/// A name without line feeds, which are not those of the list.
fn one_line(name: &str) -> String {
    name.replace('\n', "\\n")
}

/// The first line that is not the same in both lists, as a sentence.
fn first_difference(expected: &str, found: &str) -> Option<String> {
    let (mut expected, mut found) = (expected.lines(), found.lines());
    for number in 1.. {
        let parts = (expected.next(), found.next());
        let quoted = |line: &str| match (line.rsplit_once('\t'), line.rsplit_once(' ')) {
            (Some((name, mask)), _) => format!("`{}` with the mask `{}`", excerpt(name), excerpt(mask)),
            (None, Some((name, label))) => format!("`{}` of class {label}", excerpt(name)),
            (None, None) => format!("`{}`", excerpt(line)),
        };
        return Some(match parts {
            (None, None) => return None,
            (Some(expected), Some(found)) if expected == found => continue,
            (Some(expected), Some(found)) => {
                format!("image {number} is {}, expected {}", quoted(found), quoted(expected))
            }
            (Some(expected), None) => format!("image {number} is missing, expected {}", quoted(expected)),
            (None, Some(found)) => format!("image {number} is {}, expected no more", quoted(found)),
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        let expected = "a/1.png 0\na/2.png 0\nb/1 2.png 1\n";
        for (found, difference) in [
            (expected, None),
            ("a/1.png 0\nb/1 2.png 1\n", Some("image 2 is `b/1 2.png` of class 1, expected `a/2.png` of class 0")),
            ("a/1.png 0\na/2.png 1\n", Some("image 2 is `a/2.png` of class 1, expected `a/2.png` of class 0")),
            ("a/1.png 0\na/2.png 0\n", Some("image 3 is missing, expected `b/1 2.png` of class 1")),
            ("a/1.png\t1.png\n", Some("image 1 is `a/1.png` with the mask `1.png`, expected `a/1.png` of class 0")),
            ("a/1.png 0\na/2.png 0\nb/1 2.png 1\nc 7\n", Some("image 4 is `c` of class 7, expected no more")),
        ] {
            assert_eq!(first_difference(expected, found).as_deref(), difference);
        }
    }

    #[test]
    fn a_name_stays_on_its_line() {
        assert_eq!(line("a\nb 3", 1), "a\\nb 3 1\n");
    }
}
