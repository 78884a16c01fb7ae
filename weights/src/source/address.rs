//! Addresses of files on the Hugging Face Hub, as the page "HF URIs" of `huggingface_hub` defines them:
//! `hf://[models/]owner/name[@revision][/file]`.

use super::HubFile;
use crate::error::{Error, Result};

/// The scheme of addresses on the Hub.
pub(super) const SCHEME: &str = "hf://";

/// File of a repository that an address without a file means.
const DEFAULT_FILE: &str = "model.safetensors";

/// Revision that an address without one means.
const DEFAULT_REVISION: &str = "main";

/// Longest name of an owner or a repository.
const MAX_NAME: usize = 96;

/// First segments that name a kind of repository, and the kind.
const KINDS: [(&str, &str); 5] =
    [("models", "model"), ("datasets", "dataset"), ("spaces", "space"), ("kernels", "kernel"), ("buckets", "bucket")];

/// Reads what follows [`SCHEME`] in an address.
pub(super) fn parse(rest: &str) -> Result<HubFile> {
    let invalid = |reason: String| Error::InvalidUri { address: format!("{SCHEME}{rest}"), reason };
    let location = model(rest).map_err(invalid)?;
    let (repository, revision, file) = split(location.trim_matches('/')).map_err(invalid)?;
    check_repository(repository).map_err(invalid)?;
    let revision = match revision {
        None => DEFAULT_REVISION.to_owned(),
        Some(text) => decode(text)
            .filter(|name| is_path(name, is_ref_character))
            .ok_or_else(|| invalid(format!("`{text}` is not the name of a branch, a tag or a commit")))?,
    };
    let file = if file.is_empty() { DEFAULT_FILE } else { file };
    if !is_path(file, is_file_character) {
        return Err(invalid(format!("`{file}` is not the path of a file in a repository")));
    }
    Ok(HubFile { repository: repository.to_owned(), revision, file: file.to_owned() })
}

/// The text before a repository in an address: the prefix, where the owner is called like one.
pub(super) fn prefix(repository: &str) -> &'static str {
    let owner = repository.split('/').next().unwrap_or_default();
    if KINDS.iter().any(|(prefix, kind)| [prefix, kind].contains(&&owner)) { "models/" } else { "" }
}

/// The revision as it is written in an address.
pub(super) fn encode_revision(revision: &str) -> String {
    match special_ref(revision) {
        Some(length) if length == revision.len() => revision.to_owned(),
        _ => revision.replace('/', "%2F"),
    }
}

/// Removes the prefix for models; other kinds are refused.
fn model(location: &str) -> Result<&str, String> {
    let (first, rest) = location.split_once('/').unwrap_or((location, ""));
    for (prefix, kind) in KINDS {
        if first == kind {
            return Err(format!("the prefix is `{prefix}/`, not `{kind}/`"));
        }
        if first == prefix {
            let named = || format!("it names a {kind}, weights are in a model repository");
            return if kind == "model" { Ok(rest) } else { Err(named()) };
        }
    }
    Ok(location)
}

/// Repository, revision and file.
fn split(location: &str) -> Result<(&str, Option<&str>, &str), String> {
    let is_marker = |at: &usize| location[..*at].matches('/').count() <= 1;
    match location.find('@').filter(is_marker) {
        // An `@` after the name belongs to the file.
        None => {
            let end = location.match_indices('/').nth(1).map_or(location.len(), |(at, _)| at);
            Ok((&location[..end], None, location[end..].strip_prefix('/').unwrap_or_default()))
        }
        Some(at) => {
            let (repository, rest) = (&location[..at], &location[at + 1..]);
            let end = special_ref(rest).or_else(|| rest.find('/')).unwrap_or(rest.len());
            let file = &rest[end..];
            if end == 0 {
                return Err("the revision is empty".to_owned());
            }
            Ok((repository, Some(&rest[..end]), file.strip_prefix('/').unwrap_or(file)))
        }
    }
}

/// The length of the reference at the start of `text` that has slashes of its own: a pull request or a conversion.
fn special_ref(text: &str) -> Option<usize> {
    let take = |prefix: &str, is_part: fn(char) -> bool| {
        let name = text.strip_prefix(prefix)?;
        let length = name.find(|character| !is_part(character)).unwrap_or(name.len());
        (length > 0).then_some(prefix.len() + length)
    };
    take("refs/pr/", |character| character.is_ascii_digit())
        .or_else(|| take("refs/convert/", |character| character.is_alphanumeric() || "_.-".contains(character)))
}

fn check_repository(repository: &str) -> Result<(), String> {
    let is_name = |name: &str| {
        let ends = |character: char| character.is_ascii_alphanumeric() || character == '_';
        (1..=MAX_NAME).contains(&name.len())
            && name.chars().all(|character| ends(character) || "-.".contains(character))
            && name.starts_with(ends)
            && name.ends_with(ends)
    };
    match repository.split_once('/') {
        Some((owner, name)) if is_name(owner) && is_name(name) => {}
        _ => return Err(format!("`{repository}` is not the name of a repository")),
    }
    match ["--", ".."].iter().find(|part| repository.contains(*part)) {
        Some(part) => Err(format!("the name of a repository cannot contain `{part}`")),
        None if repository.ends_with(".git") => Err("the name of a repository cannot end in `.git`".to_owned()),
        None => Ok(()),
    }
}

/// Replaces `%` and two digits by the byte they stand for; `None` where that is not text.
fn decode(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, tail @ ..] = rest {
        let digit = |at: usize| tail.get(at).and_then(|&byte| char::from(byte).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high << 4 | low) as u8);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

/// Whether `path` stays below the folder it is relative to: its parts become folders of the cache.
fn is_path(path: &str, is_allowed: fn(char) -> bool) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | "..")) && path.chars().all(is_allowed)
}

/// Whether a file of a repository can have the character in its name, and a file of the cache on every system.
fn is_file_character(character: char) -> bool {
    !character.is_control() && !matches!(character, '\\' | ':')
}

/// Whether a name in git can have the character.
fn is_ref_character(character: char) -> bool {
    is_file_character(character) && !matches!(character, ' ' | '?' | '*' | '[' | '~' | '^' | '%' | '#')
}
