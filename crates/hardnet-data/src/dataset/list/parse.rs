//! From the lines of a list to its samples.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use hardnet_base::{TextLines, excerpt};

use super::names::FolderNames;
use super::parsed::{ListedLabel, ParsedList};
use super::{BLANKS, kaggle};
use crate::dataset::labels::decimal;
use crate::dataset::{DatasetError, MAX_SAMPLES, Sample};
use crate::shared_str::{SharedStr, Span};

/// The samples of the list `path`, below `folder`; each has the number of its label among those of the list. With
/// `names_only`, lines are names, and the label is empty.
pub(super) fn parse<'a>(
    path: &'a Path,
    mut lines: TextLines<impl BufRead>,
    folder: &FolderNames,
    names_only: bool,
) -> Result<ParsedList<'a>, DatasetError> {
    let mut parser = Parser {
        folder,
        names_only,
        names: String::new(),
        unwritten: Arc::default(),
        label_numbers: HashMap::new(),
        list: ParsedList::new(path),
    };
    let text = |reason| DatasetError::text(path, reason);
    while let Some((number, line)) = lines.next_line().map_err(text)? {
        if let Err(error) = parser.line(number, line) {
            // That the file is not text says more than that one of its lines is wrong.
            while lines.next_line().map_err(text)?.is_some() {}
            return Err(error);
        }
    }
    parser.finish()
}

struct Parser<'a, 'f> {
    folder: &'f FolderNames,
    names_only: bool,
    /// All names so far.
    names: String,
    /// Stands for the text of all names while there are more to come.
    unwritten: Arc<String>,
    /// The number of each label in `list.labels`.
    label_numbers: HashMap<String, u32>,
    list: ParsedList<'a>,
}

impl<'a> Parser<'a, '_> {
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
        if is_first && !self.list.is_kaggle && !self.names_only && kaggle::is_header(text) {
            self.list.is_kaggle = true;
            return Ok(());
        }
        let (name, label) = match (self.names_only, self.list.is_kaggle) {
            (true, _) => (text.into(), ""),
            (false, true) => kaggle::parse_row(list, line, text)?,
            (false, false) => parse_entry(list, line, text, is_first)?,
        };
        let Ok(relative) = self.folder.below(&name) else {
            return Err(DatasetError::UnsafeName { list: list.into(), line, text: excerpt(text) });
        };
        let too_many = || DatasetError::TooManySamples { path: list.into(), limit: MAX_SAMPLES };
        if self.list.len() == MAX_SAMPLES {
            return Err(too_many());
        }
        let label = self.label_number(label, line);
        let line = u32::try_from(line).map_err(|_| too_many())?;
        let name = Span::push(&mut self.names, &name).ok_or_else(too_many)?;
        let name = SharedStr::new(&self.unwritten, name);
        self.list.samples.push(Sample::below(&self.folder.path, relative.map(SharedStr::from), label, name));
        self.list.lines.push(line);
        Ok(())
    }

    /// The number of a label, which is a new one if the label is.
    fn label_number(&mut self, label: &str, line: usize) -> u32 {
        if let Some(number) = self.label_numbers.get(label) {
            return *number;
        }
        let number = self.list.labels.len() as u32;
        self.list.labels.push(ListedLabel { text: label.to_owned(), line });
        self.label_numbers.insert(label.to_owned(), number);
        number
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
) -> Result<(Cow<'a, str>, &'a str), DatasetError> {
    let unknown_labels = || DatasetError::UnknownLabels { list: list.into(), line, text: excerpt(text) };
    if kaggle::is_row(text) || kaggle::is_header(text) {
        return Err(unknown_labels());
    }
    match name_and_label(text) {
        // A file of another kind shows at its first entry; later it is one wrong line among right ones.
        Some((_, label)) if is_first && label.contains(',') && !text.contains('\t') => Err(unknown_labels()),
        Some((name, label)) => Ok((name.into(), label)),
        None if is_first && text.contains(',') => Err(unknown_labels()),
        None if is_first && decimal(text).is_some() => {
            Err(DatasetError::NumbersOnly { list: list.into(), line, text: excerpt(text) })
        }
        None => Err(DatasetError::MissingLabel { list: list.into(), line, text: excerpt(text) }),
    }
}

/// The two fields of a line without blanks around it: a tab separates them, or the last blank if there is none.
fn name_and_label(text: &str) -> Option<(&str, &str)> {
    let (name, label) = text.rsplit_once('\t').or_else(|| text.rsplit_once(BLANKS))?;
    Some((name.trim_end_matches(BLANKS), label.trim_start_matches(BLANKS)))
}

#[cfg(test)]
mod tests {
    use std::path::{Component, PathBuf};

    use hardnet_base::TextError;

    use super::*;

    fn entries(bytes: &[u8]) -> Result<ParsedList<'static>, DatasetError> {
        let list = Path::new("list");
        let lines = TextLines::new(bytes, 1 << 20).map_err(|reason| DatasetError::text(list, reason))?;
        parse(list, lines, &FolderNames::new(Path::new("folder")), false)
    }

    fn parsed(bytes: &[u8]) -> Result<Vec<(usize, String, String)>, DatasetError> {
        let entries = entries(bytes)?;
        let told = |(sample, line): (&Sample, &u32)| {
            let label = &entries.labels[sample.label().expect("labeled") as usize];
            (*line as usize, sample.name().to_owned(), label.text.clone())
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
                    let label = ["0", "999", "n01440764", "Ankle boot", "w\u{f6}lf"][next(5) as usize];
                    // Only a tab separates a label with a blank.
                    let tab = if label.contains(' ') { "\t" } else { "" };
                    text += &format!("{}{name}{}{tab}{label}{}", blanks[0], blanks[1], blanks[2]);
                    expected.push((line, name.to_owned(), label.to_owned()));
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
            let DatasetError::Text { reason: TextError::NotUtf8 { line }, .. } = error else { panic!("{error}") };
            assert_eq!(line, expected, "{bytes:?}");
        }
    }
}
