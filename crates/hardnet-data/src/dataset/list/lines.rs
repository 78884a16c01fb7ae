//! The lines of a list, of which one is held at a time.

use std::fs::File;
use std::io::{BufRead, BufReader, Take};
use std::path::Path;

use hardnet_base::{ReadError, open_regular_file};

use crate::dataset::{DatasetError, MAX_LIST_BYTES};

/// Reads the lines of a text in UTF-8, which end in LF or CRLF.
pub(super) struct ListLines<'a, R> {
    path: &'a Path,
    reader: Take<R>,
    limit: u64,
    /// The bytes of the current line.
    line: Vec<u8>,
    /// Its number, from 1.
    number: usize,
}

impl<'a> ListLines<'a, BufReader<File>> {
    pub(super) fn open(list: &'a Path) -> Result<Self, DatasetError> {
        let (file, _) = open_regular_file(list, MAX_LIST_BYTES).map_err(|error| match error {
            ReadError::Io(source) => DatasetError::Io { path: list.into(), source },
            ReadError::NotAFile(kind) => DatasetError::ListNotAFile { list: list.into(), kind },
            ReadError::TooLarge { bytes } => {
                DatasetError::ListTooLarge { list: list.into(), bytes, limit: MAX_LIST_BYTES }
            }
        })?;
        Ok(Self::new(list, BufReader::new(file), MAX_LIST_BYTES))
    }
}

impl<'a, R: BufRead> ListLines<'a, R> {
    /// The lines that `reader` gives of `list`, which may have `limit` bytes.
    pub(super) fn new(list: &'a Path, reader: R, limit: u64) -> Self {
        Self { path: list, reader: reader.take(limit + 1), limit, line: Vec::new(), number: 0 }
    }

    pub(super) fn path(&self) -> &'a Path {
        self.path
    }

    /// The next line with its number from 1, without its end and without a byte order mark; `None` behind the last.
    pub(super) fn next_line(&mut self) -> Result<Option<(usize, &str)>, DatasetError> {
        let list = || self.path.to_path_buf();
        self.line.clear();
        let read = self.reader.read_until(b'\n', &mut self.line);
        let length = read.map_err(|source| DatasetError::Io { path: list(), source })?;
        if self.reader.limit() == 0 {
            return Err(DatasetError::ListTooLarge { list: list(), bytes: self.limit + 1, limit: self.limit });
        }
        if length == 0 {
            return Ok(None);
        }
        self.number += 1;
        let line = std::str::from_utf8(&self.line)
            .map_err(|_| DatasetError::ListNotUtf8 { list: list(), line: self.number })?;
        let line = line.strip_prefix('\u{feff}').filter(|_| self.number == 1).unwrap_or(line);
        let line = line.strip_suffix('\n').unwrap_or(line);
        Ok(Some((self.number, line.strip_suffix('\r').unwrap_or(line))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of `bytes`, or what is wrong with them.
    fn lines(bytes: &[u8], limit: u64) -> Result<Vec<(usize, String)>, DatasetError> {
        let (mut lines, mut found) = (ListLines::new(Path::new("list"), bytes, limit), Vec::new());
        while let Some((number, line)) = lines.next_line()? {
            found.push((number, line.to_owned()));
        }
        Ok(found)
    }

    #[test]
    fn line_ends_and_the_mark_are_taken_off_once() {
        let table: [(&[u8], &[&str]); 8] = [
            (b"", &[]),
            (b"a", &["a"]),
            (b"a\n", &["a"]),
            (b"\n\na\r\n", &["", "", "a"]),
            (b"a\r\r\nb\r", &["a\r", "b"]),
            (b"a\rb\n", &["a\rb"]),
            (b"\xef\xbb\xbf\xef\xbb\xbfa\n\xef\xbb\xbfb\n", &["\u{feff}a", "\u{feff}b"]),
            (b"\xef\xbb\xbf\n a \n", &["", " a "]),
        ];
        for (bytes, expected) in table {
            let found = lines(bytes, 100).unwrap_or_else(|error| panic!("{bytes:?}: {error}"));
            let expected: Vec<_> = (1..).zip(expected.iter().map(|line| (*line).to_owned())).collect();
            assert_eq!(found, expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_file_that_outgrows_the_limit_while_it_is_read_is_too_large() {
        assert_eq!(lines(b"ab\ncd\n", 6).expect("as long as allowed").len(), 2);
        for bytes in [b"ab\ncd\n", b"abcdef", b"\n\n\n\n\n\n"] {
            let error = lines(bytes, 5).expect_err("one byte too many");
            assert!(matches!(error, DatasetError::ListTooLarge { bytes: 6, limit: 5, .. }), "{error}");
        }
    }
}
