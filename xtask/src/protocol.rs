//! The generated code of the server's protocol buffers.
//!
//! Its generator takes a minute to build, so it lists the hashes of all that it reads and writes: whoever changes one
//! of these files by hand, or a source without generating anew, has another list.

use std::path::Path;

use anyhow::{Context, Result};

use crate::git;

const PACKAGE: &str = "crates/hardnet-serve";

/// Folders of sources and of what is made of them.
const FOLDERS: [&str; 2] = ["proto/", "src/grpc/generated/"];

/// The list: in each line a hash, a space, and a path in the package.
const LIST: &str = "proto/hashes.txt";

/// One message for each file that the list does not have as it is.
pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let folder = root.join(PACKAGE);
    let list = std::fs::read_to_string(folder.join(LIST)).with_context(|| format!("cannot read `{PACKAGE}/{LIST}`"))?;
    let is_listed = |path: &String| *path != LIST && FOLDERS.iter().any(|folder| path.starts_with(folder));
    let paths: Vec<String> = git::files(&folder)?.into_iter().filter(is_listed).collect();
    let hashes = git::hashes(&folder, &paths)?;
    let found: Vec<String> = paths.iter().zip(hashes).map(|(path, hash)| format!("{hash} {path}")).collect();
    let found: Vec<&str> = found.iter().map(String::as_str).collect();
    let message = |path| {
        let command = format!("cargo run --locked --manifest-path {PACKAGE}/proto/generate/Cargo.toml");
        format!("{PACKAGE}/{path}: not what `{LIST}` says; run `{command}`")
    };
    Ok(differences(&list.lines().collect::<Vec<_>>(), &found).into_iter().map(message).collect())
}

/// Paths whose line is in one list alone, each once.
fn differences<'a>(listed: &[&'a str], found: &[&'a str]) -> Vec<&'a str> {
    let only = |a: &[&'a str], b: &[&'a str]| a.iter().filter(|line| !b.contains(line)).copied().collect::<Vec<_>>();
    let lines = only(listed, found).into_iter().chain(only(found, listed));
    let mut paths: Vec<&str> = lines.map(|line| line.split_once(' ').map_or(line, |(_, path)| path)).collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_changed_new_or_gone_are_found() {
        let listed = ["1 a", "2 b", "3 c"];
        assert_eq!(differences(&listed, &listed), [""; 0]);
        assert_eq!(differences(&listed, &["1 a", "4 c", "5 d"]), ["b", "c", "d"]);
        assert_eq!(differences(&[], &["1 a"]), ["a"]);
    }
}
