//! From the lines of a list to its samples.

use std::borrow::Cow;
use std::io::BufRead;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use hardnet_base::excerpt;

use super::lines::ListLines;
use super::parsed::ParsedList;
use super::{BLANKS, kaggle};
use crate::dataset::{DatasetError, MAX_SAMPLES, Sample};
use crate::shared_str::{SharedStr, Span};

/// The samples of a list, below `folder`; labels not yet held against the number of classes.
pub(super) fn parse<'a>(mut lines: ListLines<'a, impl BufRead>, folder: &Path) -> Result<ParsedList<'a>, DatasetError> {
    let mut parser = Parser {
        folder: folder.into(),
        names: String::new(),
        unwritten: Arc::default(),
        list: ParsedList { path: lines.path(), is_kaggle: false, samples: Vec::new(), lines: Vec::new() },
    };
    while let Some((number, text)) = lines.next_line()? {
        if let Err(error) = parser.line(number, text) {
            // That the file is not text says more than that one of its lines is wrong.
            while lines.next_line()?.is_some() {}
            return Err(error);
        }
    }
    parser.finish()
}

struct Parser<'a> {
    folder: Arc<Path>,
    /// All names so far.
    names: String,
    /// Stands for the text of all names while there are more to come.
    unwritten: Arc<String>,
    list: ParsedList<'a>,
}

impl<'a> Parser<'a> {
    fn line(&mut self, line: usize, text: &str) -> Result<(), DatasetError> {
        let list = self.list.path;
        if text.contains('\r') {
            return Err(DatasetError::LoneCarriageReturn { list: list.into(), line, text: excerpt(text) });
        }
        let text = text.trim_matches(BLANKS);
        if text.is_empty() {
            return Ok(());
        }
        let is_first = self.list.samples.is_empty();
        if is_first && !self.list.is_kaggle && kaggle::is_header(text) {
            self.list.is_kaggle = true;
            return Ok(());
        }
        let (name, label) = match self.list.is_kaggle {
            true => kaggle::parse_row(list, line, text)?,
            false => parse_entry(list, line, text, is_first)?,
        };
        let Ok(relative) = below(&name) else {
            return Err(DatasetError::UnsafeName { list: list.into(), line, text: excerpt(text) });
        };
        let too_many = || DatasetError::TooManySamples { path: list.into(), limit: MAX_SAMPLES };
        if self.list.len() == MAX_SAMPLES {
            return Err(too_many());
        }
        let line = u32::try_from(line).map_err(|_| too_many())?;
        let name = Span::push(&mut self.names, &name).ok_or_else(too_many)?;
        let name = SharedStr::new(&self.unwritten, name);
        self.list.samples.push(Sample::below(&self.folder, relative.map(SharedStr::from), label, name));
        self.list.lines.push(line);
        Ok(())
    }

    fn finish(self) -> Result<ParsedList<'a>, DatasetError> {
        let Self { mut names, mut list, .. } = self;
        if list.samples.is_empty() {
            return Err(DatasetError::ListEmpty { list: list.path.into() });
        }
        names.shrink_to_fit();
        list.samples.shrink_to_fit();
        let names = Arc::new(names);
        list.samples.iter_mut().for_each(|sample| sample.name_from(&names));
        Ok(list)
    }
}

/// Name and label of a line of a list that is not Kaggle's.
fn parse_entry<'a>(
    list: &Path,
    line: usize,
    text: &'a str,
    is_first: bool,
) -> Result<(Cow<'a, str>, u32), DatasetError> {
    let unknown_labels = || DatasetError::UnknownLabels { list: list.into(), line, text: excerpt(text) };
    if kaggle::is_row(text) || kaggle::is_header(text) {
        return Err(unknown_labels());
    }
    parse_fields(list, line, text).map_err(|error| match error {
        // A file of another kind shows at its first entry; later it is one wrong line among right ones.
        DatasetError::MissingLabel { .. } | DatasetError::LabelNotANumber { .. } if is_first && text.contains(',') => {
            unknown_labels()
        }
        error => error,
    })
}

/// Name and label of a line that is not empty and has no blanks around it.
fn parse_fields<'a>(list: &Path, line: usize, text: &'a str) -> Result<(Cow<'a, str>, u32), DatasetError> {
    let Some((name, label)) = text.rsplit_once(BLANKS) else {
        return Err(DatasetError::MissingLabel { list: list.into(), line, text: excerpt(text) });
    };
    // `parse` alone would accept a sign.
    if !label.bytes().all(|byte| byte.is_ascii_digit()) {
        let (label, text) = (excerpt(label), excerpt(text));
        return Err(DatasetError::LabelNotANumber { list: list.into(), line, label, text });
    }
    // Only a number too large for the type is left to fail, and that is not a class index either.
    let label = label.parse().unwrap_or(u32::MAX);
    Ok((name.trim_end_matches(BLANKS).into(), label))
}

/// A name that is absolute or goes up.
struct Outside;

/// `name` as a path below some folder, without `.` components and repeated separators; `None` if it has none of them.
fn below(name: &str) -> Result<Option<String>, Outside> {
    let (mut parts, mut length) = (Vec::new(), 0);
    for component in Path::new(name).components() {
        match component {
            Component::Normal(part) => {
                parts.push(part);
                length += part.len();
            }
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(Outside),
        }
    }
    // With one separator between each, and nothing else, they are the whole name.
    let is_whole = !parts.is_empty() && length + parts.len() - 1 == name.len();
    Ok((!is_whole).then(|| parts.into_iter().collect::<PathBuf>().to_string_lossy().into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(bytes: &[u8]) -> Result<ParsedList<'static>, DatasetError> {
        parse(ListLines::new(Path::new("list"), bytes, 1 << 20), Path::new("folder"))
    }

    fn parsed(bytes: &[u8]) -> Result<Vec<(usize, String, u32)>, DatasetError> {
        let entries = entries(bytes)?;
        let told = |(sample, line): (&Sample, &u32)| {
            (*line as usize, sample.name().to_owned(), sample.label().expect("labeled"))
        };
        Ok(entries.samples.iter().zip(&entries.lines).map(told).collect())
    }

    /// Bytes that lists are made of, so that random strings reach every branch.
    #[rustfmt::skip]
    const ALPHABET: [&[u8]; 18] = [
        b" ", b"\t", b"\n", b"\r\n", b"\r", b"0", b"17", b"a.jpg", b"/", b"./", b"..", b"\xef\xbb\xbf", b"\0",
        "\u{e9}".as_bytes(), b"\xff", b"\\", b"b.jpg 1\n", b"\tc.jpg  2 \r\n",
    ];

    #[test]
    fn any_bytes_give_entries_or_an_error_on_one_of_their_lines() {
        let mut seed = 1u64;
        let (mut accepted, mut refused) = (0, 0);
        for _ in 0..20_000 {
            let mut bytes = Vec::new();
            for _ in 0..seed % 12 {
                seed = seed * 48271 % 0x7fff_ffff;
                bytes.extend_from_slice(ALPHABET[(seed >> 7) as usize % ALPHABET.len()]);
            }
            seed = seed * 48271 % 0x7fff_ffff;
            let lines = 1 + bytes.iter().filter(|byte| **byte == b'\n').count();
            match entries(&bytes) {
                Ok(entries) => {
                    accepted += 1;
                    assert!(!entries.lines.is_empty() && entries.lines.is_sorted_by(|a, b| a < b));
                    assert_eq!(entries.samples.len(), entries.lines.len());
                    for (sample, line) in entries.samples.iter().zip(&entries.lines) {
                        let (name, relative) = (sample.name(), sample.relative());
                        assert!(*line as usize <= lines && !name.is_empty());
                        assert_eq!(name, name.trim_matches(BLANKS));
                        let inside = |part| matches!(part, Component::Normal(_));
                        assert!(relative.components().all(inside), "{bytes:?}");
                        let clean: PathBuf = relative.components().collect();
                        assert_eq!(relative.as_os_str(), clean.as_os_str(), "{bytes:?}");
                    }
                }
                Err(error) => {
                    refused += 1;
                    let text = error.to_string();
                    assert!(!text.chars().any(char::is_control), "{text:?}");
                }
            }
        }
        assert!(accepted > 300 && refused > 300, "{accepted} accepted, {refused} refused");
    }

    #[test]
    fn what_is_written_is_read_back_whatever_the_blanks() {
        let mut seed = 7u64;
        let mut next = |limit: u64| {
            seed = seed * 48271 % 0x7fff_ffff;
            (seed >> 5) % limit
        };
        for _ in 0..300 {
            let (mut text, mut expected) = (String::new(), Vec::new());
            if next(2) == 0 {
                text.push('\u{feff}');
            }
            for line in 1..=1 + next(6) as usize {
                if next(4) != 0 {
                    let blanks: Vec<_> = (0..3).map(|_| [" ", "\t", "  ", " \t "][next(4) as usize]).collect();
                    let name = ["a.jpg", "val/b.JPEG", "with blank.png", "ünï.jpg"][next(4) as usize];
                    let label = next(1000) as u32;
                    text += &format!("{}{name}{}{label}{}", blanks[0], blanks[1], blanks[2]);
                    expected.push((line, name.to_owned(), label));
                }
                text += ["\n", "\r\n", " \n"][next(3) as usize];
            }
            match parsed(text.as_bytes()) {
                Ok(entries) => assert_eq!(entries, expected, "{text:?}"),
                Err(error) => assert!(expected.is_empty(), "{text:?}: {error}"),
            }
        }
    }

    #[test]
    fn a_file_that_is_no_text_is_said_before_a_wrong_line() {
        let table: [(&[u8], usize); 3] =
            [(b"a.jpg\nb\xff 1\n", 2), (b"a.jpg 1\nb.jpg\n\nc\xc3\n\xff", 4), (b"\xff\na.jpg\n\xff", 1)];
        for (bytes, expected) in table {
            let error = entries(bytes).expect_err("not UTF-8");
            assert!(matches!(error, DatasetError::ListNotUtf8 { line, .. } if line == expected), "{bytes:?}: {error}");
        }
    }
}
