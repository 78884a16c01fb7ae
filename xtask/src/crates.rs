//! Which crate depends on which: the diagram of `docs/architecture.md`, and limits on what is compiled.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use anyhow::{Context, Result};

use crate::workspace::{Workspace, cargo};

/// The file that holds the number of crates of the default build that are not members of the workspace.
const COUNT: &str = ".ci/crates";

/// The platform that the number is of.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Crates that compile without Candle, with the features that they do so with.
const WITHOUT_CANDLE: &[(&str, &str)] = &[
    ("hardnet", "data,hub"),
    ("hardnet-base", ""),
    ("hardnet-checkpoint", ""),
    ("hardnet-complexity", ""),
    ("hardnet-data", ""),
    ("hardnet-engine", ""),
    ("hardnet-eval", ""),
    ("hardnet-graph", ""),
    ("hardnet-kernels", ""),
    ("hardnet-onnx", ""),
    ("hardnet-params", ""),
    ("hardnet-simd", ""),
];

/// One message for each limit that is not kept.
pub(crate) fn check(workspace: &Workspace) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let stored =
        std::fs::read_to_string(workspace.root.join(COUNT)).with_context(|| format!("cannot read `{COUNT}`"))?;
    let stored: usize = stored.trim().parse().with_context(|| format!("`{COUNT}` does not hold a number"))?;
    let is_member =
        |found: &str| workspace.packages.iter().any(|package| found.starts_with(&format!("{} v", package.name)));
    let count = tree("hardnet-cli", &[])?.iter().filter(|found| !is_member(found)).count();
    if count > stored {
        found.push(format!(
            "a plain `cargo build -p hardnet-cli` compiles {count} third-party crates, and `{COUNT}` allows {stored}. \
             `cargo tree -p hardnet-cli -e normal` shows what brings them in: do without, or turn features off. \
             If the crate is worth its time, raise the number in a commit that says why"
        ));
    }
    if count < stored {
        found.push(format!(
            "the default build has {count} third-party crates: lower the number in `{COUNT}` from {stored}"
        ));
    }
    for (name, features) in WITHOUT_CANDLE {
        if workspace.package(name).is_none() {
            continue;
        }
        let crates = tree(name, &["--no-default-features", "--features", features])?;
        if let Some(candle) = crates.iter().find(|found| found.starts_with("candle-")) {
            found.push(format!(
                "`{name}` compiles `{candle}`: `cargo tree -p {name} --no-default-features --features '{features}' \
                 -e normal -i candle-core` shows by which crate"
            ));
        }
    }
    Ok(found)
}

/// Name and version of each crate that a build of `package` compiles, build scripts and procedural macros among them.
fn tree(package: &str, features: &[&str]) -> Result<BTreeSet<String>> {
    let mut arguments = vec!["tree", "-p", package, "-e", "normal", "--prefix", "none", "--target", TARGET];
    arguments.extend(["--format", "{p}"]);
    arguments.extend(features);
    let printed = cargo(&arguments)?;
    Ok(printed
        .lines()
        .filter_map(|line| Some(line.split(" (").next()?.trim().to_owned()))
        .filter(|name| !name.is_empty())
        .collect())
}

/// The published crates and their arrows, without those that follow from others.
struct Graph<'a> {
    /// For each crate the crates that it always needs, and those that a feature brings.
    edges: BTreeMap<&'a str, (BTreeSet<&'a str>, BTreeSet<&'a str>)>,
    /// Crates that depend on Candle directly and always.
    on_candle: BTreeSet<&'a str>,
}

impl<'a> Graph<'a> {
    fn new(workspace: &'a Workspace) -> Self {
        let published: BTreeSet<_> = workspace
            .packages
            .iter()
            .filter(|package| package.is_published())
            .map(|package| package.name.as_str())
            .collect();
        let (mut edges, mut on_candle) = (BTreeMap::new(), BTreeSet::new());
        for package in workspace.packages.iter().filter(|package| package.is_published()) {
            let (mut always, mut by_feature) = (BTreeSet::new(), BTreeSet::new());
            for dependency in package.dependencies.iter().filter(|dependency| dependency.is_normal()) {
                if dependency.name == "candle-core" && !dependency.optional {
                    on_candle.insert(package.name.as_str());
                }
                let Some(name) = published.get(dependency.name.as_str()) else { continue };
                if dependency.optional {
                    by_feature.insert(*name)
                } else {
                    always.insert(*name)
                };
            }
            edges.insert(package.name.as_str(), (always, by_feature));
        }
        Self { edges, on_candle }
    }

    /// Everything that `name` always needs, itself left out.
    fn below(&self, name: &'a str) -> BTreeSet<&'a str> {
        let mut found = BTreeSet::new();
        let mut open = vec![name];
        while let Some(next) = open.pop() {
            open.extend(self.edges[next].0.iter().filter(|below| found.insert(**below)));
        }
        found
    }

    /// The length of the longest way down.
    fn level(&self, name: &'a str) -> usize {
        let (always, by_feature) = &self.edges[name];
        always.iter().chain(by_feature).map(|below| 1 + self.level(below)).max().unwrap_or(0)
    }

    /// The direct dependencies that do not follow from others; those of features are marked.
    fn reduced(&self, name: &'a str) -> Vec<String> {
        let (always, by_feature) = &self.edges[name];
        let implied: BTreeSet<_> = always.iter().flat_map(|below| self.below(below)).collect();
        let needed = always.iter().filter(|below| !implied.contains(*below)).map(ToString::to_string);
        let optional = by_feature.iter().filter(|below| !implied.contains(*below) && !always.contains(*below));
        needed.chain(optional.map(|below| format!("{below}?"))).collect()
    }

    fn uses_candle(&self, name: &'a str) -> bool {
        self.on_candle.contains(name) || self.below(name).iter().any(|below| self.on_candle.contains(below))
    }
}

/// The diagram and the table of crates, as Markdown.
pub(crate) fn section(workspace: &Workspace) -> String {
    let graph = Graph::new(workspace);
    let mut names: Vec<_> = graph.edges.keys().copied().map(|name| (graph.level(name), name)).collect();
    names.sort_by(|(a, left), (b, right)| b.cmp(a).then(left.cmp(right)));
    let wide = names.iter().map(|(_, name)| name.len()).max().unwrap_or(0);
    let mut text = String::from("```text\n");
    let mut last = None;
    for (level, name) in &names {
        if last.is_some_and(|last| last != *level) {
            text.push('\n');
        }
        last = Some(*level);
        let mark = if graph.uses_candle(name) { '*' } else { ' ' };
        let below = graph.reduced(name).join("  ");
        let arrow = if below.is_empty() { String::new() } else { format!("  ->  {below}") };
        let _ = writeln!(text, "{}", format!("{mark} {name:<wide$}{arrow}").trim_end());
    }
    text += "```\n\n`*` compiles Candle by default, `?` depends on a feature. Transitive dependencies are omitted.\n\n";
    text += "| crate | in one sentence | folder |\n|---|---|---|\n";
    let packages = workspace.packages.iter();
    for package in packages {
        let folder = package.folder();
        let folder = folder.strip_prefix(&workspace.root).unwrap_or(&folder).display();
        let note = if package.is_published() { "" } else { " (not published)" };
        let description = package.description.as_deref().unwrap_or("-");
        let _ = writeln!(text, "| `{}` | {description}{note} | `{folder}/` |", package.name);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_that_follow_from_others_are_left_out() {
        let of = |names: &[&'static str]| names.iter().copied().collect::<BTreeSet<_>>();
        let edges = BTreeMap::from([
            ("a", (of(&["b", "c"]), of(&["d", "e"]))),
            ("b", (of(&["c"]), of(&[]))),
            ("c", (of(&["d"]), of(&[]))),
            ("d", (of(&[]), of(&[]))),
            ("e", (of(&[]), of(&[]))),
        ]);
        let graph = Graph { edges, on_candle: of(&["c"]) };
        assert_eq!(graph.reduced("a"), ["b", "e?"]);
        assert_eq!(graph.level("a"), 3);
        assert!(graph.uses_candle("b") && !graph.uses_candle("d"));
    }
}
