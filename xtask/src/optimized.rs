//! Whether a dev build compiles the kernels with optimization.
//!
//! The dev profile optimizes `hardnet-kernels` and little else. A generic function of it is compiled in the crate that
//! calls it, at that crate's level: a network then runs fifty times slower, and no test fails. So the object code of
//! the other members is searched for functions of the kernels.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::workspace::{Workspace, cargo};

/// Crates whose code must be compiled where it is optimized.
const COMPUTING: &[&str] = &["hardnet_kernels", "hardnet_simd"];

/// Members that the dev profile optimizes as well as these crates.
const OPTIMIZED: &[&str] = &["hardnet_data", "hardnet_kernels", "hardnet_simd"];

/// The largest function that may be compiled elsewhere, in bytes: what forwards a call, or drops a value.
const FORWARDING: u64 = 1024;

/// An artifact of a build, by Cargo's messages.
#[derive(Deserialize)]
struct Message {
    target: Option<Target>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Fails if a member holds object code of the kernels. Builds the tests with `options` of `cargo test`, unless they are
/// built.
pub(crate) fn run(workspace: &Workspace, options: &[&str]) -> Result<()> {
    let arguments = ["test", "--workspace", "--no-run", "--message-format", "json"];
    let built = cargo(&[&arguments, options].concat())?;
    let members: Vec<String> = workspace.packages.iter().map(|package| package.name.replace('-', "_")).collect();
    let (mut files, mut found) = (0, Vec::new());
    for line in built.lines() {
        let Ok(Message { target: Some(target), filenames }) = serde_json::from_str(line) else { continue };
        let name = target.name.replace('-', "_");
        if !members.contains(&name) || OPTIMIZED.contains(&name.as_str()) {
            continue;
        }
        for file in filenames.iter().filter(|file| file.extension().is_some_and(|extension| extension == "rlib")) {
            files += 1;
            let symbols = symbols(file)?;
            found.extend(
                functions(&symbols).into_iter().map(|(size, function)| format!("{name}: {function} ({size} bytes)")),
            );
        }
    }
    ensure!(files > 0, "no library was built");
    ensure!(
        found.is_empty(),
        "functions of the kernels are compiled in crates that a dev build does not optimize; make them, or the \
         function of the kernels that calls them, not generic:\n{}",
        found.join("\n")
    );
    println!("{files} libraries: no code of the kernels is compiled outside of them");
    Ok(())
}

fn symbols(file: &Path) -> Result<String> {
    let output = Command::new("nm")
        .args(["--print-size", "--defined-only", "--demangle", "--quiet"])
        .arg(file)
        .output()
        .context("cannot run `nm`, which comes with the linker (binutils)")?;
    ensure!(output.status.success(), "nm {}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Size and name of each function of the computing crates that does more than forward a call, in what `nm` prints:
/// address, size, kind and name.
fn functions(symbols: &str) -> Vec<(u64, &str)> {
    let function = |line| {
        let (_, rest) = str::split_once(line, ' ')?;
        let (size, rest) = rest.split_once(' ')?;
        let (kind, name) = rest.split_once(' ')?;
        let size = u64::from_str_radix(size, 16).ok()?;
        let is_code = matches!(kind, "t" | "T" | "w" | "W");
        let path = name.trim_start_matches(['<', '&']);
        let is_computing = COMPUTING.iter().any(|krate| path.strip_prefix(krate).is_some_and(|x| x.starts_with("::")));
        let is_derived = name.contains(" as core::");
        (is_code && is_computing && !is_derived && size > FORWARDING).then_some((size, name))
    };
    symbols.lines().filter_map(function).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_functions_of_the_kernels_that_compute() {
        let printed = "\
hardnet_engine.rcgu.o:

0000000000000000 0000000000002000 t hardnet_kernels::exec::run_with
0000000000000000 0000000000000100 t hardnet_kernels::inference::Program::run
0000000000000000 0000000000002000 t core::ptr::drop_in_place<hardnet_kernels::inference::Program>
0000000000000000 0000000000002000 t <hardnet_kernels::Error as core::fmt::Debug>::fmt
0000000000000000 0000000000002000 t hardnet_kernels_extra::run
0000000000000000 0000000000002000 W <hardnet_simd::Portable>::add
0000000000000000 0000000000002000 d hardnet_kernels::TABLE
";
        let names: Vec<&str> = functions(printed).into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["hardnet_kernels::exec::run_with", "<hardnet_simd::Portable>::add"]);
    }
}
