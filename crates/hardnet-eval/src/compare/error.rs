//! Errors of reading and matching predictions.

use std::io;
use std::path::PathBuf;

use hardnet_base::TextError;

/// Error of a file of predictions.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PredictionsError {
    /// The operating system refuses to read the file.
    #[error("cannot read `{}`", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The file is not a text, or it or a line is too long.
    #[error("`{}` {reason}", .path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: TextError,
    },
    /// A line is not a prediction.
    #[error("`{}`, line {line}: {reason}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The reason.
        reason: LineError,
    },
    /// Two lines are of the same image.
    #[error("`{}`, line {line}: `{name}` is already in line {first}, expected each image once", .path.display())]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// The second line, from 1.
        line: usize,
        /// The first line.
        first: usize,
        /// The image.
        name: String,
    },
    /// There is no prediction in the file.
    #[error("`{}` has no predictions, expected a JSON document for each image", .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file has more images than any data set.
    #[error("`{}` has more than {limit} images", .path.display())]
    TooMany {
        /// The file.
        path: PathBuf,
        /// The most accepted.
        limit: usize,
    },
}

/// The fault of a line of predictions.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// It is not JSON, or a value has another type.
    #[error("{}{message}", place(*.column))]
    Json {
        /// The column in bytes, from 1; 0 if it is not known.
        column: usize,
        /// The parser's message.
        message: String,
    },
    /// There is no predicted class.
    #[error("`top` is empty, expected the most probable classes")]
    NoClass,
    /// A class index is larger than that of any network.
    #[error("class {found}, expected a class below {limit}")]
    Class {
        /// The class.
        found: usize,
        /// The first index that is not accepted.
        limit: usize,
    },
    /// A probability is not between 0 and 1.
    #[error("probability {0}, expected a number from 0 to 1")]
    Probability(f32),
    /// `correct` contradicts the label and the most probable class.
    #[error("`correct` is {found}, but the label is {label} and the most probable class is {predicted}")]
    Contradiction {
        /// The field.
        found: bool,
        /// The label.
        label: usize,
        /// The most probable class.
        predicted: usize,
    },
}

/// Error of runs that do not match.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MatchError {
    /// There are fewer than two runs.
    #[error("{0} runs, expected two or more")]
    TooFew(usize),
    /// Two files are of different images.
    #[error(
        "`{}` and `{}` are of different images: {}",
        .reference.display(), .other.display(), differences(.only_reference, .only_other)
    )]
    DifferentImages {
        /// The first file.
        reference: PathBuf,
        /// The file that differs from it.
        other: PathBuf,
        /// How many images only the first file has, and the first of them.
        only_reference: (usize, Option<String>),
        /// How many images only the other file has, and the first of them.
        only_other: (usize, Option<String>),
        /// How many images both have.
        common: usize,
    },
    /// No image is in all files.
    #[error(
        "no image is in all {runs} files: `{}` begins with `{first}`, `{}` with `{second}`",
        .reference.display(), .other.display()
    )]
    NothingInCommon {
        /// The number of files.
        runs: usize,
        /// The first file.
        reference: PathBuf,
        /// Its first image.
        first: String,
        /// A file that has none of its images, or the last.
        other: PathBuf,
        /// Its first image.
        second: String,
    },
    /// Two files give an image different labels.
    #[error(
        "`{name}` has label {first} in `{}` and {second} in `{}`{}", .reference.display(), .other.display(), others(*.count)
    )]
    DifferentLabels {
        /// The first such image.
        name: String,
        /// How many there are.
        count: usize,
        /// A file.
        reference: PathBuf,
        /// The label in it.
        first: usize,
        /// Another file.
        other: PathBuf,
        /// The label in it.
        second: usize,
    },
}

fn place(column: usize) -> String {
    if column == 0 { String::new() } else { format!("column {column}: ") }
}

fn differences(only_reference: &(usize, Option<String>), only_other: &(usize, Option<String>)) -> String {
    let side = |(count, name): &(usize, Option<String>), place: &str| {
        let name = name.as_ref()?;
        Some(match count {
            1 => format!("`{name}` is only in the {place}"),
            _ => format!("{count} are only in the {place}, the first is `{name}`"),
        })
    };
    let sides = [side(only_reference, "first"), side(only_other, "second")];
    sides.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn others(count: usize) -> String {
    match count {
        0 | 1 => String::new(),
        2 => ", and another image differs too".into(),
        _ => format!(", and {} more images differ", count - 1),
    }
}
