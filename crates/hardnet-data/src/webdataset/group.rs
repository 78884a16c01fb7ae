//! The files of one key.

use std::fmt;
use std::path::{Path, PathBuf};

use hardnet_base::excerpt;

use super::{TarChunk, TarClasses, key, path_in};
use crate::shared_str::SharedStr;
use crate::{ArchivedFile, EntryKind, Sample};

/// Extensions of images.
const IMAGES: [&str; 3] = ["jpg", "jpeg", "png"];

/// Extension of the index of the class.
const CLASS: &str = "cls";

/// The longest content of a class.
const MAX_CLASS_BYTES: u64 = 64;

/// A key of a tar file that is not one image with one class. Other keys are not affected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` {fault}", .path.display())]
#[non_exhaustive]
pub struct KeyError {
    /// The tar file, and below it the key.
    pub path: PathBuf,
    /// Its defect.
    pub fault: KeyFault,
}

/// Defect of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyFault {
    /// A class without an image.
    NoImage,
    /// An image without a class.
    NoClass,
    /// More than one image.
    SeveralImages,
    /// More than one class.
    SeveralClasses,
    /// The class is not a number: its text, shortened to 80 characters.
    NotAClass(String),
    /// The class is not one of so many.
    UnknownClass {
        /// The class.
        class: u64,
        /// The number of classes.
        classes: usize,
    },
    /// The class cannot be read.
    Unreadable(String),
    /// The image is a link or the like.
    NotAFile(EntryKind),
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoImage => f.write_str("has a class, but no image: expected .jpg, .jpeg or .png"),
            Self::NoClass => f.write_str("has an image, but no class: expected .cls"),
            Self::SeveralImages => f.write_str("has several images, expected one"),
            Self::SeveralClasses => f.write_str("has several classes, expected one"),
            Self::NotAClass(text) => write!(f, "has the class `{text}`, expected the index of a class"),
            Self::UnknownClass { class, classes } => write!(f, "has class {class}, expected one below {classes}"),
            Self::Unreadable(cause) => write!(f, "has a class that cannot be read: {cause}"),
            Self::NotAFile(kind) => write!(f, "has an image that is {kind}, expected a regular file"),
        }
    }
}

/// The files of one key so far.
#[derive(Default)]
pub(super) struct Group {
    key: Option<(PathBuf, String)>,
    image: Option<(String, ArchivedFile)>,
    class: Option<Class>,
    /// The first defect.
    fault: Option<KeyFault>,
}

/// The content of a class.
type Class = Result<u64, KeyFault>;

impl Group {
    /// Adds the file `name` of the tar file `tar`, after what is before it if it is of another key.
    pub(super) fn add(
        &mut self,
        tar: &Path,
        name: &str,
        file: ArchivedFile,
        kind: Option<EntryKind>,
        classes: TarClasses,
        chunk: &mut TarChunk,
    ) {
        let Some((key, extension)) = key(name).filter(|_| kind != Some(EntryKind::Folder)) else { return };
        if self.key.as_ref().is_none_or(|(_, known)| known != key) {
            self.end(classes, chunk);
            self.key = Some((path_in(tar, key), key.to_owned()));
        }
        let fault = if IMAGES.contains(&extension.as_str()) {
            match kind {
                Some(kind) => Some(KeyFault::NotAFile(kind)),
                None if self.image.is_some() => Some(KeyFault::SeveralImages),
                None => {
                    self.image = Some((name.to_owned(), file));
                    None
                }
            }
        } else if extension == CLASS && classes != TarClasses::Ignored {
            let is_second = self.class.is_some();
            self.class.get_or_insert_with(|| class(&file, kind));
            is_second.then_some(KeyFault::SeveralClasses)
        } else {
            None
        };
        self.fault = self.fault.take().or(fault);
    }

    /// Adds the sample of this key, or its error, to `chunk`, and forgets it.
    pub(super) fn end(&mut self, classes: TarClasses, chunk: &mut TarChunk) {
        let Self { key, image, class, fault } = std::mem::take(self);
        let Some((path, _)) = key else { return };
        let label = match (classes, class) {
            (TarClasses::Ignored, _) | (TarClasses::Optional, None) => Ok(None),
            (TarClasses::Below(_), None) => Err(KeyFault::NoClass),
            (_, Some(Err(fault))) => Err(fault),
            (TarClasses::Optional, Some(Ok(class))) => label(class, usize::MAX),
            (TarClasses::Below(classes), Some(Ok(class))) => label(class, classes),
        };
        match (fault, image, label) {
            (Some(fault), ..) => chunk.errors.push(KeyError { path, fault }),
            // Neither is there: other files have nothing to do with images.
            (None, None, Err(KeyFault::NoClass)) | (None, None, Ok(None)) => {}
            (None, None, _) => chunk.errors.push(KeyError { path, fault: KeyFault::NoImage }),
            (None, Some(_), Err(fault)) => chunk.errors.push(KeyError { path, fault }),
            (None, Some((name, file)), Ok(label)) => {
                let name = SharedStr::from(name);
                chunk.samples.push(Sample::inside(file, name.clone(), label, name));
            }
        }
    }
}

/// The label of `class`, which is to be below `classes`.
fn label(class: u64, classes: usize) -> Result<Option<u32>, KeyFault> {
    match u32::try_from(class).ok().filter(|label| (*label as usize) < classes) {
        Some(label) => Ok(Some(label)),
        None => Err(KeyFault::UnknownClass { class, classes: classes.min(u32::MAX as usize) }),
    }
}

/// The number in a `.cls` file.
fn class(file: &ArchivedFile, kind: Option<EntryKind>) -> Class {
    if let Some(kind) = kind {
        return Err(KeyFault::Unreadable(format!("it is {kind}")));
    }
    if file.bytes() > MAX_CLASS_BYTES {
        return Err(KeyFault::Unreadable(format!("it has {} bytes", file.bytes())));
    }
    let bytes = file.read().map_err(|error| KeyFault::Unreadable(error.to_string()))?;
    let text = String::from_utf8_lossy(&bytes);
    let digits = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\0');
    let number = digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
    number.ok_or_else(|| KeyFault::NotAClass(excerpt(&text)))
}
