//! The images that have a row: their names and labels, by the journal of the run, which may be longer than memory.

use std::io::{self, BufWriter, Seek, Write};

use super::archive::Archive;
use super::images::Images;
use super::partial::Partial;

/// The label in an array of an image that has none, where others have one.
pub(crate) const NO_LABEL: i64 = -1;

/// The numbers that the headers of the output files need: rows, name length, classes.
pub(super) struct Rows<'a> {
    count: usize,
    /// Characters of the longest name.
    characters: usize,
    labeled: bool,
    /// Names of the classes in the order of their labels.
    classes: Option<&'a [String]>,
}

impl<'a> Rows<'a> {
    /// Those of a complete run. Of tar files, which have no `images`, labels are written if an image has one.
    pub(super) fn of(partial: &Partial, images: Option<&'a Images>) -> io::Result<Self> {
        let (mut count, mut characters, mut labeled) = (0, 0, false);
        for record in partial.records()? {
            let record = record?;
            count += 1;
            characters = characters.max(record.file.chars().count());
            labeled |= record.label.is_some();
        }
        let labeled = images.map_or(labeled, Images::are_labeled);
        Ok(Self { count, characters, labeled, classes: images.and_then(Images::classes) })
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether labels are written.
    pub(super) fn are_labeled(&self) -> bool {
        self.labeled
    }

    /// The names of the classes, if they have names.
    pub(super) fn classes(&self) -> Option<&[String]> {
        self.classes
    }

    /// Gives the name of each row to `add`.
    pub(super) fn names(partial: &Partial, mut add: impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
        partial.records()?.try_for_each(|record| add(&record?.file))
    }

    /// Writes the label of each row.
    pub(super) fn labels(partial: &Partial, out: &mut dyn Write) -> io::Result<()> {
        let mut out = BufWriter::new(out);
        for record in partial.records()? {
            out.write_all(&record?.label.map_or(NO_LABEL, i64::from).to_le_bytes())?;
        }
        out.flush()
    }

    /// Writes an archive of arrays. Rows of `shape` begin at a byte of `partial`.
    pub(super) fn write_archive(
        &self,
        out: impl Write + Seek,
        partial: &mut Partial,
        (begin, shape): (u64, &[usize]),
    ) -> io::Result<()> {
        let mut archive = Archive::new(out, self.count);
        archive.embeddings(shape, |out| io::copy(&mut partial.read_from(begin)?, out).map(drop))?;
        archive.names(self.characters, |add| Self::names(partial, add))?;
        if self.labeled {
            archive.labels(|out| Self::labels(partial, out))?;
        }
        if let Some(classes) = self.classes {
            archive.classes(classes)?;
        }
        archive.finish()
    }
}
