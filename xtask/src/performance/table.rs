//! A table as JSON, and as Markdown.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::text::wrap;

/// One table with all that is needed to judge it and to make it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Table {
    title: String,
    text: String,
    command: String,
    machine: String,
    date: String,
    commit: String,
    #[serde(default)]
    versions: BTreeMap<String, String>,
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
}

/// A value of a row.
pub(crate) struct Cell(Value);

impl<T: Into<Value>> From<T> for Cell {
    fn from(value: T) -> Self {
        Self(value.into())
    }
}

impl Cell {
    /// A number with so many digits after the point; nothing for what is not a number.
    pub(crate) fn rounded(value: &Value, digits: usize) -> Self {
        let rounded = value.as_f64().and_then(|number| format!("{number:.digits$}").parse::<f64>().ok());
        Self(match rounded {
            Some(number) if digits == 0 => (number as i64).into(),
            rounded => rounded.into(),
        })
    }

    /// A number with two digits that count.
    pub(crate) fn scientific(value: &Value) -> Self {
        Self(value.as_f64().map(|number| format!("{number:.1e}")).into())
    }
}

impl Table {
    /// A table without rows, of what `tool` (version and commit, as the program states them) does today.
    pub(crate) fn new(title: &str, text: &str, columns: &[&str], (version, commit): (&str, &str)) -> Self {
        Self {
            title: title.into(),
            text: text.into(),
            command: "cargo xtask bench".into(),
            machine: machine(),
            date: today(),
            commit: commit.into(),
            versions: BTreeMap::from([("hardnet".into(), version.into())]),
            columns: columns.iter().map(ToString::to_string).collect(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        self.rows.push(cells.into_iter().map(|cell| cell.0).collect());
    }

    /// Writes `NAME.json` in `folder`, a row to a line.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> Result<()> {
        let head = serde_json::to_string_pretty(&Self { rows: vec![], ..self.clone() })?;
        let rows = self.rows.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
        let rows = format!("\"rows\": [\n    {}\n  ]", rows.join(",\n    "));
        std::fs::write(folder.join(name).with_extension("json"), head.replace("\"rows\": []", &rows) + "\n")?;
        Ok(())
    }

    /// All tables in `folder`, by the names of their files.
    pub(crate) fn read_all(folder: &Path) -> Result<Vec<Self>> {
        let mut paths = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        let read = |path: &std::path::PathBuf| {
            let table = serde_json::from_slice(&std::fs::read(path)?);
            table.with_context(|| format!("`{}` is not a table", path.display()))
        };
        paths.iter().map(read).collect()
    }

    /// The table with what is needed to judge it.
    pub(crate) fn markdown(&self) -> String {
        let mut page = format!("## {}\n\n{}\n\n", self.title, wrap(&self.text));
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        page += &line(self.columns.clone());
        // Columns of numbers are aligned at their ends.
        let number = |at: usize| self.rows.iter().all(|row| row.get(at).is_none_or(|cell| !cell.is_string()));
        page += &line((0..self.columns.len()).map(|at| if number(at) { "---:" } else { "---" }.into()).collect());
        for row in &self.rows {
            page += &line(row.iter().map(cell).collect());
        }
        let versions: Vec<String> = self.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        let Self { command, machine, date, commit, .. } = self;
        let source = format!("`{command}` on {date}, {machine}, commit {commit}; {}.", versions.join(", "));
        let _ = write!(page, "\n{}\n", wrap(&source));
        page
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.replace('|', "\\|"),
        other => other.to_string(),
    }
}

/// The processor and the number of its threads.
fn machine() -> String {
    let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = processors.lines().find_map(|line| line.strip_prefix("model name")?.split(':').nth(1));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let system = std::env::consts::OS;
    format!("{}, {threads} threads, {system}", name.map_or(std::env::consts::ARCH, str::trim))
}

/// The date in UTC.
fn today() -> String {
    let days = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() / 86_400);
    let (year, month, day) = date(days);
    format!("{year}-{month:02}-{day:02}")
}

/// Year, month and day of the Gregorian calendar, `days` days after 1 January 1970.
fn date(mut days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let known = [
            (0, (1970, 1, 1)),
            (59, (1970, 3, 1)),
            (789, (1972, 2, 29)),
            (11_016, (2000, 2, 29)),
            (20_781, (2026, 11, 24)),
        ];
        for (days, expected) in known {
            assert_eq!(date(days), expected);
        }
    }

    #[test]
    fn tables_survive_their_files_and_make_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let mut table = Table::new("Speed", "What was seen.", &["model", "ms", "note"], ("0.1.0", "abc"));
        table.row(["a|b".into(), Cell::rounded(&1.2345.into(), 2), Value::Null.into()]);
        table.row(["c".into(), Cell::rounded(&7.7.into(), 0), Cell::scientific(&1.23e-6.into())]);
        (table.machine, table.date) = ("a machine".into(), "2026-11-24".into());
        table.write(folder.path(), "speed").unwrap();
        std::fs::write(folder.path().join("notes.txt"), "no table").unwrap();
        let read = Table::read_all(folder.path()).unwrap();
        assert_eq!(read, [table]);
        let expected = "## Speed\n\nWhat was seen.\n\n| model | ms | note |\n| --- | ---: | --- |\n| a\\|b | 1.23 | - |\n\
                        | c | 8 | 1.2e-6 |\n\n`cargo xtask bench` on 2026-11-24, a machine, commit abc; hardnet 0.1.0.\n";
        assert_eq!(read[0].markdown(), expected);
        std::fs::write(folder.path().join("broken.json"), "{").unwrap();
        assert!(Table::read_all(folder.path()).is_err());
    }
}
