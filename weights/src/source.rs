//! Weights as a user names them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::registry::{RegistryEntry, find};

/// The scheme of addresses on the Hub.
const SCHEME: &str = "hf://";

/// File of a repository that an address without a file means.
const DEFAULT_FILE: &str = "model.safetensors";

/// Weights as a user names them: a path, a tag of the registry, or `hf://owner/name[@revision][/file]`.
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
        let Some(address) = text.strip_prefix(SCHEME) else {
            return Ok(find(text).map_or_else(|| Self::Path(text.into()), Self::Tag));
        };
        let invalid = || Error::InvalidUri(text.into());
        let (owner, rest) = address.split_once('/').ok_or_else(invalid)?;
        let (name, file) = rest.split_once('/').unwrap_or((rest, DEFAULT_FILE));
        let (name, revision) = name.split_once('@').unwrap_or((name, "main"));
        // The parts become folders of the cache and must not lead out of it.
        let is_safe = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', ':', '?', '#', '%', ' ']);
        if ![owner, name, revision].into_iter().chain(file.split('/')).all(is_safe) {
            return Err(invalid());
        }
        Ok(Self::Hub(HubFile { repository: format!("{owner}/{name}"), revision: revision.into(), file: file.into() }))
    }
}

impl fmt::Display for HubFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}@{}/{}", self.repository, self.revision, self.file)
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
        ];
        for (text, source) in cases {
            assert_eq!(text.parse::<WeightsSource>().unwrap(), source, "{text}");
        }
        for text in
            ["hf://", "hf://a", "hf://a/", "hf:///b", "hf://a/b@", "hf://a/../w", "hf://a/b/../../w", "hf://a/b@../w"]
        {
            assert!(text.parse::<WeightsSource>().is_err(), "{text}");
        }
    }
}
