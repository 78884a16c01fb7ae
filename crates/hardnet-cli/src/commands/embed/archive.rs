//! `.npz` files: rows with their names and, where they are known, labels and classes.

use std::io::{self, Seek, Write};

use hardnet_base::npy::{ElementType, NpzWriter};

/// An archive of arrays, in the order of the methods. Names of the arrays are API.
pub(crate) struct Archive<W> {
    writer: NpzWriter<W>,
    rows: usize,
}

impl<W: Write + Seek> Archive<W> {
    /// An archive of so many rows.
    pub(crate) fn new(out: W, rows: usize) -> Self {
        Self { writer: NpzWriter::new(out), rows }
    }

    /// Adds the rows of `shape`, whose values `write` gives.
    pub(crate) fn embeddings(
        &mut self,
        shape: &[usize],
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        self.writer.array("embeddings", ElementType::F32, &[&[self.rows], shape].concat(), write)
    }

    /// Adds the names of the rows, of at most `characters` characters.
    pub(crate) fn names(
        &mut self,
        characters: usize,
        write: impl FnOnce(&mut dyn FnMut(&str) -> io::Result<()>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.writer.text_array("names", (self.rows, characters), write)
    }

    /// Adds the labels of the rows, each an `i64` in little-endian order.
    pub(crate) fn labels(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        self.writer.array("labels", ElementType::I64, &[self.rows], write)
    }

    /// Adds the names of the classes.
    pub(crate) fn classes(&mut self, classes: &[String]) -> io::Result<()> {
        self.writer.texts("classes", classes.iter().map(String::as_str))
    }

    /// Completes the archive.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.writer.finish().map(drop)
    }
}
