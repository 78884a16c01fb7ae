//! Weights as a user names them.

mod address;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::registry::{RegistryEntry, find};
use address::SCHEME;

/// Weights as a user names them: a path, a tag of the registry, or `hf://[models/]owner/name[@revision][/file]`.
///
/// Addresses are those of `huggingface_hub`: a slash in a revision is written `%2F`, but for the references of pull
/// requests and conversions (`hf://owner/name@refs/pr/1`). The revision is `main` where none is named, the file
/// `model.safetensors`.
///
/// Parsed from text: `"hardnet68.upstream_in1k".parse::<WeightsSource>()`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum WeightsSource {
    /// A file on this machine.
    Path(PathBuf),
    /// Weights of the registry, such as `hardnet68.upstream_in1k`.
    Tag(&'static RegistryEntry),
    /// A file of a model repository on the Hugging Face Hub.
    Hub(HubFile),
}

/// A file of a model repository on the Hugging Face Hub.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubFile {
    /// `owner/name`.
    pub repository: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// Path of the file in the repository.
    pub file: String,
}

impl FromStr for WeightsSource {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.strip_prefix(SCHEME) {
            Some(rest) => Ok(Self::Hub(address::parse(rest)?)),
            None => Ok(find(text).map_or_else(|| Self::Path(text.into()), Self::Tag)),
        }
    }
}

impl fmt::Display for HubFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { repository, revision, file } = self;
        let revision = address::encode_revision(revision);
        write!(f, "{SCHEME}{}{repository}@{revision}/{file}", address::prefix(repository))
    }
}

impl fmt::Display for WeightsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Tag(entry) => f.write_str(&entry.tag),
            Self::Hub(file) => file.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_paths_are_told_apart() {
        let hub = |repository: &str, revision: &str, file: &str| {
            WeightsSource::Hub(HubFile { repository: repository.into(), revision: revision.into(), file: file.into() })
        };
        let cases = [
            ("weights/a.safetensors", WeightsSource::Path("weights/a.safetensors".into())),
            ("hardnet68.upstream_in1k", WeightsSource::Tag(find("hardnet68.upstream_in1k").unwrap())),
            ("./hardnet68.upstream_in1k", WeightsSource::Path("./hardnet68.upstream_in1k".into())),
            ("hardnet68", WeightsSource::Path("hardnet68".into())),
            ("hf://someone/hardnet68", hub("someone/hardnet68", "main", "model.safetensors")),
            ("hf://someone/hardnet68@v1", hub("someone/hardnet68", "v1", "model.safetensors")),
            ("hf://a/b@c0ffee/f16/w.safetensors", hub("a/b", "c0ffee", "f16/w.safetensors")),
            ("hf://models/a/b@refs/pr/1/w.bin", hub("a/b", "refs/pr/1", "w.bin")),
            ("hf://a/b@feature%2Fx", hub("a/b", "feature/x", "model.safetensors")),
        ];
        for (text, source) in cases {
            assert_eq!(text.parse::<WeightsSource>().unwrap(), source, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_of_weights_is_refused_with_the_reason() {
        for (text, reason) in [
            ("hf://", "`` is not the name of a repository"),
            ("hf://a", "`a` is not the name of a repository"),
            ("hf://a/b@", "the revision is empty"),
            ("hf://a/../w", "`a/..` is not the name of a repository"),
            ("hf://a/b/../../w", "`../../w` is not the path of a file in a repository"),
            ("hf://a/b@../w", "`..` is not the name of a branch, a tag or a commit"),
            ("hf://a/b@..%2F../w", "`..%2F..` is not the name of a branch, a tag or a commit"),
            ("hf://a/b@%FF/w", "`%FF` is not the name of a branch, a tag or a commit"),
            ("hf://datasets/a/b", "it names a dataset, weights are in a model repository"),
            ("hf://spaces/a/b", "it names a space, weights are in a model repository"),
            ("hf://model/a/b", "the prefix is `models/`, not `model/`"),
        ] {
            let error = text.parse::<WeightsSource>().unwrap_err().to_string();
            let expected = format!(
                "`{text}` is not the address of weights on the Hub: {reason}, expected hf://owner/name[@revision][/file]"
            );
            assert_eq!(error, expected);
        }
    }
}
