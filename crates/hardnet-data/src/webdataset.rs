//! Data sets in many tar files, as the library webdataset writes them: read from front to back, and not indexed.
//!
//! In each tar file, files of one key follow each other: `n01440764_10026.jpg`, then `n01440764_10026.cls` with the
//! index of the class. The key is the name up to the first dot behind the last `/`. Memory does not grow with the
//! number of files, of tar files or of images.

mod group;
mod pattern;

use std::collections::VecDeque;
use std::ops::Range;
use std::path::{Path, PathBuf};

pub use group::{KeyError, KeyFault};
pub use pattern::{MAX_TARS, PatternError, expand_braces};

use crate::archive::{ArchiveCursor, CursorEntry};
use crate::{ArchiveError, Sample};
use group::Group;

/// Tar files of images with classes.
///
/// ```no_run
/// use hardnet_data::{Shard, TarClasses, WebDataset};
///
/// let dataset = WebDataset::from_pattern("train-{000000..000099}.tar")?;
/// let of_this_process = Shard::new(3, 8)?.range(dataset.tars().len(), 1);
/// for chunk in dataset.read(of_this_process, TarClasses::Below(1000), 512) {
///     let chunk = chunk?;
///     println!("{} images, {} without class or image", chunk.samples.len(), chunk.errors.len());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebDataset {
    tars: Vec<PathBuf>,
}

/// What the `.cls` files of a [`WebDataset`] are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TarClasses {
    /// They are not looked at.
    Ignored,
    /// An image may have one, with any number.
    Optional,
    /// Each image has one, with a number below this one.
    Below(usize),
}

/// Some images of one tar file, in its order.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct TarChunk {
    /// The images, named by their names in the tar file.
    pub samples: Vec<Sample>,
    /// Keys without an image or with several, and those whose class is not as [`TarClasses`] says.
    pub errors: Vec<KeyError>,
}

/// An iterator over the images of tar files, some at a time; it ends after an error.
pub struct TarChunks {
    tars: VecDeque<PathBuf>,
    classes: TarClasses,
    images: usize,
    current: Option<(ArchiveCursor, Group)>,
}

impl WebDataset {
    /// The tar files of a pattern, in its order: `{000..099}` stands for numbers, `{a,b}` for either.
    ///
    /// # Errors
    ///
    /// A [`PatternError`] if braces are not closed, or if there are more than [`MAX_TARS`].
    pub fn from_pattern(pattern: &str) -> Result<Self, PatternError> {
        Ok(Self { tars: expand_braces(pattern)?.into_iter().map(PathBuf::from).collect() })
    }

    /// The tar files.
    pub fn tars(&self) -> &[PathBuf] {
        &self.tars
    }

    /// Reads the images of a range of the tar files, at most `images` at a time, 0 standing for 1. Their labels are
    /// their classes, which have to be as `classes` says.
    ///
    /// A chunk ends at the end of a tar file, so that the chunks of several ranges are those of all.
    ///
    /// # Errors
    ///
    /// The iterator's are those of a tar file that cannot be read, is cut short or is damaged: what is behind that
    /// place cannot be known. What is wrong with one key is in [`TarChunk::errors`].
    ///
    /// # Panics
    ///
    /// If the range is not one of the tar files.
    pub fn read(&self, range: Range<usize>, classes: TarClasses, images: usize) -> TarChunks {
        let tars = self.tars[range].iter().cloned().collect();
        TarChunks { tars, classes, images: images.max(1), current: None }
    }
}

impl TarChunks {
    fn chunk(&mut self) -> Result<Option<TarChunk>, ArchiveError> {
        let mut chunk = TarChunk::default();
        loop {
            let Some((cursor, group)) = &mut self.current else {
                let Some(path) = self.tars.pop_front() else { return Ok(None) };
                self.current = Some((ArchiveCursor::open(&path)?, Group::default()));
                continue;
            };
            let entry = cursor.next_entry()?;
            let Some(CursorEntry { name, file, kind }) = entry else {
                group.end(self.classes, &mut chunk);
                self.current = None;
                if chunk.is_empty() {
                    continue;
                }
                return Ok(Some(chunk));
            };
            group.add(cursor.path(), &name, file, kind, self.classes, &mut chunk);
            // A tar file may have nothing but errors.
            if chunk.samples.len() >= self.images || chunk.errors.len() >= self.images {
                return Ok(Some(chunk));
            }
        }
    }
}

impl TarChunk {
    fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.errors.is_empty()
    }
}

impl Iterator for TarChunks {
    type Item = Result<TarChunk, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        let chunk = self.chunk();
        if chunk.is_err() {
            self.tars.clear();
            self.current = None;
        }
        chunk.transpose()
    }
}

/// The key of a file and its extension, in lower case; `None` if it has none, or a name that begins with a dot.
fn key(name: &str) -> Option<(&str, String)> {
    let file = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = file + name[file..].find('.').filter(|dot| *dot > 0)?;
    Some((&name[..dot], name[dot + 1..].to_ascii_lowercase()))
}

/// The path of a file in a tar file, for messages.
fn path_in(tar: &Path, name: &str) -> PathBuf {
    tar.join(name)
}
