//! Published weights by tag: `registry.toml`, parsed once.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::Deserialize;

/// The embedded table.
const TABLE: &str = include_str!("../registry.toml");

static ENTRIES: LazyLock<Vec<RegistryEntry>> = LazyLock::new(|| {
    let Table { weights } =
        toml::from_str(TABLE).expect("the embedded registry is valid, as `the_table_is_valid` tests");
    weights
});

/// All registered weights, in the order of the table.
pub fn registry() -> &'static [RegistryEntry] {
    &ENTRIES
}

/// A set of published weights.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RegistryEntry {
    /// Name, such as `hardnet68.upstream_in1k`.
    pub tag: String,
    /// Network, such as `hardnet68`.
    pub config: String,
    /// License of the publication.
    pub license: String,
    /// Size of the tensors in f32, in bytes; the published file may be slightly larger.
    pub size: u64,
    /// Number of classes.
    pub classes: usize,
    /// The preprocessing.
    pub pipeline: RegisteredPipeline,
    /// Dataset that the accuracies were measured on.
    pub images: String,
    /// Whether the program embeds them; [`content`](Self::content) returns the file.
    #[serde(default)]
    pub bundled: bool,
    /// Repository on the Hub, `owner/name`, that is tried before all other sources.
    pub hub: Option<String>,
    /// Accuracies as published, or as measured for bundled weights. The first is the one to compare an evaluation with.
    #[serde(default)]
    pub published: Vec<PublishedAccuracy>,
    /// The same for a segmentation network.
    #[serde(default, rename = "miou")]
    pub published_miou: Vec<PublishedMiou>,
    /// Download sources, in the order in which they are tried.
    #[serde(default, rename = "source")]
    pub sources: Vec<RemoteFile>,
}

/// Accuracy on the [`images`](RegistryEntry::images) of the entry.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PublishedAccuracy {
    /// Top-1 accuracy in percent.
    pub top1: f64,
    /// Top-5 accuracy in percent.
    pub top5: Option<f64>,
    /// The pipeline that measures it again.
    pub pipeline: RegisteredPipeline,
    /// What the pipeline does, in words.
    pub preprocessing: String,
    /// Who published it, and where.
    pub source: String,
}

/// Mean IoU on the [`images`](RegistryEntry::images) of the entry.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PublishedMiou {
    /// Mean IoU over the classes in percent.
    pub miou: f64,
    /// The preprocessing that measures it again.
    pub pipeline: RegisteredPipeline,
    /// What the preprocessing does, in words.
    pub preprocessing: String,
    /// Who published it, and where.
    pub source: String,
}

/// A pipeline in the registry.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
#[non_exhaustive]
pub enum RegisteredPipeline {
    /// One with a name, such as `pil-bilinear`.
    Named(String),
    /// The one that only the metadata of the weights file describes.
    InFile,
}

impl RegisteredPipeline {
    /// The text of [`InFile`](Self::InFile).
    const IN_FILE: &str = "in the file";

    /// The name, or "in the file".
    pub fn as_str(&self) -> &str {
        match self {
            Self::Named(name) => name,
            Self::InFile => Self::IN_FILE,
        }
    }
}

impl From<String> for RegisteredPipeline {
    fn from(text: String) -> Self {
        if text == Self::IN_FILE { Self::InFile } else { Self::Named(text) }
    }
}

impl fmt::Display for RegisteredPipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A file on a web server, one of the sources of an entry.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RemoteFile {
    /// Its URL.
    pub url: String,
    /// Expected hash of its content.
    pub hash: Option<Hash>,
    /// Where `hash` comes from.
    pub hash_kind: HashKind,
    /// Whether this project has downloaded and read the file.
    pub tried: bool,
    /// A remark for users of this source.
    pub note: Option<String>,
}

/// Where the expected hash of a remote file comes from, and so what a mismatch means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum HashKind {
    /// Stated by the host for the content. A file with another hash is removed.
    Verified,
    /// Read from the file name. A file with another hash is quarantined until the user accepts it.
    Inferred,
    /// No hash is known. The file is reported as unverified.
    None,
}

/// Hash of a file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
#[non_exhaustive]
pub enum Hash {
    /// The first hexadecimal digits of its SHA-256, or all 64.
    Sha256(String),
    /// Its git blob ID.
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
            _ => Err(format!("`{text}` is not a hash, expected sha256: with 8 to 64 digits or git-blob: with 40")),
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
    weights: Vec<RegistryEntry>,
}

/// The entry with the tag `tag`.
pub fn find(tag: &str) -> Option<&'static RegistryEntry> {
    registry().iter().find(|entry| entry.tag == tag)
}

/// The first entry with a source whose file has this SHA-256, as far as the registry states it: often by its first
/// eight digits, which torch.hub puts into file names.
pub fn find_by_sha256(digest: &str) -> Option<&'static RegistryEntry> {
    let is_digest = |source: &RemoteFile| match &source.hash {
        Some(Hash::Sha256(digits)) => digest.starts_with(digits.as_str()),
        _ => false,
    };
    registry().iter().find(|entry| entry.sources.iter().any(is_digest))
}

/// The authors' accuracies for the network `config`, such as `hardnet68`.
pub fn published(config: &str) -> Option<&'static PublishedAccuracy> {
    find(&format!("{config}.upstream_in1k"))?.published.first()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_is_valid() {
        let mut tags = BTreeSet::new();
        for entry in registry() {
            let RegistryEntry { tag, config, .. } = entry;
            assert!(tags.insert(tag), "`{tag}` appears twice");
            assert!(tag.starts_with(&format!("{config}.")), "{tag}");
            assert_eq!(entry.images.contains("ImageNet"), tag.ends_with("_in1k"), "{tag}");
            assert!(
                !entry.bundled || entry.sources.is_empty() && entry.hub.is_none(),
                "{tag} is bundled and has no source"
            );
            assert_eq!(entry.content().is_ok(), entry.bundled && cfg!(feature = "demo"), "{tag}");
            assert!(tag.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-')), "{tag}");
            for source in &entry.sources {
                assert!(source.url.starts_with("https://"), "{}", source.url);
                assert_eq!(source.hash.is_none(), source.hash_kind == HashKind::None, "{}", source.url);
                if let (Some(Hash::Sha256(digits)), HashKind::Inferred) = (&source.hash, source.hash_kind) {
                    assert!(source.url.contains(&format!("-{digits}.")), "the name of {} says so", source.url);
                }
            }
        }
        assert_eq!(tags.len(), 13);
    }

    #[cfg(feature = "hub")]
    #[test]
    fn sizes_and_classes_are_those_of_the_networks() {
        for entry in registry() {
            let classifier = entry.config.parse::<hardnet_graph::Variant>().map(hardnet_graph::Config::from);
            let config = match entry.config.parse::<hardnet_graph::SegmentationVariant>() {
                Ok(variant) => variant.into(),
                Err(_) => classifier.unwrap(),
            };
            let config = config.with_classes(entry.classes);
            let graph = hardnet_graph::Graph::new(&config).unwrap();
            let values: usize = graph.params().iter().map(|param| param.shape.iter().product::<usize>()).sum();
            assert_eq!(entry.size, 4 * values as u64, "{}", entry.tag);
            assert_eq!(entry.classes == 1000, entry.tag.ends_with("_in1k"), "{}", entry.tag);
            let request: Vec<bool> = entry.sources.iter().map(|source| source.url.contains("bcebos.com")).collect();
            assert!(request.is_sorted(), "upstream's hosts come before PaddleClas's: {}", entry.tag);
        }
    }

    #[test]
    fn entries_are_found_by_their_whole_tag() {
        assert_eq!(find("hardnet68.upstream_in1k").map(|entry| entry.config.as_str()), Some("hardnet68"));
        assert_eq!(find("hardnet68"), None);
        assert_eq!(published("hardnet68").map(|published| published.top1), Some(76.48));
        assert_eq!(published("hardnet70"), None);
    }

    /// PaddleClas's accuracies by OpenCV are below those by Pillow of the same file.
    #[test]
    fn every_published_accuracy_says_how_it_was_measured() {
        for entry in registry() {
            if entry.tag.starts_with("fc-") {
                assert!(entry.published.is_empty(), "{}", entry.tag);
                assert!(
                    entry.published_miou.iter().all(|published| published.pipeline == entry.pipeline),
                    "{}",
                    entry.tag
                );
                continue;
            }
            assert!(!entry.published.is_empty() && entry.published_miou.is_empty(), "{}", entry.tag);
            let pipelines: Vec<&str> = entry.published.iter().map(|accuracy| accuracy.pipeline.as_str()).collect();
            let expected: &[&str] = match entry.tag.split_once('.') {
                Some((_, "paddleclas_in1k")) => &["pil-bilinear", "paddleclas"],
                Some((_, "notebook_in1k")) => &["pil-bicubic"],
                _ => &[entry.pipeline.as_str()],
            };
            assert_eq!(pipelines, expected, "{}", entry.tag);
            assert!(entry.published.is_sorted_by(|first, next| first.top1 > next.top1), "{}", entry.tag);
            assert!(entry.published.iter().all(|accuracy| !accuracy.source.is_empty()), "{}", entry.tag);
        }
        let accuracies: Vec<_> =
            find("hardnet68.paddleclas_in1k").unwrap().published.iter().map(|a| (a.top1, a.top5)).collect();
        assert_eq!(accuracies, [(76.48, Some(93.01)), (75.46, Some(92.65))]);
    }

    #[test]
    fn entries_are_found_by_the_hash_of_their_file() {
        let digest = format!("5d684880{}", "0".repeat(56));
        assert_eq!(find_by_sha256(&digest).map(|entry| entry.tag.as_str()), Some("hardnet68.upstream_in1k"));
        assert_eq!(find_by_sha256("5d68488"), None);
        assert_eq!(find_by_sha256(&"0".repeat(64)), None);
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
