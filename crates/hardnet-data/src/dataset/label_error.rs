//! Error of labels that cannot be matched with classes.

use std::fmt;

use hardnet_base::excerpt;

use super::labels::WrittenLabel;

/// How many names an error quotes; it counts the others.
pub(super) const QUOTED: usize = 5;

/// Error of the labels of a set, which are all read by one rule.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LabelError {
    /// Labels that are not a class.
    #[error("{count} of the {total} labels fit no class: {}; {expected}", and_more(.first, *.count))]
    NoClass {
        /// How many different labels fit none.
        count: usize,
        /// How many different labels there are.
        total: usize,
        /// The first few of them.
        first: Vec<QuotedLabel>,
        /// The expected labels.
        expected: Expected,
    },
    /// A label is a number, but not a class index.
    #[error("the label {label} is outside 0..{classes}{}", numbering_remark(*.numbering, *.classes, .names))]
    OutOfRange {
        /// The first such label.
        label: QuotedLabel,
        /// How many classes there are.
        classes: usize,
        /// The form of all labels.
        numbering: Numbering,
        /// The first few names of the classes, if they have names.
        names: Vec<String>,
    },
    /// The labels of a list are in range, but those of well-known images are those of another numbering.
    #[error(
        "the label {label} of `{image}` is {numbering}, expected the class index {expected}: classes are numbered from \
         0 in the order of their WordNet ids"
    )]
    WrongNumbering {
        /// The label.
        label: QuotedLabel,
        /// The image.
        image: String,
        /// The numbering that the label follows.
        numbering: Numbering,
        /// The index of the image's class.
        expected: u32,
    },
    /// Labels that should be numbers of the development kit are not.
    #[error("the label {label} is not an ILSVRC2012_ID, expected 1..=1000")]
    NotAKitNumber {
        /// The first such label.
        label: QuotedLabel,
    },
    /// A label is the name of two classes.
    #[error("the label {label} is the name of the classes {first} and {second}")]
    Ambiguous {
        /// The label.
        label: QuotedLabel,
        /// The index of a class.
        first: u32,
        /// The index of another.
        second: u32,
    },
    /// Two class folders stand for one class.
    #[error("the folders `{first}` and `{second}` both stand for class {class}; merge them")]
    SameClass {
        /// One folder.
        first: String,
        /// The other.
        second: String,
        /// The index of the class.
        class: u32,
    },
}

impl LabelError {
    pub(super) fn not_a_kit_number(label: &WrittenLabel) -> Self {
        Self::NotAKitNumber { label: QuotedLabel::of(label) }
    }
}

/// A label in an error: shortened to 80 characters and with control characters escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuotedLabel {
    /// The label.
    pub text: String,
    /// The first line of the list that has it; `None` for a folder.
    pub line: Option<usize>,
}

impl QuotedLabel {
    pub(super) fn of(label: &WrittenLabel) -> Self {
        Self { text: excerpt(label.text), line: label.line }
    }
}

impl fmt::Display for QuotedLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "`{}` (line {line})", self.text),
            None => write!(f, "`{}`", self.text),
        }
    }
}

/// The expected form of labels.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expected {
    /// Names of the network's classes.
    Names {
        /// The first few of them.
        first: Vec<String>,
        /// How many there are.
        count: usize,
    },
    /// Names in the class map.
    Map,
    /// WordNet ids of ImageNet's classes.
    WordNetIds,
    /// Class indices.
    Indices {
        /// How many classes there are.
        classes: usize,
    },
    /// As many labels as there are classes, which have no names.
    Count {
        /// How many classes there are.
        classes: usize,
        /// How many different labels.
        labels: usize,
    },
}

impl Expected {
    pub(super) fn names(names: &[String]) -> Self {
        let first = names.iter().take(QUOTED).map(|name| excerpt(name)).collect();
        Self::Names { first, count: names.len() }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Names { first, count } => write!(f, "the classes are {}", quoted(first, *count)),
            Self::Map => f.write_str("the class map does not have them"),
            Self::WordNetIds => f.write_str("expected WordNet ids of ImageNet's classes, such as `n01440764`"),
            Self::Indices { classes } => write!(f, "expected class indices in 0..{classes}"),
            Self::Count { classes, labels } => write!(
                f,
                "the network has {classes} classes without names, expected indices in 0..{classes} or {classes} \
                 different labels, found {labels}"
            ),
        }
    }
}

/// A way in which classes are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Numbering {
    /// None that is known.
    Unknown,
    /// From 1 to the number of classes.
    FromOne,
    /// From 1 to 1,000 for ImageNet's classes: either of the two below.
    ImageNetFromOne,
    /// `ILSVRC2012_ID` of ImageNet's development kit, whose order is not that of the WordNet ids.
    DevelopmentKit,
    /// ImageNet's classes in the order of their WordNet ids, but from 1.
    WordNetFromOne,
}

impl fmt::Display for Numbering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "of an unknown numbering",
            Self::FromOne => "counted from 1",
            Self::ImageNetFromOne => "a number from 1 to 1000",
            Self::DevelopmentKit => "its ILSVRC2012_ID in ImageNet's development kit",
            Self::WordNetFromOne => "its class counted from 1",
        })
    }
}

fn numbering_remark(numbering: Numbering, classes: usize, names: &[String]) -> String {
    let remark = match numbering {
        Numbering::FromOne => format!(
            "; the labels look counted from 1 to {classes}, expected class names or numbers from 0 to {}",
            classes - 1
        ),
        Numbering::ImageNetFromOne | Numbering::DevelopmentKit => {
            "; labels from 1 to 1000 are most likely ILSVRC2012_ID of ImageNet's development kit, which does not number \
             classes in the order of their WordNet ids, or else that order counted from 1; expected numbers from 0 to 999 \
             in the order of the WordNet ids"
                .into()
        }
        _ => String::new(),
    };
    if names.is_empty() { remark } else { format!("{remark}; the classes are {}", quoted(names, classes)) }
}

/// Names in backticks.
pub(super) fn quoted(first: &[String], count: usize) -> String {
    let names: Vec<_> = first.iter().map(|name| format!("`{name}`")).collect();
    and_more(&names, count)
}

/// The first few of `count` things, and how many more there are.
pub(super) fn and_more<T: fmt::Display>(first: &[T], count: usize) -> String {
    let text: Vec<_> = first.iter().map(ToString::to_string).collect();
    match count.saturating_sub(first.len()) {
        0 => text.join(", "),
        more => format!("{} and {more} more", text.join(", ")),
    }
}
