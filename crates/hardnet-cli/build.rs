//! Passes the commit to the program, for the lines that make a result reproducible.

use std::process::Command;

fn main() {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok().map(|text| text.trim().to_string())
    };
    // A published package is no checkout of ours, but may lie inside another one.
    let ours = std::path::Path::new("../../.git").exists();
    let commit = if ours { git(&["rev-parse", "--short=12", "HEAD"]) } else { None };
    println!("cargo::rustc-env=HARDNET_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    println!("cargo::rustc-env=HARDNET_TARGET={}", std::env::var("TARGET").unwrap_or_default());
    // In a linked worktree it is elsewhere, and a file that is not there would be one that has changed.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|_| ours) {
        println!("cargo::rerun-if-changed={log}");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
