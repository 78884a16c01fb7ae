//! What a user may give as weights.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::registry::{Entry, find};

/// The scheme of addresses on the Hub.
const SCHEME: &str = "hf://";

/// The file of a repository that is meant where an address names none.
const DEFAULT_FILE: &str = "model.safetensors";

/// A place of weights: a path, a tag of the registry, or `hf://owner/name[@revision][/file]`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Source {
    /// A file on this machine.
    Path(PathBuf),
    /// Weights that the registry knows, as `hardnet68.upstream_in1k`.
    Tag(&'static Entry),
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

impl Source {
    /// The file on this machine; what is not there is fetched, as the environment says, unless a cache has it. Nobody is
    /// told of it; a file of whose content nothing is known is taken too (`Check::Unverified`).
    ///
    /// # Errors
    ///
    /// As `Source::fetch`; [`Error::NoHub`] without the feature `hub`.
    pub fn locate(&self) -> Result<PathBuf> {
        match self {
            Self::Path(path) => Ok(path.clone()),
            #[cfg(feature = "hub")]
            _ => self.fetch(&crate::FetchOptions::from_env(), &mut |_| {}).map(|fetched| fetched.path),
            #[cfg(not(feature = "hub"))]
            _ => Err(Error::NoHub(self.to_string())),
        }
    }
}

impl FromStr for Source {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some(address) = text.strip_prefix(SCHEME) else {
            return Ok(find(text).map_or_else(|| Self::Path(text.into()), Self::Tag));
        };
        let invalid = || Error::Address(text.into());
        let (owner, rest) = address.split_once('/').ok_or_else(invalid)?;
        let (name, file) = rest.split_once('/').unwrap_or((rest, DEFAULT_FILE));
        let (name, revision) = name.split_once('@').unwrap_or((name, "main"));
        // Names become folders of the cache, so that none may climb out of it.
        let sound = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', ':', '?', '#', '%', ' ']);
        if ![owner, name, revision].into_iter().chain(file.split('/')).all(sound) {
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

impl fmt::Display for Source {
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
            Source::Hub(HubFile { repository: repository.into(), revision: revision.into(), file: file.into() })
        };
        let cases = [
            ("weights/a.safetensors", Source::Path("weights/a.safetensors".into())),
            ("hardnet68.upstream_in1k", Source::Tag(find("hardnet68.upstream_in1k").unwrap())),
            ("./hardnet68.upstream_in1k", Source::Path("./hardnet68.upstream_in1k".into())),
            ("hardnet68", Source::Path("hardnet68".into())),
            ("hf://someone/hardnet68", hub("someone/hardnet68", "main", "model.safetensors")),
            ("hf://someone/hardnet68@v1", hub("someone/hardnet68", "v1", "model.safetensors")),
            ("hf://a/b@c0ffee/f16/w.safetensors", hub("a/b", "c0ffee", "f16/w.safetensors")),
        ];
        for (text, source) in cases {
            assert_eq!(text.parse::<Source>().unwrap(), source, "{text}");
        }
        for text in
            ["hf://", "hf://a", "hf://a/", "hf:///b", "hf://a/b@", "hf://a/../w", "hf://a/b/../../w", "hf://a/b@../w"]
        {
            assert!(text.parse::<Source>().is_err(), "{text}");
        }
    }

    #[cfg(not(feature = "hub"))]
    #[test]
    fn without_the_feature_an_address_is_refused() {
        let source: Source = "hf://a/b/w.safetensors".parse().unwrap();
        let error = source.locate().unwrap_err().to_string();
        assert!(error.contains("no feature `hub`"), "{error}");
    }
}
