//! Manifests: dependencies that nothing uses, and what a registry shows of a published crate.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use crate::git;
use crate::workspace::{Package, Workspace};

/// One message for each finding.
pub(crate) fn check(workspace: &Workspace) -> Result<Vec<String>> {
    let files = git::files(&workspace.root)?;
    let mut found = Vec::new();
    let mut used = BTreeSet::new();
    for package in &workspace.packages {
        used.extend(package.dependencies.iter().map(|dependency| dependency.name.clone()));
        let folder = package.folder();
        let folder = folder.strip_prefix(&workspace.root).context("a member lies outside of the workspace")?;
        let folder = format!("{}/", folder.display());
        let sources = files.iter().filter(|path| path.starts_with(&folder) && path.ends_with(".rs"));
        let sources: Vec<_> =
            sources.map(|path| std::fs::read_to_string(workspace.root.join(path))).collect::<Result<_, _>>()?;
        found.extend(unused(package, &sources));
        if package.is_published() && (package.keywords.is_empty() || package.categories.is_empty()) {
            found.push(format!("{}: a published crate has keywords and categories", package.name));
        }
        if package.is_published() && package.description.is_none() {
            found.push(format!("{}: a published crate has a description", package.name));
        }
    }
    let root = std::fs::read_to_string(workspace.root.join("Cargo.toml"))?;
    for name in declared(&root) {
        if !used.contains(name) {
            found.push(format!("Cargo.toml: `{name}` is in [workspace.dependencies] and no member uses it"));
        }
    }
    Ok(found)
}

/// Dependencies of `package` that its `sources` never name.
///
/// Those that are used without being named (through a file of another folder, or for a feature alone) are listed in the
/// manifest under `[package.metadata.xtask] unnamed = [..]`.
fn unused(package: &Package, sources: &[String]) -> Vec<String> {
    let unnamed = package.metadata["xtask"]["unnamed"].as_array().cloned().unwrap_or_default();
    let mut found = Vec::new();
    for dependency in &package.dependencies {
        let identifier = dependency.rename.as_ref().unwrap_or(&dependency.name).replace('-', "_");
        let named = sources.iter().any(|source| has_word(source, &identifier));
        let listed = unnamed.iter().any(|name| name == &dependency.name);
        if !named && !listed {
            found.push(format!("{}: `{}` is not used; remove it from the manifest", package.name, dependency.name));
        }
        if named && listed {
            found.push(format!("{}: `{}` is named; remove it from `unnamed`", package.name, dependency.name));
        }
    }
    found
}

/// Whether `text` has `word` with no letter, digit or underscore next to it.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(word)
        .any(|(at, _)| !is_part(text[..at].chars().next_back()) && !is_part(text[at + word.len()..].chars().next()))
}

/// Names in the table `[workspace.dependencies]` of a manifest.
fn declared(manifest: &str) -> Vec<&str> {
    let lines = manifest.lines().skip_while(|line| *line != "[workspace.dependencies]").skip(1);
    let table = lines.take_while(|line| !line.starts_with('['));
    table.filter(|line| !line.starts_with('#')).filter_map(|line| Some(line.split_once('=')?.0.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole() {
        assert!(has_word("use half::f16;", "half"));
        assert!(!has_word("let half_pixel = behalf;", "half"));
    }

    #[test]
    fn names_of_the_workspace_table_are_found() {
        let manifest = "[workspace]\nx = 1\n[workspace.dependencies]\n# a note = here\na-b = \"1\"\nc = { version = \"2\" }\n\n[x]\ny = 1\n";
        assert_eq!(declared(manifest), ["a-b", "c"]);
    }
}
