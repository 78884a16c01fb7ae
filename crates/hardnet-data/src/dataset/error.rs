//! Error of data sets.

use std::io;
use std::path::{Path, PathBuf};

use hardnet_base::TextError;

use super::label_error::{and_more, quoted};
use super::{IdxError, KitError, LabelError};
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
    /// A text file cannot be read as one.
    #[error("`{}`: {reason}", .path.display())]
    Text {
        /// The list, class map or other text.
        path: PathBuf,
        /// The problem.
        reason: TextError,
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
    /// A list of numbers alone, as the ground truth of ImageNet's development kit.
    #[error(
        "`{}`, line {line}: a number without the name of an image, expected `name label`; ImageNet's development kit has \
         such a list, ILSVRC2012_validation_ground_truth.txt, whose numbers are its own: ILSVRC2012_ID, which is not the \
         order of the WordNet ids", .list.display()
    )]
    NumbersOnly {
        /// The list.
        list: PathBuf,
        /// The first line with a number.
        line: usize,
        /// The number.
        text: String,
    },
    /// The labels cannot be matched with classes.
    #[error("`{}`: {reason}", .path.display())]
    Labels {
        /// The list, or the root of the class folders.
        path: PathBuf,
        /// The problem.
        reason: LabelError,
    },
    /// A line of a class map cannot be used.
    #[error("`{}`, line {line}: {reason}", .path.display())]
    ClassMap {
        /// The class map.
        path: PathBuf,
        /// The line.
        line: usize,
        /// The problem.
        reason: String,
    },
    /// A class map of another number of classes than the network's.
    #[error("the class map `{}` has {found} classes, the network has {classes}", .path.display())]
    ClassMapCount {
        /// The class map.
        path: PathBuf,
        /// One more than its largest index, or the number of its names.
        found: usize,
        /// How many classes there are.
        classes: usize,
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
    /// Two lines give one file different labels.
    #[error(
        "`{}`, line {line}: `{text}` names the file of line {first_line} with another label; remove one",
        .list.display()
    )]
    ConflictingLabels {
        /// The list.
        list: PathBuf,
        /// The line that named the file first.
        first_line: usize,
        /// The line that names it again.
        line: usize,
        /// The text of the later line.
        text: String,
    },
    /// Two lines name one file, where each image counts once.
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
    /// ImageNet's development kit cannot be used.
    #[error("`{}` {reason}", .path.display())]
    Kit {
        /// The kit, or the ground truth in place of its own.
        path: PathBuf,
        /// The problem.
        reason: KitError,
    },
    /// Images that the development kit does not label.
    #[error(
        "{count} of the {total} images in `{}` are not validation images of the development kit: {}; expected names such \
         as `ILSVRC2012_val_00000001.JPEG`", .root.display(), quoted(.first, *.count)
    )]
    NotValidationImages {
        /// The folder or archive.
        root: PathBuf,
        /// How many are not.
        count: usize,
        /// How many images there are.
        total: usize,
        /// The first few of them.
        first: Vec<String>,
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
    /// There is no labels file next to an IDX file of images.
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
    /// No path was given.
    #[error("no images given, expected files or folders")]
    NoPaths,
    /// A given path does not exist.
    #[error("`{}` does not exist, expected an image, a folder of images or a tar archive", .path.display())]
    PathMissing {
        /// The path.
        path: PathBuf,
    },
    /// A given path is a special file.
    #[error("`{}` is {kind}, expected an image, a folder of images or a tar archive", .path.display())]
    PathNotAFile {
        /// The path.
        path: PathBuf,
        /// The kind of file found.
        kind: FileKind,
    },
}

impl DatasetError {
    /// The error of the text file `path`.
    pub(super) fn text(path: &Path, reason: TextError) -> Self {
        match reason {
            TextError::Io(source) => Self::Io { path: path.into(), source },
            reason => Self::Text { path: path.into(), reason },
        }
    }
}

fn missing_lines(first: &[(usize, String)], count: usize) -> String {
    let names: Vec<_> = first.iter().map(|(line, name)| format!("`{name}` (line {line})")).collect();
    and_more(&names, count)
}

fn better_root_remedy(root: Option<&PathBuf>) -> String {
    root.map_or_else(String::new, |root| format!("; use `{}` as the image folder", root.display()))
}
