//! Colors of classes.

use std::path::{Path, PathBuf};

use hardnet_base::{TextError, TextLines, excerpt};

use crate::cityscapes;
use crate::mask::{IGNORED, MAX_CLASSES};

/// The largest table of colors accepted, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// A color for each class, and colors of pixels that belong to none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Palette {
    colors: Vec<[u8; 3]>,
    /// Each color and its class, sorted.
    classes: Vec<([u8; 3], u8)>,
}

impl Palette {
    /// The colors of the classes in their order.
    ///
    /// # Errors
    ///
    /// [`PaletteError::SameColor`] if two classes have one color, [`PaletteError::TooMany`] for more than 255 classes.
    pub fn new(colors: Vec<[u8; 3]>) -> Result<Self, PaletteError> {
        if colors.len() > MAX_CLASSES {
            return Err(PaletteError::TooMany { found: colors.len() });
        }
        let classes = colors.iter().copied().zip(0..).collect();
        Self::sorted(colors, classes)
    }

    /// Lets pixels of `color` be ignored.
    ///
    /// # Errors
    ///
    /// [`PaletteError::SameColor`] if it is the color of a class.
    pub fn ignoring(self, color: [u8; 3]) -> Result<Self, PaletteError> {
        let Self { colors, mut classes } = self;
        if !classes.contains(&(color, IGNORED)) {
            classes.push((color, IGNORED));
        }
        Self::sorted(colors, classes)
    }

    fn sorted(colors: Vec<[u8; 3]>, mut classes: Vec<([u8; 3], u8)>) -> Result<Self, PaletteError> {
        classes.sort_unstable();
        match classes.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(PaletteError::SameColor { color: pair[0].0, first: pair[0].1, second: pair[1].1 }),
            None => Ok(Self { colors, classes }),
        }
    }

    /// The colors of Cityscapes' 19 classes. Those of its other classes, black among them, are ignored.
    pub fn cityscapes() -> Self {
        let colors = cityscapes::classes().map(|label| label.color).collect();
        let others = cityscapes::LABELS.iter().filter(|label| label.train_id.is_none());
        // `polegroup` has the color of `pole`, and so is read as one. `license plate` is label -1.
        let others = others.filter(|label| label.name != "polegroup").map(|label| label.color).chain([[0, 0, 142]]);
        let palette = Self::new(colors).expect("the classes have different colors");
        others
            .filter(|color| palette.class(*color).is_none())
            .collect::<Vec<_>>()
            .into_iter()
            .fold(palette, |palette, color| palette.ignoring(color).expect("the color is not one of a class"))
    }

    /// The colors that PASCAL VOC gives to classes by their numbers: bits of the number, spread over the three levels.
    /// Class 0 is black.
    pub fn voc(classes: usize) -> Self {
        let colors = (0..classes.min(MAX_CLASSES)).map(|class| voc_color(class as u8)).collect();
        Self::new(colors).expect("different numbers have different colors")
    }

    /// The colors for `names`: Cityscapes' if these are its classes, otherwise PASCAL VOC's from class 1 on, which
    /// leaves black for pixels without a class.
    pub fn for_names<S: AsRef<str>>(names: &[S]) -> Self {
        let is_cityscapes = names.len() == cityscapes::CLASSES
            && names.iter().zip(cityscapes::classes()).all(|(name, label)| name.as_ref() == label.name);
        if is_cityscapes {
            return Self::cityscapes();
        }
        let colors = (0..names.len().min(MAX_CLASSES)).map(|class| voc_color(class as u8 + 1)).collect();
        Self::new(colors).expect("different numbers have different colors")
    }

    /// Reads a table of colors: on each line the levels of red, green and blue, 0 to 255, and the class: its name in
    /// `names`, its number, or `ignored`. Levels are separated by blanks, tabs or commas. Without classes the lines are
    /// in the order of the classes.
    ///
    /// ```text
    /// 128 64 128  road
    /// 0 0 0       ignored
    /// ```
    ///
    /// # Errors
    ///
    /// A [`PaletteError`] with the line for anything else, for two colors of a class, and for a class without color.
    pub fn read<S: AsRef<str>>(path: &Path, names: &[S]) -> Result<Self, PaletteError> {
        let text = |reason| PaletteError::Text { path: path.into(), reason };
        let mut lines = TextLines::open(path, MAX_BYTES).map_err(text)?;
        let mut entries = Vec::new();
        while let Some((number, line)) = lines.next_line().map_err(text)? {
            let line = line.trim();
            if !line.is_empty() {
                let fail = |reason: String| PaletteError::Line { path: path.into(), line: number, reason };
                entries.push((number, entry(line, names, entries.len()).map_err(fail)?));
            }
        }
        Self::from_entries(path, entries, names.len())
    }

    fn from_entries(path: &Path, entries: Vec<(usize, ([u8; 3], u8))>, classes: usize) -> Result<Self, PaletteError> {
        let mut colors = vec![None; classes.min(MAX_CLASSES)];
        for &(line, (color, class)) in entries.iter().filter(|(_, (_, class))| *class != IGNORED) {
            let place = &mut colors[usize::from(class)];
            if place.is_some() {
                let reason = format!("class {class} has a color already");
                return Err(PaletteError::Line { path: path.into(), line, reason });
            }
            *place = Some(color);
        }
        let whole: Option<Vec<_>> = colors.iter().copied().collect();
        let whole = whole.ok_or_else(|| {
            let missing = colors.iter().position(Option::is_none).unwrap_or_default();
            PaletteError::Missing { path: path.into(), class: missing }
        })?;
        let ignored = entries.iter().filter(|(_, (_, class))| *class == IGNORED);
        ignored.map(|(_, (color, _))| *color).try_fold(Self::new(whole)?, Self::ignoring)
    }

    /// The color of `class`; black if it has none.
    pub fn color(&self, class: u8) -> [u8; 3] {
        self.colors.get(usize::from(class)).copied().unwrap_or_default()
    }

    /// The class of `color`, or [`IGNORED`]; nothing if the palette does not have it.
    pub fn class(&self, color: [u8; 3]) -> Option<u8> {
        let found = self.classes.binary_search_by_key(&color, |entry| entry.0).ok()?;
        Some(self.classes[found].1)
    }

    /// The number of classes.
    pub fn len(&self) -> usize {
        self.colors.len()
    }

    /// Whether there is no class.
    pub fn is_empty(&self) -> bool {
        self.colors.is_empty()
    }
}

/// The color of a line and its class, of line `place` from 0 among those that are not empty.
fn entry<S: AsRef<str>>(line: &str, names: &[S], place: usize) -> Result<([u8; 3], u8), String> {
    let mut rest = line;
    let mut next = || {
        let trimmed = rest.trim_start_matches(separates);
        let end = trimmed.find(separates).unwrap_or(trimmed.len());
        let (field, after) = trimmed.split_at(end);
        rest = after;
        field.parse::<u8>().map_err(|_| format!("`{}` does not begin with three levels of 0 to 255", excerpt(line)))
    };
    let color = [next()?, next()?, next()?];
    let class = rest.trim_matches(separates);
    let count = names.len().min(MAX_CLASSES);
    let number = match class {
        "" => Some(place),
        "ignored" => return Ok((color, IGNORED)),
        class => names.iter().position(|name| name.as_ref() == class).or_else(|| class.parse().ok()),
    };
    match number.filter(|&number| number < count) {
        Some(number) => Ok((color, number as u8)),
        None => Err(format!(
            "`{}` names no class, expected one of the {count} names, its number, or `ignored`",
            excerpt(line)
        )),
    }
}

fn separates(char: char) -> bool {
    char == ',' || char.is_whitespace()
}

/// PASCAL VOC's color of a number.
fn voc_color(number: u8) -> [u8; 3] {
    std::array::from_fn(|channel| {
        // Bit `channel` of each group of three, from the lowest group to the highest bit of the level.
        let bit = |group: usize| (u32::from(number) >> (3 * group + channel)) as u8 & 1;
        (0..3).fold(0, |level, group| level | bit(group) << (7 - group))
    })
}

/// Error of a table of colors.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PaletteError {
    /// The file cannot be read as a text.
    #[error("`{}`: {reason}", .path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// The problem.
        reason: TextError,
    },
    /// A line cannot be used.
    #[error("`{}`, line {line}: {reason}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The problem.
        reason: String,
    },
    /// A class has no color.
    #[error("`{}` has no color for class {class}", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The first such class.
        class: usize,
    },
    /// Two classes have one color.
    #[error("the color {},{},{} is of class {first} and of class {second}", .color[0], .color[1], .color[2])]
    SameColor {
        /// Levels of red, green and blue.
        color: [u8; 3],
        /// The first class; 255 for ignored pixels.
        first: u8,
        /// The second.
        second: u8,
    },
    /// More classes than a mask has numbers.
    #[error("{found} classes are more than the {MAX_CLASSES} that a mask can tell apart")]
    TooMany {
        /// Classes given.
        found: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, names: &[&str]) -> Result<Palette, PaletteError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("colors.txt");
        std::fs::write(&path, text).unwrap();
        Palette::read(&path, names)
    }

    #[test]
    fn vocs_colors_are_those_of_its_devkit() {
        // VOCcolormap of the development kit: of background and the first three classes.
        let expected = [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]];
        assert_eq!(std::array::from_fn(|class| Palette::voc(21).color(class as u8)), expected);
        assert_eq!((voc_color(20), voc_color(8), voc_color(255)), ([0, 64, 128], [64, 0, 0], [224, 224, 192]));
        let palette = Palette::voc(255);
        assert!((0..255).all(|class| palette.class(palette.color(class)) == Some(class)));
    }

    #[test]
    fn cityscapes_colors_are_classes_or_ignored() {
        let palette = Palette::cityscapes();
        assert_eq!(palette.class([128, 64, 128]), Some(0));
        assert_eq!(palette.class([153, 153, 153]), Some(5), "pole and polegroup");
        assert_eq!(palette.class([0, 0, 142]), Some(13), "car, and the license plate on it");
        assert_eq!([[0, 0, 0], [111, 74, 0]].map(|color| palette.class(color)), [Some(IGNORED); 2]);
        assert_eq!(palette.class([1, 2, 3]), None);
        assert_eq!(Palette::for_names(&cityscapes::names()), palette);
        assert_eq!(Palette::for_names(&["a", "b"]).color(0), [128, 0, 0]);
    }

    #[test]
    fn a_table_of_colors_names_its_classes() {
        let names = ["sky", "big disk"];
        for text in ["1 2 3\n4 5 6\n", "4,5,6,big disk\n1,2,3,sky\n", "1\t2\t3\t0\n\n4 5 6 1\n0 0 0 ignored\n"] {
            let palette = read(text, &names).unwrap_or_else(|error| panic!("{text:?}: {error}"));
            assert_eq!((palette.color(0), palette.color(1)), ([1, 2, 3], [4, 5, 6]), "{text:?}");
        }
        assert_eq!(read("1 2 3\n4 5 6\n0 0 0 ignored\n", &names).unwrap().class([0; 3]), Some(IGNORED));
    }

    #[test]
    fn wrong_tables_are_refused_with_the_line() {
        let names = ["sky", "disk"];
        for (text, expected) in [
            ("1 2 3\n", "has no color for class 1"),
            ("1 2 3\n1 2 3\n", "the color 1,2,3 is of class 0 and of class 1"),
            ("1 2 3\n4 5 6\n1 2 3 ignored\n", "the color 1,2,3 is of class 0 and of class 255"),
            ("1 2 3 sky\n4 5 6 sky\n", "line 2: class 0 has a color already"),
            ("1 2 300\n", "line 1: `1 2 300` does not begin with three levels of 0 to 255"),
            ("1 2\n", "line 1: `1 2` does not begin with three levels of 0 to 255"),
            ("1 2 3 moon\n", "line 1: `1 2 3 moon` names no class"),
            ("1 2 3\n4 5 6\n7 8 9\n", "line 3: `7 8 9` names no class"),
        ] {
            let error = read(text, &names).expect_err(text).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
