//! The weights that are known by name: `registry.toml`, read once.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::Deserialize;

/// The table, which lies beside the sources so that the crate carries it.
const TABLE: &str = include_str!("../registry.toml");

static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let Table { weights } = toml::from_str(TABLE).expect("the embedded registry is sound, as its test holds");
    weights
});

/// All known weights, in the order of the table.
pub fn registry() -> &'static [Entry] {
    &ENTRIES
}

/// Known weights.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Entry {
    /// Their name, as `hardnet68.upstream_in1k`.
    pub tag: String,
    /// The network they are of, as `hardnet68`.
    pub config: String,
    /// The licence they were published under.
    pub licence: String,
    /// Bytes of the tensors in f32; the file that is fetched may be somewhat larger.
    pub size: u64,
    /// Classes of the head.
    pub classes: usize,
    /// The preprocessing that is run for them, by name; "in the file" where the file's metadata has one without a name.
    pub pipeline: String,
    /// The images that accuracies are of.
    pub images: String,
    /// Whether they come with the program: [`content`](Self::content) has them.
    #[serde(default)]
    pub bundled: bool,
    /// Repository on the Hub, `owner/name`, that is asked before every other source.
    pub hub: Option<String>,
    /// Accuracies as published, or of bundled weights as measured; the first is the one to compare with what is run.
    #[serde(default)]
    pub published: Vec<Published>,
    /// Where they are, in the order in which the places are tried.
    #[serde(default, rename = "source")]
    pub sources: Vec<RemoteFile>,
}

/// An accuracy on the [`images`](Entry::images) of the entry.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Published {
    /// Images whose most probable class is right, in percent.
    pub top1: f64,
    /// Images whose class is among the five most probable, in percent.
    pub top5: Option<f64>,
    /// How the images were prepared, and who says so.
    pub preprocessing: String,
}

/// A file on a web server.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RemoteFile {
    /// Its address.
    pub address: String,
    /// What its content is known to be.
    pub hash: Option<Hash>,
    /// How well `hash` is known.
    pub hash_kind: HashKind,
    /// Whether a file from this address has been read by this project.
    pub tried: bool,
    /// What a user of this source should know.
    pub note: Option<String>,
}

/// How well the hash of a remote file is known, and so what a mismatch means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum HashKind {
    /// It is the file's: another content is another file, and not kept.
    Verified,
    /// It was read from a file name: another content is kept aside for its user to accept.
    Inferred,
    /// Nothing is known: what arrives is called unverified.
    None,
}

/// A hash of a file's content.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
#[non_exhaustive]
pub enum Hash {
    /// The first hexadecimal digits of its SHA-256, or all 64.
    Sha256(String),
    /// Its name in git.
    GitBlob(String),
}

impl FromStr for Hash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hexadecimal = |digits: &str| digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match text.split_once(':') {
            Some(("sha256", digits)) if (8..=64).contains(&digits.len()) && hexadecimal(digits) => {
                Ok(Self::Sha256(digits.into()))
            }
            Some(("git-blob", digits)) if digits.len() == 40 && hexadecimal(digits) => Ok(Self::GitBlob(digits.into())),
            _ => Err(format!("`{text}` is no hash, expected sha256: with 8 to 64 digits or git-blob: with 40")),
        }
    }
}

impl TryFrom<String> for Hash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digits) => write!(f, "sha256:{digits}"),
            Self::GitBlob(digits) => write!(f, "git-blob:{digits}"),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    weights: Vec<Entry>,
}

/// The weights called `tag`.
pub fn find(tag: &str) -> Option<&'static Entry> {
    registry().iter().find(|entry| entry.tag == tag)
}

/// The authors' figures for the network `config`, as `hardnet68`.
pub fn published(config: &str) -> Option<&'static Published> {
    find(&format!("{config}.upstream_in1k"))?.published.first()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_is_sound() {
        let mut tags = BTreeSet::new();
        for entry in registry() {
            let Entry { tag, config, .. } = entry;
            assert!(tags.insert(tag), "`{tag}` is there twice");
            assert!(tag.starts_with(&format!("{config}.")), "{tag}");
            assert_eq!(entry.images.contains("ImageNet"), tag.ends_with("_in1k"), "{tag}");
            assert!(!entry.bundled || entry.sources.is_empty() && entry.hub.is_none(), "{tag} is not fetched");
            assert_eq!(entry.content().is_ok(), entry.bundled && cfg!(feature = "demo"), "{tag}");
            assert!(tag.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_')), "{tag}");
            for source in &entry.sources {
                assert!(source.address.starts_with("https://"), "{}", source.address);
                assert_eq!(source.hash.is_none(), source.hash_kind == HashKind::None, "{}", source.address);
                if let (Some(Hash::Sha256(digits)), HashKind::Inferred) = (&source.hash, source.hash_kind) {
                    assert!(source.address.contains(&format!("-{digits}.")), "the name of {} says so", source.address);
                }
            }
        }
        assert_eq!(tags.len(), 10);
    }

    #[cfg(feature = "hub")]
    #[test]
    fn sizes_and_classes_are_those_of_the_networks() {
        for entry in registry() {
            let config = hardnet_graph::Config::from(entry.config.parse::<hardnet_graph::Variant>().unwrap())
                .with_classes(entry.classes);
            let graph = hardnet_graph::Graph::new(&config).unwrap();
            let values: usize = graph.params().iter().map(|param| param.shape.iter().product::<usize>()).sum();
            assert_eq!(entry.size, 4 * values as u64, "{}", entry.tag);
            assert_eq!(entry.classes == 1000, entry.tag.ends_with("_in1k"), "{}", entry.tag);
            let order: Vec<bool> = entry.sources.iter().map(|source| source.address.contains("bcebos.com")).collect();
            assert!(order.is_sorted(), "upstream's hosts come before PaddleClas's: {}", entry.tag);
        }
    }

    #[test]
    fn entries_are_found_by_their_whole_tag() {
        assert_eq!(find("hardnet68.upstream_in1k").map(|entry| entry.config.as_str()), Some("hardnet68"));
        assert_eq!(find("hardnet68"), None);
        assert_eq!(published("hardnet68").map(|published| published.top1), Some(76.48));
        assert_eq!(published("hardnet70"), None);
    }

    #[test]
    fn hashes_are_read_strictly() {
        for text in ["sha256:ba7816bf", "git-blob:1cf247ba4935866c16d0f02c886797f860fb1366"] {
            assert_eq!(text.parse::<Hash>().unwrap().to_string(), text);
        }
        for text in ["", "ba7816bf", "sha256:ba78", "sha256:BA7816BF", "git-blob:f2ba8f84", "md5:ba7816bf8f01cfea"] {
            assert!(text.parse::<Hash>().is_err(), "{text}");
        }
    }
}
