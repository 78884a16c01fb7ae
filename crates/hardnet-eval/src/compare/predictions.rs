//! The predictions of a run, read from its file.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::BufRead;
use std::path::{Path, PathBuf};

use hardnet_base::{TextError, TextLines, excerpt};
use hardnet_data::MAX_SAMPLES;

use super::error::PredictionsError;
use super::line::{Line, TOP};
use crate::lines::RunRecord;

/// The largest file, in bytes.
const MAX_BYTES: u64 = 1 << 33;

/// The longest line of predictions, in bytes.
pub const MAX_LINE_BYTES: usize = 1 << 22;

/// The predictions of a run.
#[derive(Clone, Debug)]
pub struct Predictions {
    path: PathBuf,
    images: Vec<PredictedImage>,
    names: HashMap<u32, Box<str>>,
    run: Option<RunRecord>,
    has_other_runs: bool,
}

/// The prediction for an image.
#[derive(Clone, Debug, PartialEq)]
pub struct PredictedImage {
    name: Box<str>,
    label: Option<u32>,
    size: Option<(u32, u32)>,
    top: Box<[Choice]>,
}

/// A predicted class.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Choice {
    /// Its index.
    pub class: u32,
    /// Its probability, 0 to 1.
    pub probability: f32,
}

impl Predictions {
    /// Reads the file `path`: a JSON document for each image on a line of its own, with the fields `path` and `top`,
    /// and where they are known `label`, `width`, `height` and `run`: a [`PredictionLine`](crate::PredictionLine).
    /// Other fields are ignored, and so are empty lines.
    ///
    /// # Errors
    /// A [`PredictionsError`] if the file cannot be read, a line is longer than [`MAX_LINE_BYTES`] or not such a
    /// document, an image comes twice, or there is none.
    pub fn read(path: &Path) -> Result<Self, PredictionsError> {
        Self::from_lines(TextLines::open(path, MAX_BYTES).map_err(|reason| text(path, reason))?, path)
    }

    /// [`read`](Self::read) for the content of a file; `path` is its name in errors.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(content: impl BufRead, path: impl Into<PathBuf>) -> Result<Self, PredictionsError> {
        let path = path.into();
        Self::from_lines(TextLines::new(content, MAX_BYTES).map_err(|reason| text(&path, reason))?, &path)
    }

    fn from_lines<R: BufRead>(lines: TextLines<R>, path: &Path) -> Result<Self, PredictionsError> {
        let mut lines = lines.line_limit(MAX_LINE_BYTES);
        let (images, names) = (Vec::new(), HashMap::new());
        let mut read = Self { path: path.into(), images, names, run: None, has_other_runs: false };
        // The line of each image.
        let mut seen: HashMap<Box<str>, usize> = HashMap::new();
        while let Some((number, line)) = lines.next_line().map_err(|reason| text(path, reason))? {
            if line.trim().is_empty() {
                continue;
            }
            let Line { path: name, label, top, names, size, run } = Line::parse(line)
                .map_err(|reason| PredictionsError::Line { path: path.into(), line: number, reason })?;
            match seen.entry(name.as_ref().into()) {
                Entry::Vacant(place) => place.insert(number),
                Entry::Occupied(place) => {
                    let (first, name) = (*place.get(), excerpt(&name));
                    return Err(PredictionsError::Duplicate { path: path.into(), line: number, first, name });
                }
            };
            if read.images.len() == MAX_SAMPLES {
                return Err(PredictionsError::TooMany { path: path.into(), limit: MAX_SAMPLES });
            }
            for (class, name) in names {
                read.names.entry(class).or_insert_with(|| name.into());
            }
            if read.images.is_empty() {
                read.run = run;
            } else {
                read.has_other_runs |= run != read.run;
            }
            read.images.push(PredictedImage { name: name.as_ref().into(), label, size, top });
        }
        if read.images.is_empty() {
            return Err(PredictionsError::Empty { path: path.into() });
        }
        Ok(read)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The images in the order of the file.
    pub fn images(&self) -> &[PredictedImage] {
        &self.images
    }

    /// The run that wrote the file, as its first line says. Version 0.1 wrote none.
    pub fn run(&self) -> Option<&RunRecord> {
        self.run.as_ref()
    }

    /// Whether other lines say another run than the first.
    pub fn has_other_runs(&self) -> bool {
        self.has_other_runs
    }

    /// The name of a class, if the file has it.
    pub fn class_name(&self, class: usize) -> Option<&str> {
        self.names.get(&u32::try_from(class).ok()?).map(AsRef::as_ref)
    }
}

impl PredictedImage {
    /// The image's name in the run.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The class it is labeled with, if it is known.
    pub fn label(&self) -> Option<u32> {
        self.label
    }

    /// Width and height in pixels, if they are known.
    pub fn size(&self) -> Option<(u32, u32)> {
        self.size
    }

    /// The most probable class.
    pub fn best(&self) -> Choice {
        self.top[0]
    }

    /// Whether `label` is among the five most probable classes, if the file says enough.
    pub fn is_in_top5(&self, label: u32) -> Option<bool> {
        let found = self.top.iter().any(|choice| choice.class == label);
        (found || self.top.len() == TOP).then_some(found)
    }
}

fn text(path: &Path, reason: TextError) -> PredictionsError {
    match reason {
        TextError::Io(source) => PredictionsError::Io { path: path.into(), source },
        reason => PredictionsError::Text { path: path.into(), reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str) -> String {
        format!("{{\"path\":\"{name}\",\"top\":[{{\"index\":2,\"name\":\"bag\",\"probability\":0.5}}]}}\n")
    }

    fn error(content: &[u8]) -> String {
        Predictions::parse(content, "p.jsonl").expect_err("not predictions").to_string()
    }

    #[test]
    fn lines_are_read_in_order_and_blank_ones_passed_over() {
        let text = format!("\u{feff}{}\r\n\n  \n{}", line("b").trim_end(), line("a").trim_end());
        let read = Predictions::parse(text.as_bytes(), "p").unwrap();
        let names: Vec<_> = read.images().iter().map(PredictedImage::name).collect();
        assert_eq!(names, ["b", "a"]);
        assert_eq!((read.class_name(2), read.class_name(0)), (Some("bag"), None));
        assert_eq!((read.images()[0].is_in_top5(2), read.images()[0].is_in_top5(1)), (Some(true), None));
    }

    #[test]
    fn errors_name_the_line() {
        let cut = line("b");
        let table = [
            (format!("{}{}", line("a"), &cut[..20]), "`p.jsonl`, line 2: column 20: EOF while parsing"),
            (format!("\n{}\n{}{}", line("a"), line("b"), line("a")), "line 5: `a` is already in line 2"),
            (String::new(), "`p.jsonl` has no predictions"),
            ("\n \n".into(), "has no predictions"),
        ];
        for (content, expected) in table {
            let error = error(content.as_bytes());
            assert!(error.contains(expected), "{error}");
        }
        let mut binary = line("a").into_bytes();
        binary.extend(b"\xff\xd8");
        assert!(error(&binary).contains("line 2 is not UTF-8"), "{}", error(&binary));
        let long = format!("{}{}", line("a"), "x".repeat(MAX_LINE_BYTES + 1));
        assert!(error(long.as_bytes()).contains("line 2 is longer than 4194304 bytes"), "{}", error(long.as_bytes()));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Predictions::read(Path::new("no/such.jsonl")).unwrap_err();
        assert!(error.to_string().contains("`no/such.jsonl`"), "{error}");
    }
}
