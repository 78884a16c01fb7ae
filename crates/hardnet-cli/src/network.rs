//! A network as the user names it: a published one, or a file that describes one.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context;
use hardnet_base::{ReadError, read_regular_file};
use hardnet_graph::Config;
use hardnet_model::{Expected, SegmentationVariant, Variant};

use crate::failure::{Failure, Hinted, Result};

/// Longest description that is read; a table of 64 blocks has a tenth of it.
const MAX_BYTES: u64 = 1 << 16;

/// A network by name.
#[derive(Clone, Debug)]
pub(crate) enum NetworkName {
    /// A published classifier.
    Variant(Variant),
    /// A published segmentation network.
    Segmentation(SegmentationVariant),
    /// A file in TOML.
    File(PathBuf),
}

impl FromStr for NetworkName {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if let Ok(variant) = text.parse() {
            return Ok(Self::Variant(variant));
        }
        if let Ok(variant) = text.parse() {
            return Ok(Self::Segmentation(variant));
        }
        Self::file(text).ok_or_else(|| unknown(text, published()))
    }
}

impl fmt::Display for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variant(variant) => variant.fmt(f),
            Self::Segmentation(variant) => variant.fmt(f),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl NetworkName {
    /// The file `text`, if it exists or can only be the name of one.
    pub(crate) fn file(text: &str) -> Option<Self> {
        let path = Path::new(text);
        let is_path = path.components().count() > 1 || path.extension().is_some_and(|ending| ending == "toml");
        (is_path || path.exists()).then(|| Self::File(path.into()))
    }

    /// The published classifier, if it is one.
    pub(crate) fn variant(&self) -> Option<Variant> {
        match self {
            Self::Variant(variant) => Some(*variant),
            Self::Segmentation(_) | Self::File(_) => None,
        }
    }

    /// The network, read from its file if it has one.
    pub(crate) fn config(&self) -> Result<Config> {
        match self {
            Self::Variant(variant) => Ok((*variant).into()),
            Self::Segmentation(variant) => Ok((*variant).into()),
            Self::File(path) => read(path),
        }
    }

    /// The network that weights must hold.
    pub(crate) fn expected(&self) -> Result<Expected> {
        Ok(match self {
            Self::Variant(variant) => Expected::Variant(*variant),
            Self::Segmentation(variant) => Expected::Config(Box::new((*variant).into())),
            Self::File(path) => Expected::Config(Box::new(read(path)?)),
        })
    }
}

/// The names of the published networks, classifiers first.
pub(crate) fn published() -> impl Iterator<Item = &'static str> {
    Variant::ALL.map(Variant::name).into_iter().chain(SegmentationVariant::ALL.map(SegmentationVariant::name))
}

/// Reads the description of a network.
fn read(path: &Path) -> Result<Config> {
    const HOW: &str =
        "`hardnet info MODEL --write-config FILE` writes one, and docs/adding-a-variant.md lists the fields";
    let shown = path.display();
    let not_toml = || {
        Failure::message(format!("`{shown}` does not describe a network, expected TOML"))
            .hint(format!("weights go to --weights; for a network, {HOW}"))
    };
    let bytes = match read_regular_file(path, MAX_BYTES) {
        Err(ReadError::Io(error)) => {
            let error = anyhow::Error::from(error).context(format!("cannot read the network `{shown}`"));
            return Err(Failure::from(error).hint(HOW));
        }
        Err(_) => return Err(not_toml()),
        Ok(bytes) => bytes,
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| not_toml())?;
    Config::from_toml(text).with_context(|| format!("`{shown}` does not describe a network")).hint(|| HOW.into())
}

/// The message for a name that is neither one of `names` nor a file, with the names that are similar.
pub(crate) fn unknown(text: &str, names: impl IntoIterator<Item = &'static str>) -> String {
    let names: Vec<_> = names.into_iter().collect();
    let near = nearest(text, names.iter().copied());
    let similar = if near.is_empty() { String::new() } else { format!("; similar names: {}", quoted(&near)) };
    format!("`{text}` is neither a network nor a file{similar}; expected one of {}, or a file in TOML", quoted(&names))
}

/// The names that `text` resembles most, three at most, if it differs in few characters.
pub(crate) fn nearest<'a>(text: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let plain = |name: &str| name.to_lowercase().replace(['_', '-'], "");
    let mut near: Vec<_> = names.into_iter().map(|name| (distance(&plain(text), &plain(name)), name)).collect();
    let least = near.iter().map(|&(distance, _)| distance).min().unwrap_or(0);
    near.retain(|&(distance, _)| distance <= 2 && distance == least);
    near.into_iter().map(|(_, name)| name).take(3).collect()
}

/// `names` in backticks, separated by commas.
pub(crate) fn quoted(names: &[impl fmt::Display]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The number of characters to insert, delete or replace to make `b` of `a` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, &to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshteins() {
        for (a, b, expected) in
            [("", "abc", 3), ("kitten", "sitting", 3), ("hardnet68", "hardnet68", 0), ("hardnet86", "hardnet68", 2)]
        {
            assert_eq!((distance(a, b), distance(b, a)), (expected, expected), "{a} {b}");
        }
    }

    #[test]
    fn names_come_before_files_and_similar_ones_are_named() {
        assert!(matches!("HarDNet_68".parse(), Ok(NetworkName::Variant(Variant::HarDNet68))));
        let segmentation = "FC-HarDNet70".parse();
        assert!(matches!(segmentation, Ok(NetworkName::Segmentation(SegmentationVariant::FcHarDNet70))));
        for file in ["net.toml", "nets/net", "./hardnet68"] {
            assert!(matches!(file.parse(), Ok(NetworkName::File(path)) if path == Path::new(file)), "{file}");
        }
        let error = "HarDNet-69".parse::<NetworkName>().unwrap_err();
        assert_eq!(
            error,
            "`HarDNet-69` is neither a network nor a file; similar names: `hardnet68`; expected one of `hardnet39ds`, \
             `hardnet68ds`, `hardnet68`, `hardnet85`, `fc-hardnet70`, `fc-hardnet70-paddleseg`, or a file in TOML"
        );
        let error = "mobilenet".parse::<NetworkName>().unwrap_err();
        assert!(!error.contains("similar"), "{error}");
    }
}
