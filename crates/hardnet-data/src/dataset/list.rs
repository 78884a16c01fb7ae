//! Lists of labels: one `name label` per line, as evaluations of ImageNet exchange them, or Kaggle's rows.

use std::borrow::Cow;
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::error::QUOTED;
use super::{Dataset, DatasetError, ImageRoot, MAX_LIST_BYTES, MAX_SAMPLES, Opened, Sample, archive, kaggle};
use crate::FileKind;
use crate::excerpt::excerpt;
use crate::part::{Part, Span};
use crate::regular_file::{ReadError, read_regular_file};

/// One line of a list.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) line: u32,
    pub(super) label: u32,
    name: Span,
    /// The name as a path, if it is not one as it stands.
    relative: Option<Box<Path>>,
}

/// What a list holds.
#[derive(Debug)]
pub(super) struct Entries<'a> {
    /// The labels are WordNet ids.
    is_kaggle: bool,
    text: &'a str,
    /// All names.
    names: Arc<String>,
    all: Vec<Entry>,
}

impl Entries<'_> {
    pub(super) fn all(&self) -> &[Entry] {
        &self.all
    }

    /// The name as the list says it, with Kaggle's extension.
    pub(super) fn name(&self, entry: &Entry) -> Part {
        Part::new(&self.names, entry.name)
    }

    /// The name as a path without `.` components and repeated separators.
    pub(super) fn relative<'a>(&'a self, entry: &'a Entry) -> &'a Path {
        entry.relative.as_deref().unwrap_or(Path::new(entry.name.of(&self.names)))
    }

    /// [`relative`](Self::relative) with `/` between components.
    pub(super) fn relative_name(&self, entry: &Entry) -> String {
        let parts: Vec<_> = self.relative(entry).iter().map(|part| part.to_string_lossy()).collect();
        parts.join("/")
    }

    /// Looks for the images in folders of their classes if the first is there and not in `root` itself, as those of
    /// Kaggle's `LOC_train_solution.csv` are; says so.
    fn below_class_folders(&mut self, root: &Path) -> Option<String> {
        let below_class = |entry: &Entry| {
            let name = entry.name.of(&self.names);
            Some(Path::new(kaggle::class_of_name(name)?).join(self.relative(entry)).into_boxed_path())
        };
        let first = self.all.first()?;
        if root.join(self.relative(first)).exists() || !root.join(below_class(first)?).exists() {
            return None;
        }
        let paths: Vec<_> = self.all.iter().map(below_class).collect();
        for (entry, path) in self.all.iter_mut().zip(paths) {
            entry.relative = path.or(entry.relative.take());
        }
        Some(format!("the images are in the folders of their classes in `{}`", root.display()))
    }

    /// The line without blanks around it, fit for a message.
    pub(super) fn excerpt(&self, entry: &Entry) -> String {
        let line = self.text.split('\n').nth(entry.line as usize - 1).unwrap_or_default();
        excerpt(line.trim_end_matches('\r').trim_matches(BLANKS))
    }

    /// The names of some entries with their lines, as messages quote them.
    pub(super) fn quoted(&self, entries: &[&Entry]) -> Vec<(usize, String)> {
        let quoted = |entry: &&Entry| (entry.line as usize, excerpt(entry.name.of(&self.names)));
        entries.iter().take(QUOTED).map(quoted).collect()
    }
}

pub(super) fn read(list: &Path, root: &ImageRoot, classes: usize) -> Result<Dataset, DatasetError> {
    let bytes = read_regular_file(list, MAX_LIST_BYTES).map_err(|error| match error {
        ReadError::Io(source) => DatasetError::Io { path: list.into(), source },
        ReadError::NotAFile(kind) => DatasetError::ListNotAFile { list: list.into(), kind },
        ReadError::TooLarge { bytes } => DatasetError::ListTooLarge { list: list.into(), bytes, limit: MAX_LIST_BYTES },
    })?;
    let mut entries = parse(list, &bytes)?;
    if entries.is_kaggle {
        kaggle::check_classes(list, classes)?;
    }
    check_labels(list, &entries, classes)?;
    check_duplicates(list, &entries)?;
    let (root, opened) = (root.path(), root.open()?);
    let mut notes = Vec::new();
    let samples = match opened {
        Opened::Archive(archive) => {
            notes.extend(archive.note.clone());
            archive::samples(list, root, &archive, &entries)?
        }
        Opened::Folder => {
            if entries.is_kaggle {
                notes.extend(entries.below_class_folders(root));
            }
            check_images(list, root, &entries)?;
            let folder = Arc::from(root);
            let sample = |entry: &Entry| {
                let relative = entry.relative.as_ref().map(|path| Part::alone(path.to_string_lossy().into_owned()));
                Sample::below(&folder, relative, entry.label, entries.name(entry))
            };
            entries.all.iter().map(sample).collect()
        }
    };
    let mut dataset = Dataset { notes, ..Dataset::new(samples) };
    if entries.is_kaggle {
        kaggle::note(&mut dataset);
    }
    Ok(dataset)
}

/// The entries of a list, blank lines left out, labels not yet held against the number of classes.
fn parse<'a>(list: &Path, bytes: &'a [u8]) -> Result<Entries<'a>, DatasetError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        DatasetError::ListNotUtf8 { list: list.into(), line }
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // Exact sizes: what vectors grow out of would stay in the heap, in pieces.
    let lines = 1 + text.bytes().filter(|byte| *byte == b'\n').count();
    let (mut all, mut names) = (Vec::with_capacity(lines.min(MAX_SAMPLES)), String::with_capacity(text.len()));
    let mut is_kaggle = false;
    for (line, text) in (1_usize..).zip(text.split('\n')) {
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.contains('\r') {
            return Err(DatasetError::LoneCarriageReturn { list: list.into(), line, text: excerpt(text) });
        }
        let text = text.trim_matches(BLANKS);
        if text.is_empty() {
            continue;
        }
        if all.is_empty() && !is_kaggle && kaggle::is_header(text) {
            is_kaggle = true;
            continue;
        }
        // A file of another kind shows at its first entry; later it is one wrong line among right ones.
        let unknown = all.is_empty() && text.contains(',');
        let (name, label) = match is_kaggle {
            true => kaggle::parse_row(list, line, text)?,
            false if kaggle::is_row(text) || kaggle::is_header(text) => return Err(unknown_labels(list, line, text)),
            false => parse_line(list, line, text).map_err(|error| match error {
                DatasetError::MissingLabel { .. } | DatasetError::LabelNotANumber { .. } if unknown => {
                    unknown_labels(list, line, text)
                }
                error => error,
            })?,
        };
        let Ok(relative) = below(&name) else {
            return Err(DatasetError::UnsafeName { list: list.into(), line, text: excerpt(text) });
        };
        let too_many = || DatasetError::TooManySamples { path: list.into(), limit: MAX_SAMPLES };
        if all.len() == MAX_SAMPLES {
            return Err(too_many());
        }
        let line = u32::try_from(line).map_err(|_| too_many())?;
        let name = Span::push(&mut names, &name).ok_or_else(too_many)?;
        all.push(Entry { line, label, name, relative });
    }
    names.shrink_to_fit();
    match all.is_empty() {
        true => Err(DatasetError::ListEmpty { list: list.into() }),
        false => Ok(Entries { is_kaggle, text, names: Arc::new(names), all }),
    }
}

fn unknown_labels(list: &Path, line: usize, text: &str) -> DatasetError {
    DatasetError::UnknownLabels { list: list.into(), line, text: excerpt(text) }
}

/// What separates fields. Other blanks of Unicode may be part of a name.
const BLANKS: [char; 2] = [' ', '\t'];

/// Name and label of a line that is not empty and has no blanks around it.
fn parse_line<'a>(list: &Path, line: usize, text: &'a str) -> Result<(Cow<'a, str>, u32), DatasetError> {
    let Some((name, label)) = text.rsplit_once(BLANKS) else {
        return Err(DatasetError::MissingLabel { list: list.into(), line, text: excerpt(text) });
    };
    // `parse` alone would accept a sign.
    if !label.bytes().all(|byte| byte.is_ascii_digit()) {
        let (label, text) = (excerpt(label), excerpt(text));
        return Err(DatasetError::LabelNotANumber { list: list.into(), line, label, text });
    }
    // Only a number too large for the type is left to fail, and that is no class index either.
    let label = label.parse().unwrap_or(u32::MAX);
    Ok((name.trim_end_matches(BLANKS).into(), label))
}

/// A name that is absolute or goes up.
struct Outside;

/// `name` as a path below some folder, without `.` components and repeated separators; `None` if it has none of them.
fn below(name: &str) -> Result<Option<Box<Path>>, Outside> {
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
    Ok((!is_whole).then(|| parts.into_iter().collect::<PathBuf>().into()))
}

fn check_labels(list: &Path, entries: &Entries, classes: usize) -> Result<(), DatasetError> {
    let Some(wrong) = entries.all.iter().find(|entry| entry.label as usize >= classes) else {
        return Ok(());
    };
    Err(DatasetError::LabelOutOfRange {
        list: list.into(),
        line: wrong.line as usize,
        text: entries.excerpt(wrong),
        classes,
        one_based: looks_one_based(entries.all.iter().map(|entry| entry.label), classes),
    })
}

/// Whether numbers, some of which are outside 0..`classes`, are those of 1..=`classes`.
pub(super) fn looks_one_based(mut numbers: impl Iterator<Item = u32>, classes: usize) -> bool {
    numbers.all(|number| (1..=classes).contains(&(number as usize)))
}

fn check_duplicates(list: &Path, entries: &Entries) -> Result<(), DatasetError> {
    let mut order: Vec<_> = entries.all.iter().collect();
    order.sort_by_key(|entry| entries.relative(entry).as_os_str());
    let again = |pair: &&[&Entry]| entries.relative(pair[0]) == entries.relative(pair[1]);
    match order.windows(2).filter(again).min_by_key(|pair| pair[1].line) {
        Some(pair) => Err(duplicate(list, entries, pair[0].line, pair[1])),
        None => Ok(()),
    }
}

/// The error of an entry whose file line `first` names too.
pub(super) fn duplicate(list: &Path, entries: &Entries, first: u32, entry: &Entry) -> DatasetError {
    let (first_line, line, text) = (first as usize, entry.line as usize, entries.excerpt(entry));
    DatasetError::DuplicateName { list: list.into(), first_line, line, text }
}

/// Looks every image up, so that a wrong folder is found before hours of work rather than after.
fn check_images(list: &Path, root: &Path, entries: &Entries) -> Result<(), DatasetError> {
    let mut missing = Vec::new();
    for entry in &entries.all {
        let path = root.join(entries.relative(entry));
        match fs::metadata(&path) {
            Ok(metadata) => {
                if let Some(kind) = FileKind::of(&metadata) {
                    return Err(DatasetError::ImageNotAFile {
                        list: list.into(),
                        line: entry.line as usize,
                        path,
                        kind,
                    });
                }
            }
            // Names no file can have are missing too: with a NUL, too long, or below a file.
            Err(error) if is_absence(error.kind()) => missing.push(entry),
            Err(source) => return Err(DatasetError::Io { path, source }),
        }
    }
    let Some(first) = missing.first() else { return Ok(()) };
    Err(DatasetError::MissingImages {
        list: list.into(),
        root: root.into(),
        count: missing.len(),
        total: entries.all.len(),
        first: entries.quoted(&missing),
        better_root: better_root(root, entries.relative(first)),
    })
}

pub(super) fn is_absence(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidInput | ErrorKind::InvalidFilename
    )
}

/// The folder above `root`, for lists that say `val/..` themselves, or `val` below it, whichever has `relative`.
fn better_root(root: &Path, relative: &Path) -> Option<PathBuf> {
    let nearby = [root.parent().map(Path::to_path_buf), Some(root.join("val"))];
    nearby.into_iter().flatten().find(|folder| folder.join(relative).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(bytes: &[u8]) -> Result<Vec<(usize, String, u32)>, DatasetError> {
        let entries = parse(Path::new("list"), bytes)?;
        let told = |entry: &Entry| (entry.line as usize, entries.name(entry).as_str().to_owned(), entry.label);
        Ok(entries.all.iter().map(told).collect())
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
            match parse(Path::new("list"), &bytes) {
                Ok(entries) => {
                    accepted += 1;
                    assert!(!entries.all.is_empty() && entries.all.is_sorted_by(|a, b| a.line < b.line));
                    for entry in &entries.all {
                        let (name, relative) = (entries.name(entry), entries.relative(entry));
                        let name = name.as_str();
                        assert!(entry.line as usize <= lines && !name.is_empty());
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
}
