//! Files that Markdown pages name: each must exist.
//!
//! Checked are the targets of links, and code spans that are paths of sources (`ops/pool.rs`) or begin with a folder of
//! the repository (`docs/performance/choice-*.json`). A page may leave out the beginning of a path that its text makes
//! clear: some file must end in what it names.

use std::path::Path;

use anyhow::Result;

use crate::git;

/// Folders of the repository that a path may begin with.
const FOLDERS: [&str; 9] =
    [".ci/", ".github/", "benches/", "crates/", "docs/", "examples/", "tests/", "weights/", "xtask/"];

/// One message for each name of a file that does not exist.
pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let files = git::files(root)?;
    let mut found = Vec::new();
    for page in files.iter().filter(|path| path.ends_with(".md")) {
        let text = std::fs::read_to_string(root.join(page))?;
        for (number, line) in text.lines().enumerate() {
            let folder = Path::new(page).parent().unwrap_or(Path::new(""));
            for target in targets(line).filter(|target| !root.join(folder).join(target).exists()) {
                found.push(format!("{page}:{}: a link to `{target}`, which does not exist", number + 1));
            }
            for span in spans(line).filter(|span| is_path(span) && !exists(span, &files)) {
                found.push(format!("{page}:{}: `{span}` is not the name of a file", number + 1));
            }
        }
    }
    Ok(found)
}

/// Files that the links of a line lead to, without addresses and places in a page.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let links = line.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    let files = links.filter(|target| !target.contains("://") && !target.starts_with("mailto:"));
    files.map(|target| target.split('#').next().unwrap_or_default()).filter(|target| !target.is_empty())
}

/// The code spans of a line.
fn spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn is_path(span: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "._-*/".contains(c);
    let is_source = [".rs", ".py"].iter().any(|extension| span.ends_with(extension));
    let is_file = span.rsplit('/').next().is_some_and(|name| name.contains('.')) || span.ends_with('/');
    let begins = FOLDERS.iter().any(|folder| span.starts_with(folder));
    // As TAG in `weights/TAG/`.
    let is_placeholder = span.split('/').any(|part| part.len() > 1 && part.bytes().all(|b| b.is_ascii_uppercase()));
    span.chars().all(is_part) && !is_placeholder && (is_source || (begins && is_file))
}

/// Whether a file of the repository has this path or ends in it; `*` stands for anything.
fn exists(span: &str, files: &[String]) -> bool {
    let span = span.trim_start_matches("./");
    let (before, after) = span.split_once('*').unwrap_or((span, ""));
    files.iter().any(|file| {
        file.match_indices(before).any(|(at, _)| {
            let begins = at == 0 || file.as_bytes()[at - 1] == b'/';
            let rest = &file[at + before.len()..];
            let ends = if span.contains('*') { rest.ends_with(after) } else { rest.is_empty() || span.ends_with('/') };
            begins && ends
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_from_other_code() {
        let line = "`plan/choice.rs`, `docs/x-*.json` and `run.json`, `cargo run`, [a](b.md#c), [d](https://e.example)";
        assert_eq!(spans(line).filter(|span| is_path(span)).collect::<Vec<_>>(), ["plan/choice.rs", "docs/x-*.json"]);
        assert_eq!(targets(line).collect::<Vec<_>>(), ["b.md"]);
    }

    #[test]
    fn the_beginning_of_a_path_may_be_left_out() {
        let files = ["crates/a/src/plan/choice.rs".to_owned(), "docs/x-1.json".to_owned()];
        for span in ["plan/choice.rs", "choice.rs", "crates/a/src/plan/choice.rs", "docs/x-*.json", "crates/a/"] {
            assert!(exists(span, &files), "{span}");
        }
        for span in ["hoice.rs", "plan/chain.rs", "docs/y-*.json", "src/plan"] {
            assert!(!exists(span, &files), "{span}");
        }
    }
}
