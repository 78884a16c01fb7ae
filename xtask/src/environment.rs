//! The environment variables: the page that lists them, and those that the sources name.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::git;
use crate::workspace::{Workspace, cargo_command, output};

/// The page that lists all variables.
pub(crate) const PAGE: &str = "docs/environment.md";

/// Not read when a program runs: set by build scripts for the compiler, or read by tests.
const OF_BUILDS_AND_TESTS: [&str; 3] = ["HARDNET_COMMIT", "HARDNET_TARGET", "HARDNET_TEST_DEVICE"];

/// A variable and its meaning, as `hardnet env` prints them.
#[derive(Debug, PartialEq)]
pub(crate) struct Variable {
    name: String,
    meaning: String,
}

/// Builds `hardnet` and asks it.
fn variables(workspace: &Workspace) -> Result<Vec<Variable>> {
    let build = cargo_command().current_dir(&workspace.root).args(["build", "-q", "-p", "hardnet-cli"]).status()?;
    ensure!(build.success(), "`cargo build -p hardnet-cli` failed");
    // Without variables, so that none is set.
    let mut command = Command::new(workspace.target.join("debug").join("hardnet"));
    let printed = output(command.env_clear().arg("env"))?;
    let variables = parse(&printed);
    ensure!(!variables.is_empty(), "`hardnet env` lists no variables:\n{printed}");
    Ok(variables)
}

/// The lines of `hardnet env` about variables that are not set.
fn parse(printed: &str) -> Vec<Variable> {
    let line = |line: &str| {
        let (name, meaning) = line.split_once(" (not set) ")?;
        Some(Variable { name: name.trim().to_owned(), meaning: meaning.trim().to_owned() })
    };
    printed.lines().filter_map(line).collect()
}

/// The table of the page.
pub(crate) fn section(workspace: &Workspace) -> Result<String> {
    let mut text = String::from("| variable | meaning |\n|---|---|\n");
    for Variable { name, meaning } in variables(workspace)? {
        text += &format!("| `{name}` | {} |\n", meaning.replace('|', "\\|"));
    }
    Ok(text)
}

/// One message for each variable of ours that the sources name and the page does not list.
///
/// That the page lists what `hardnet env` prints is a test of `hardnet-cli`, which has the program.
pub(crate) fn check(workspace: &Workspace) -> Result<Vec<String>> {
    let page = std::fs::read_to_string(workspace.root.join(PAGE)).with_context(|| format!("cannot read `{PAGE}`"))?;
    let listed: BTreeSet<&str> =
        page.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0)).collect();
    let mut found = Vec::new();
    for path in git::files(&workspace.root)? {
        if !path.ends_with(".rs") || path.starts_with("xtask/") {
            continue;
        }
        let text =
            std::fs::read_to_string(workspace.root.join(&path)).with_context(|| format!("cannot read `{path}`"))?;
        for name in quoted(&text) {
            if !listed.contains(name) && !OF_BUILDS_AND_TESTS.contains(&name) {
                found.push(format!("{path}: `{name}` is not in {PAGE}; is it in the table of `hardnet env`?"));
            }
        }
    }
    Ok(found)
}

/// Names of our variables that `text` has between quotation marks.
fn quoted(text: &str) -> BTreeSet<&str> {
    let is_name =
        |name: &&str| name.starts_with("HARDNET_") && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    text.split('"').filter(is_name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_between_quotation_marks_are_found() {
        let text = r#"env("HARDNET_ISA"), "see HARDNET_CACHE", "HARDNET_DEVICE" "hardnet""#;
        assert_eq!(quoted(text), BTreeSet::from(["HARDNET_DEVICE", "HARDNET_ISA"]));
    }

    #[test]
    fn lines_of_the_program_are_read() {
        let printed = "version       0.1.0 (commit x)\n\nHF_HOME      (not set)       folder of the cache\n";
        assert_eq!(parse(printed), [Variable { name: "HF_HOME".into(), meaning: "folder of the cache".into() }]);
    }
}
