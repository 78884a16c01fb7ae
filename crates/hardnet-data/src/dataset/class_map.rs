//! Files that say which class a label means.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use hardnet_base::{TextLines, excerpt};

use super::labels::decimal;
use super::{DatasetError, MAX_CLASSES, csv};

/// The largest class map accepted, in bytes.
const MAX_MAP_BYTES: u64 = 16 << 20;

/// Which class each label means, read from a text file.
///
/// A line is `name,index` or `wnid,index`, under a heading or without; several names may mean one class. If no line
/// ends in an index, each line is the name of a class, in the order of the classes. Names that hold commas are quoted
/// as in CSV, or stand before the last comma.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassMap {
    path: PathBuf,
    entries: Vec<(String, u32)>,
    classes: usize,
    is_list_of_names: bool,
}

impl ClassMap {
    /// Reads the file `path`: UTF-8, or UTF-16 with a byte order mark.
    ///
    /// # Errors
    ///
    /// A [`DatasetError`] with the line if the file cannot be read, is empty, mixes both kinds of lines, or gives one
    /// name two indices; also for an index of [`MAX_CLASSES`] or more.
    pub fn read(path: &Path) -> Result<Self, DatasetError> {
        let mut rows = Vec::new();
        let text = |reason| DatasetError::text(path, reason);
        let mut lines = TextLines::open(path, MAX_MAP_BYTES).map_err(text)?;
        while let Some((number, line)) = lines.next_line().map_err(text)? {
            let line = line.trim();
            if !line.is_empty() {
                rows.push((number, line.to_owned()));
            }
        }
        Self::parse(path, &rows)
    }

    fn parse(path: &Path, rows: &[(usize, String)]) -> Result<Self, DatasetError> {
        let fail = |line, reason: &str| DatasetError::ClassMap { path: path.into(), line, reason: reason.into() };
        let Some((first, _)) = rows.first() else { return Err(fail(1, "is empty, expected `name,index` or a name")) };
        let mut entries: Vec<Option<(String, u32)>> = rows.iter().map(|(_, row)| name_and_index(row)).collect();
        if entries.iter().all(Option::is_none) {
            let names = rows.iter().map(|(_, row)| only_field(row).unwrap_or_else(|| row.clone()));
            let entries: Vec<_> = names.zip(0..).collect();
            if entries.len() > MAX_CLASSES {
                return Err(fail(*first, "too many names"));
            }
            let classes = entries.len();
            return Ok(Self { path: path.into(), entries, classes, is_list_of_names: true });
        }
        let mut lines = rows.iter().map(|(line, row)| (*line, row));
        if entries[0].is_none() {
            // The heading.
            entries.remove(0);
            lines.next();
        }
        let (mut seen, mut kept, mut classes) = (HashMap::new(), Vec::new(), 0);
        for (entry, (line, row)) in entries.into_iter().zip(lines) {
            let Some((name, index)) = entry else {
                return Err(fail(line, &format!("`{}` is not `name,index` as other lines are", excerpt(row))));
            };
            if index as usize >= MAX_CLASSES {
                return Err(fail(line, &format!("the index in `{}` is not below {MAX_CLASSES}", excerpt(row))));
            }
            match seen.insert(name.clone(), index) {
                Some(other) if other != index => {
                    return Err(fail(line, &format!("`{}` means class {index}, and {other} before", excerpt(&name))));
                }
                Some(_) => continue,
                None => kept.push((name, index)),
            }
            classes = classes.max(index as usize + 1);
        }
        Ok(Self { path: path.into(), entries: kept, classes, is_list_of_names: false })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of classes: one more than the largest index.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The first name of each class in index order; `None` for a class that no line names.
    pub fn names(&self) -> Vec<Option<&str>> {
        let mut names = vec![None; self.classes];
        for (name, index) in self.entries.iter().rev() {
            names[*index as usize] = Some(name.as_str());
        }
        names
    }

    /// Each name and its class.
    pub(super) fn entries(&self) -> &[(String, u32)] {
        &self.entries
    }

    /// Whether the file is a name on each line, so that it says how many classes there are.
    pub(super) fn is_list_of_names(&self) -> bool {
        self.is_list_of_names
    }
}

/// The name and the index of a line that ends in one.
fn name_and_index(row: &str) -> Option<(String, u32)> {
    let (name, index) = match csv::fields(row).as_deref() {
        Some([name, index]) => (name.clone().into_owned(), index.clone().into_owned()),
        // A name with commas, or with a quote inside.
        _ => {
            let (name, index) = row.rsplit_once(',')?;
            (name.trim().to_owned(), index.trim().to_owned())
        }
    };
    Some((name, decimal(&index)?)).filter(|(name, _)| !name.is_empty())
}

/// The field of a line that has one only, without its quotes.
fn only_field(row: &str) -> Option<String> {
    match csv::fields(row)?.as_slice() {
        [field] => Some(field.clone().into_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ClassMap, DatasetError> {
        let rows: Vec<_> = (1..).zip(text.lines().map(str::to_owned)).filter(|(_, row)| !row.is_empty()).collect();
        ClassMap::parse(Path::new("map"), &rows)
    }

    #[test]
    fn lines_are_names_with_an_index_or_names_in_order() {
        type Entries = &'static [(&'static str, u32)];
        let table: &[(&str, Entries, usize)] = &[
            ("cat,0\ndog,1\n", &[("cat", 0), ("dog", 1)], 2),
            ("name,index\ncat,0\n\ndog,7\n", &[("cat", 0), ("dog", 7)], 8),
            ("n01440764,5\n\"tench, Tinca tinca\",5\n", &[("n01440764", 5), ("tench, Tinca tinca", 5)], 6),
            ("tench, Tinca tinca,0\n12\" disc,1\n", &[("tench, Tinca tinca", 0), ("12\" disc", 1)], 2),
            ("1,0\n2,1\n", &[("1", 0), ("2", 1)], 2),
            ("cat,1\ncat,1\n", &[("cat", 1)], 2),
            ("dog\ncat\n", &[("dog", 0), ("cat", 1)], 2),
            ("tench, Tinca tinca\n\"a, b\"\n", &[("tench, Tinca tinca", 0), ("a, b", 1)], 2),
            ("12\" disc\n", &[("12\" disc", 0)], 1),
            ("crane\ncrane\n", &[("crane", 0), ("crane", 1)], 2),
        ];
        for (text, entries, classes) in table {
            let map = parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
            let found: Vec<_> = map.entries().iter().map(|(name, index)| (name.as_str(), *index)).collect();
            assert_eq!((found.as_slice(), map.classes()), (*entries, *classes), "{text:?}");
        }
        assert_eq!(parse("b,2\na,0\nc,2\n").unwrap().names(), [Some("a"), None, Some("b")]);
    }

    #[test]
    fn wrong_maps_are_refused_with_the_line() {
        let table = [
            ("", "`map`, line 1: is empty, expected `name,index` or a name"),
            ("cat,0\ndog\n", "`map`, line 2: `dog` is not `name,index` as other lines are"),
            ("a\nb\ncat,0\n", "`map`, line 2: `b` is not `name,index` as other lines are"),
            ("cat,0\n\ncat,1\n", "`map`, line 3: `cat` means class 1, and 0 before"),
            ("cat,99999999999\n", "`map`, line 1: the index in `cat,99999999999` is not below 1048576"),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text).expect_err(text).to_string(), expected);
        }
    }
}
