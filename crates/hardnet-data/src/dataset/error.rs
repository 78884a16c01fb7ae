//! Error of data sets.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::IdxError;
use crate::{ArchiveError, FileKind};

/// Error of making a data set of a list, class folders, an archive or paths.
///
/// All of these are found before any image is opened. Lines count from 1. `text` fields hold the line or field in
/// question, shortened to 80 characters and with control characters escaped, fit for a terminal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The operating system refuses to read a list, folder or image.
    #[error("cannot read `{}`", .path.display())]
    Io {
        /// The list, folder or image.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The list is a folder or a special file.
    #[error("the list `{}` is {kind}, expected a text file with one `name label` per line", .list.display())]
    ListNotAFile {
        /// The list.
        list: PathBuf,
        /// The kind of file found.
        kind: FileKind,
    },
    /// The list is longer than [`MAX_LIST_BYTES`](super::MAX_LIST_BYTES).
    #[error("the list `{}` has {bytes} bytes, expected at most {limit}; is it a list?", .list.display())]
    ListTooLarge {
        /// The list.
        list: PathBuf,
        /// Its size, or a lower bound of it.
        bytes: u64,
        /// The largest size accepted.
        limit: u64,
    },
    /// The list is not UTF-8.
    #[error("`{}`, line {line}: not UTF-8; save the list as UTF-8 text", .list.display())]
    ListNotUtf8 {
        /// The list.
        list: PathBuf,
        /// The line with the first wrong byte.
        line: usize,
    },
    /// A carriage return that is not part of a line end.
    #[error(
        "`{}`, line {line}: a carriage return without a line feed in `{text}`; \
         save the list with line ends LF or CRLF", .list.display()
    )]
    LoneCarriageReturn {
        /// The list.
        list: PathBuf,
        /// The line, ended by line feeds.
        line: usize,
        /// The line's text.
        text: String,
    },
    /// The list has no entry.
    #[error("the list `{}` is empty, expected one `name label` per line", .list.display())]
    ListEmpty {
        /// The list.
        list: PathBuf,
    },
    /// A line of one field.
    #[error(
        "`{}`, line {line}: no label in `{text}`, expected `name label` with a blank or tab between", .list.display()
    )]
    MissingLabel {
        /// The list.
        list: PathBuf,
        /// The line.
        line: usize,
        /// The line's text.
        text: String,
    },
    /// The last field of a line is not a decimal number.
    #[error(
        "`{}`, line {line}: the label `{label}` in `{text}` is not a class index, \
         expected a decimal number as the last field", .list.display()
    )]
    LabelNotANumber {
        /// The list.
        list: PathBuf,
        /// The line.
        line: usize,
        /// The last field.
        label: String,
        /// The line's text.
        text: String,
    },
    /// A label is not a class index.
    ///
    /// Subtracting one mends lists that number the classes of their sorted folders from 1. It does not mend the
    /// `ILSVRC2012_ID` of ImageNet's development kit, whose order is another.
    #[error(
        "`{}`, line {line}: the label of `{text}` is outside 0..{classes}{}",
        .list.display(), one_based_remedy(*.one_based)
    )]
    LabelOutOfRange {
        /// The list.
        list: PathBuf,
        /// The line.
        line: usize,
        /// The line's text.
        text: String,
        /// How many classes there are.
        classes: usize,
        /// The labels lie in 1..=classes and reach `classes`.
        one_based: bool,
    },
    /// A line that is neither an entry of a list nor a row of Kaggle's solution file, or of another kind than the
    /// first.
    #[error(
        "`{}`, line {line}: labels of an unknown kind or of several in `{text}`, \
         expected lines like `ILSVRC2012_val_00000001.JPEG 65` \
         or, below `ImageId,PredictionString`, all like `ILSVRC2012_val_00000001,n01751748 111 108 441 343`",
        .list.display()
    )]
    UnknownLabels {
        /// The list.
        list: PathBuf,
        /// The line.
        line: usize,
        /// The line's text.
        text: String,
    },
    /// A row of Kaggle's solution file whose boxes are not a WordNet id and four numbers each.
    #[error(
        "`{}`, line {line}: malformed boxes in `{text}`, expected an image and boxes of five fields: \
         `ILSVRC2012_val_00000001,n01751748 111 108 441 343`", .list.display()
    )]
    MalformedBoxes {
        /// The list.
        list: PathBuf,
        /// The line.
        line: usize,
        /// The line's text.
        text: String,
    },
    /// A row of Kaggle's solution file with boxes of several classes.
    #[error("`{}`, line {line}: boxes of the classes `{first}` and `{second}`, expected one class", .list.display())]
    SeveralClasses {
        /// The list.
        list: PathBuf,
        /// The line.
        line: usize,
        /// The class of the first box.
        first: String,
        /// Another class.
        second: String,
    },
    /// A WordNet id that is not among ImageNet's thousand.
    #[error(
        "`{}`, line {line}: the WordNet id `{id}` is not a class of ImageNet, expected one such as `n01440764`",
        .list.display()
    )]
    UnknownWordNetId {
        /// The list.
        list: PathBuf,
        /// The line.
        line: usize,
        /// The id.
        id: String,
    },
    /// Labels by WordNet ids for a model with other classes than ImageNet's.
    #[error(
        "`{}` names ImageNet's {known} classes by WordNet ids, the model knows {classes} classes; \
         use a list with one `name label` per line", .list.display()
    )]
    WordNetClasses {
        /// The list.
        list: PathBuf,
        /// How many classes the model knows.
        classes: usize,
        /// How many ImageNet has.
        known: usize,
    },
    /// A listed name could be either of two entries of the archive.
    #[error(
        "`{}`, line {line}: `{text}` is both `{first}` and `{second}` in the archive; write the folder in the list",
        .list.display()
    )]
    AmbiguousName {
        /// The list.
        list: PathBuf,
        /// The line.
        line: usize,
        /// The line's text.
        text: String,
        /// One entry.
        first: String,
        /// Another entry.
        second: String,
    },
    /// The archive that holds the images cannot be used.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A name that could lead out of the root folder.
    #[error(
        "`{}`, line {line}: the name in `{text}` is absolute or contains `..`, \
         expected a path below the image folder", .list.display()
    )]
    UnsafeName {
        /// The list.
        list: PathBuf,
        /// The line.
        line: usize,
        /// The line's text.
        text: String,
    },
    /// Two lines name one file.
    #[error("`{}`, line {line}: `{text}` names the file of line {first_line} again; remove one", .list.display())]
    DuplicateName {
        /// The list.
        list: PathBuf,
        /// The line that named the file first.
        first_line: usize,
        /// The line that names it again.
        line: usize,
        /// The text of the later line.
        text: String,
    },
    /// A listed name is a folder or a special file.
    #[error("`{}`, line {line}: `{}` is {kind}, expected an image file", .list.display(), .path.display())]
    ImageNotAFile {
        /// The list.
        list: PathBuf,
        /// The line.
        line: usize,
        /// The path the name stands for.
        path: PathBuf,
        /// The kind of file found.
        kind: FileKind,
    },
    /// Listed images do not exist.
    #[error(
        "{count} of the {total} images in `{}` are not in `{}`: {}{}",
        .list.display(), .root.display(), missing_lines(.first, *.count), better_root_remedy(.better_root.as_ref())
    )]
    MissingImages {
        /// The list.
        list: PathBuf,
        /// The folder looked in.
        root: PathBuf,
        /// How many are missing.
        count: usize,
        /// How many the list names.
        total: usize,
        /// The first few of them: line and name.
        first: Vec<(usize, String)>,
        /// A folder nearby that has the first missing image.
        better_root: Option<PathBuf>,
    },
    /// More samples or folders than [`MAX_SAMPLES`](super::MAX_SAMPLES).
    #[error("`{}` holds more than {limit} images or folders", .path.display())]
    TooManySamples {
        /// The list or folder.
        path: PathBuf,
        /// The largest number accepted.
        limit: usize,
    },
    /// An IDX file cannot be used.
    #[error("`{}`", .path.display())]
    Idx {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: IdxError,
    },
    /// The name of an IDX file of images does not tell that of its labels.
    #[error(
        "`{}` has no `images` in its name, expected one such as `train-images-idx3-ubyte.gz`, whose labels are in \
         `train-labels-idx1-ubyte.gz`", .images.display()
    )]
    IdxName {
        /// The file of images.
        images: PathBuf,
    },
    /// No labels lie beside an IDX file of images.
    #[error("the labels of `{}` are missing, expected them in `{}`", .images.display(), .expected.display())]
    IdxNoLabels {
        /// The file of images.
        images: PathBuf,
        /// Where they were expected.
        expected: PathBuf,
    },
    /// IDX files of images and labels that do not belong together.
    #[error(
        "`{}` has {image_count} images and `{}` {label_count} labels, expected one for each",
        .images.display(), .labels.display()
    )]
    IdxCounts {
        /// The file of images.
        images: PathBuf,
        /// The file of labels.
        labels: PathBuf,
        /// Images.
        image_count: usize,
        /// Labels.
        label_count: usize,
    },
    /// A label in an IDX file is not a class index.
    #[error("`{}`: label {index} is {label}, outside 0..{classes}", .labels.display())]
    IdxLabel {
        /// The file of labels.
        labels: PathBuf,
        /// Which label, from 0.
        index: usize,
        /// Its value.
        label: u8,
        /// How many classes there are.
        classes: usize,
    },
    /// The image folder does not exist.
    #[error("the image folder `{}` does not exist", .root.display())]
    RootMissing {
        /// The folder.
        root: PathBuf,
    },
    /// The image folder is a file, but not a tar archive.
    #[error("`{}` is neither a folder nor a tar archive, expected the one that holds the images", .root.display())]
    RootNotAFolder {
        /// The path.
        root: PathBuf,
    },
    /// The root of class folders holds images but no folders.
    #[error(
        "`{}` holds {count} images but no class folders, expected one folder of images per class", .root.display()
    )]
    UnsortedImages {
        /// The root folder.
        root: PathBuf,
        /// How many images it holds.
        count: usize,
    },
    /// The root of class folders holds neither folders nor images.
    #[error("`{}` holds no class folders, expected one folder of images per class", .root.display())]
    NoClassFolders {
        /// The root folder.
        root: PathBuf,
    },
    /// A folder without an image anywhere below it.
    #[error(
        "no image below `{}`, expected files ending in {}", folder.display(), super::IMAGE_EXTENSIONS.join(", ")
    )]
    NoImages {
        /// The folder.
        folder: PathBuf,
    },
    /// The number of class folders is not the number of classes.
    #[error(
        "`{}` holds {found} class folders, the model knows {classes} classes: {}",
        .root.display(), quoted(.first, *.found)
    )]
    ClassCount {
        /// The root folder.
        root: PathBuf,
        /// How many class folders it holds.
        found: usize,
        /// How many classes there are.
        classes: usize,
        /// The first few folders.
        first: Vec<String>,
    },
    /// Folders named like WordNet ids that are not among ImageNet's thousand, or not like WordNet ids between others
    /// that are.
    #[error(
        "{count} of the {found} class folders of `{}` are not ImageNet classes: {}; \
         expected WordNet ids such as `n01440764`, move other folders elsewhere", .root.display(), quoted(.first, *.count)
    )]
    UnknownClasses {
        /// The root folder.
        root: PathBuf,
        /// How many are unknown.
        count: usize,
        /// How many class folders there are.
        found: usize,
        /// The first few unknown ones.
        first: Vec<String>,
    },
    /// Class folders named by numbers, one of which is not a class index.
    #[error(
        "the class folder `{folder}` of `{}` is outside 0..{classes}{}",
        .root.display(), one_based_remedy(*.one_based)
    )]
    FolderOutOfRange {
        /// The root folder.
        root: PathBuf,
        /// The name of the folder.
        folder: String,
        /// How many classes there are.
        classes: usize,
        /// The names lie in 1..=classes and reach `classes`.
        one_based: bool,
    },
    /// Two class folders are named by the same number.
    #[error("the class folders `{first}` and `{second}` of `{}` stand for the same number; merge them", .root.display())]
    SameNumber {
        /// The root folder.
        root: PathBuf,
        /// One folder.
        first: String,
        /// The other.
        second: String,
    },
    /// No path was given.
    #[error("no images given, expected files or folders")]
    NoPaths,
    /// A given path does not exist.
    #[error("`{}` does not exist, expected an image or a folder of images", .path.display())]
    PathMissing {
        /// The path.
        path: PathBuf,
    },
    /// A given path is a special file.
    #[error("`{}` is {kind}, expected an image or a folder of images", .path.display())]
    PathNotAFile {
        /// The path.
        path: PathBuf,
        /// The kind of file found.
        kind: FileKind,
    },
}

/// How many names an error quotes; it counts the others.
pub(super) const QUOTED: usize = 5;

fn quoted(first: &[String], count: usize) -> impl fmt::Display {
    let names: Vec<_> = first.iter().map(|name| format!("`{name}`")).collect();
    and_more(names, count)
}

fn missing_lines(first: &[(usize, String)], count: usize) -> impl fmt::Display {
    let names: Vec<_> = first.iter().map(|(line, name)| format!("`{name}` (line {line})")).collect();
    and_more(names, count)
}

fn and_more(names: Vec<String>, count: usize) -> String {
    match count.saturating_sub(names.len()) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

fn one_based_remedy(one_based: bool) -> &'static str {
    if one_based { "; the classes look numbered from 1, expected numbers from 0: subtract one" } else { "" }
}

fn better_root_remedy(root: Option<&PathBuf>) -> String {
    root.map_or_else(String::new, |root| format!("; use `{}` as the image folder", root.display()))
}
