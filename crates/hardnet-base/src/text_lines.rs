//! Lines of text files as people have them: UTF-8 or UTF-16, whatever system wrote them.
//!
//! A byte order mark says UTF-8, UTF-16 little-endian or UTF-16 big-endian; without one a file is UTF-8. One line is
//! held at a time, so that a list of a million lines needs no memory of its own.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read, Take};
use std::path::Path;

use crate::{FileKind, ReadError, open_regular_file};

/// Error of reading a text file.
#[derive(Debug)]
#[non_exhaustive]
pub enum TextError {
    /// The operating system refuses to read the file.
    Io(io::Error),
    /// The path is not a regular file.
    NotAFile(FileKind),
    /// The file is longer than allowed.
    TooLarge {
        /// Its length in bytes, or a lower bound of it.
        bytes: u64,
        /// The largest length accepted.
        limit: u64,
    },
    /// A line is longer than allowed.
    LineTooLong {
        /// The first such line, from 1.
        line: usize,
        /// The longest line accepted, in bytes.
        limit: usize,
    },
    /// The file is in an encoding that is not read.
    Encoding {
        /// The encoding that it begins as.
        found: &'static str,
    },
    /// A line is not UTF-8, and no byte order mark says another encoding.
    NotUtf8 {
        /// The first such line, from 1.
        line: usize,
    },
    /// A line is not UTF-16, which the byte order mark says.
    NotUtf16 {
        /// The first such line, from 1.
        line: usize,
    },
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(_) => write!(f, "cannot be read"),
            Self::NotAFile(kind) => write!(f, "is {kind}, expected a text file"),
            Self::TooLarge { bytes, limit } => {
                write!(f, "has {bytes} bytes, expected at most {limit}; is it a text file?")
            }
            Self::LineTooLong { line, limit } => {
                write!(f, "line {line} is longer than {limit} bytes; is it a text file?")
            }
            Self::Encoding { found } => write!(f, "is {found}; save it as UTF-8"),
            Self::NotUtf8 { line } => write!(f, "line {line} is not UTF-8; save the file as UTF-8"),
            Self::NotUtf16 { line } => {
                write!(f, "line {line} is not UTF-16, which the byte order mark says; save the file as UTF-8")
            }
        }
    }
}

impl std::error::Error for TextError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<ReadError> for TextError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => Self::Io(error),
            ReadError::NotAFile(kind) => Self::NotAFile(kind),
            // The limit is that of the caller, who knows it.
            ReadError::TooLarge { bytes } => Self::TooLarge { bytes, limit: 0 },
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
}

/// Bytes at the start of a file that decide its encoding.
const HEAD: u64 = 4;

/// Reads the lines of a text, which end in LF or CRLF.
#[derive(Debug)]
pub struct TextLines<R> {
    reader: Chain<Cursor<Vec<u8>>, Take<R>>,
    limit: u64,
    /// The longest line accepted, in bytes with its end.
    line_limit: usize,
    encoding: Encoding,
    /// The bytes of the current line.
    line: Vec<u8>,
    /// The current line of a text in UTF-16.
    text: String,
    /// Its number, from 1.
    number: usize,
}

impl TextLines<BufReader<File>> {
    /// Opens the regular file `path` of at most `limit` bytes, links followed.
    ///
    /// # Errors
    /// A [`TextError`] if the file cannot be read, is not a regular one, is longer, or begins as a text in an encoding
    /// that is not read.
    pub fn open(path: &Path, limit: u64) -> Result<Self, TextError> {
        let (file, _) = open_regular_file(path, limit).map_err(|error| match TextError::from(error) {
            TextError::TooLarge { bytes, .. } => TextError::TooLarge { bytes, limit },
            error => error,
        })?;
        Self::new(BufReader::new(file), limit)
    }
}

impl<R: BufRead> TextLines<R> {
    /// The lines that `reader` gives, which may have `limit` bytes.
    ///
    /// # Errors
    /// As [`next_line`](Self::next_line).
    pub fn new(reader: R, limit: u64) -> Result<Self, TextError> {
        let mut reader = reader.take(limit.saturating_add(1));
        let mut head = Vec::new();
        reader.by_ref().take(HEAD).read_to_end(&mut head).map_err(TextError::Io)?;
        let (encoding, mark) = encoding(&head)?;
        head.drain(..mark);
        let reader = Cursor::new(head).chain(reader);
        let line_limit = usize::MAX;
        Ok(Self { reader, limit, line_limit, encoding, line: Vec::new(), text: String::new(), number: 0 })
    }

    /// Refuses lines of more than `bytes` bytes, line end included, before they are held in memory.
    pub fn line_limit(self, bytes: usize) -> Self {
        Self { line_limit: bytes, ..self }
    }

    /// The next line with its number from 1, without its end and without a byte order mark; `None` after the last.
    ///
    /// # Errors
    /// A [`TextError`] if the text cannot be read, it or a line is longer than allowed, or it is not in its encoding.
    pub fn next_line(&mut self) -> Result<Option<(usize, &str)>, TextError> {
        self.line.clear();
        match self.encoding {
            Encoding::Utf8 => {
                self.read_until_feed().map_err(TextError::Io)?;
            }
            encoding => self.read_units(encoding).map_err(TextError::Io)?,
        }
        if self.reader.get_ref().1.limit() == 0 {
            return Err(TextError::TooLarge { bytes: self.limit.saturating_add(1), limit: self.limit });
        }
        if self.line.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        if self.line.len() > self.line_limit {
            return Err(TextError::LineTooLong { line: self.number, limit: self.line_limit });
        }
        let line = match self.encoding {
            Encoding::Utf8 => std::str::from_utf8(&self.line).map_err(|_| TextError::NotUtf8 { line: self.number })?,
            encoding => {
                decode(&self.line, encoding, &mut self.text).ok_or(TextError::NotUtf16 { line: self.number })?;
                &self.text
            }
        };
        let line = line.strip_suffix('\n').unwrap_or(line);
        Ok(Some((self.number, line.strip_suffix('\r').unwrap_or(line))))
    }

    /// Appends bytes to `line` up to a line feed, to the end, or until the line is too long.
    fn read_until_feed(&mut self) -> io::Result<usize> {
        let room = self.line_limit.saturating_add(1).saturating_sub(self.line.len());
        self.reader.by_ref().take(room as u64).read_until(b'\n', &mut self.line)
    }

    /// Reads two-byte units into `line` up to a line feed, which is appended too, or to the end.
    fn read_units(&mut self, encoding: Encoding) -> io::Result<()> {
        loop {
            let read = self.read_until_feed()?;
            if read == 0 || self.line.last() != Some(&b'\n') {
                return Ok(());
            }
            // The byte found may be half of another character.
            let is_first_half = self.line.len() % 2 == 1;
            let ends = match encoding {
                Encoding::Utf16Le if is_first_half => {
                    let second_half = self.line.len();
                    self.reader.by_ref().take(1).read_to_end(&mut self.line)?;
                    self.line.get(second_half) == Some(&0)
                }
                Encoding::Utf16Be if !is_first_half => self.line[self.line.len() - 2] == 0,
                _ => false,
            };
            if ends {
                return Ok(());
            }
        }
    }
}

/// The encoding of a text that begins with `head`, and the length of its byte order mark.
fn encoding(head: &[u8]) -> Result<(Encoding, usize), TextError> {
    match *head {
        [0xff, 0xfe, 0, 0] | [0, 0, 0xfe, 0xff] => Err(TextError::Encoding { found: "UTF-32" }),
        [0xef, 0xbb, 0xbf, ..] => Ok((Encoding::Utf8, 3)),
        [0xff, 0xfe, ..] => Ok((Encoding::Utf16Le, 2)),
        [0xfe, 0xff, ..] => Ok((Encoding::Utf16Be, 2)),
        [1..=255, 0, 1..=255, 0] | [0, 1..=255, 0, 1..=255] => {
            Err(TextError::Encoding { found: "UTF-16 without a byte order mark" })
        }
        _ => Ok((Encoding::Utf8, 0)),
    }
}

/// Decodes UTF-16 into `text`; `None` if it is not UTF-16.
fn decode(bytes: &[u8], encoding: Encoding, text: &mut String) -> Option<()> {
    text.clear();
    let (units, []) = bytes.as_chunks() else { return None };
    let unit = |bytes: &[u8; 2]| match encoding {
        Encoding::Utf16Be => u16::from_be_bytes(*bytes),
        _ => u16::from_le_bytes(*bytes),
    };
    char::decode_utf16(units.iter().map(unit)).try_for_each(|c| c.map(|c| text.push(c)).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of `bytes`, or what is wrong with them.
    fn lines(bytes: &[u8], limit: u64) -> Result<Vec<(usize, String)>, TextError> {
        let (mut lines, mut found) = (TextLines::new(bytes, limit)?, Vec::new());
        while let Some((number, line)) = lines.next_line()? {
            found.push((number, line.to_owned()));
        }
        Ok(found)
    }

    fn utf16(text: &str, unit: impl Fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(unit).collect()
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

    /// A text in each encoding has the same lines, also where a byte of another character is that of a line feed.
    #[test]
    fn utf16_by_its_mark_is_the_same_text() {
        let texts = ["", "a", "a\n", "cat\r\ndog\r\n\r\nfox", "\u{a0a}x\n\u{10a}\u{a00}\n\u{1f98a} fox\n", "\n\n"];
        for text in texts {
            let expected = lines(text.as_bytes(), 100).unwrap();
            let marked = format!("\u{feff}{text}");
            for bytes in [utf16(&marked, u16::to_le_bytes), utf16(&marked, u16::to_be_bytes), marked.into_bytes()] {
                assert_eq!(lines(&bytes, 100).unwrap(), expected, "{text:?} as {bytes:?}");
            }
        }
    }

    #[test]
    fn other_bytes_are_refused_with_the_line() {
        let table: [(&[u8], &str); 10] = [
            (b"a\nb\xe9\n", "line 2 is not UTF-8"),
            (b"\xff", "line 1 is not UTF-8"),
            (b"\xff\xfea\0\n\0b", "line 2 is not UTF-16"),
            (b"\xff\xfe\n\0\0\xd8\n\0", "line 2 is not UTF-16"),
            (b"\xfe\xff\0a\0\n\xdc\0\0\n", "line 2 is not UTF-16"),
            (b"\xff\xfe\n", "line 1 is not UTF-16"),
            (b"\xff\xfe\0\0a\0\0\0", "is UTF-32"),
            (b"\0\0\xfe\xff\0\0\0a", "is UTF-32"),
            (b"a\0.\0j\0", "is UTF-16 without a byte order mark"),
            (b"\0a\0.\0j", "is UTF-16 without a byte order mark"),
        ];
        for (bytes, expected) in table {
            let error = lines(bytes, 100).expect_err("not a text");
            assert!(error.to_string().starts_with(expected), "{bytes:?}: {error}");
        }
        assert_eq!(lines(b"x\0\x1b", 100).unwrap(), [(1, "x\0\x1b".into())]);
    }

    #[test]
    fn a_text_that_outgrows_the_limit_while_it_is_read_is_too_large() {
        assert_eq!(lines(b"ab\ncd\n", 6).expect("as long as allowed").len(), 2);
        for bytes in [b"ab\ncd\n", b"abcdef", b"\n\n\n\n\n\n", b"\xff\xfea\0b\0"] {
            let error = lines(bytes, 5).expect_err("one byte too many");
            assert!(matches!(error, TextError::TooLarge { bytes: 6, limit: 5 }), "{error}");
        }
        assert!(matches!(lines(b"ab", 1), Err(TextError::TooLarge { bytes: 2, limit: 1 })));
    }

    #[test]
    fn a_line_that_is_too_long_is_not_held() {
        let endless = b"abc\nde\n".chain(io::repeat(b'x'));
        let mut lines = TextLines::new(BufReader::new(endless), u64::MAX).unwrap().line_limit(4);
        assert_eq!(lines.next_line().unwrap(), Some((1, "abc")));
        assert_eq!(lines.next_line().unwrap(), Some((2, "de")));
        let error = lines.next_line().expect_err("an endless line");
        assert!(matches!(error, TextError::LineTooLong { line: 3, limit: 4 }), "{error}");
        assert!(lines.line.capacity() < 100, "{} bytes are held", lines.line.capacity());
        for bytes in [utf16("\u{feff}ab\nabcdefgh", u16::to_le_bytes), utf16("\u{feff}ab\nabcdefgh", u16::to_be_bytes)]
        {
            let mut lines = TextLines::new(&bytes[..], 100).unwrap().line_limit(6);
            assert_eq!(lines.next_line().unwrap(), Some((1, "ab")));
            assert!(matches!(lines.next_line(), Err(TextError::LineTooLong { line: 2, limit: 6 })));
        }
    }
}
