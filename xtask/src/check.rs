//! `cargo xtask check`.

use anyhow::{Result, bail};

use crate::workspace::Workspace;
use crate::{crates, environment, generated, manifests, paths, prose, protocol};

/// Prints everything that is wrong, and fails if anything is.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let checks = [
        ("prose", prose::check(&workspace.root)?),
        ("paths", paths::check(&workspace.root)?),
        ("manifests", manifests::check(workspace)?),
        ("crates", crates::check(workspace)?),
        ("environment variables", environment::check(workspace)?),
        ("generated documentation", generated::check(workspace)?),
        ("protocol buffers", protocol::check(&workspace.root)?),
    ];
    let mut count = 0;
    for (name, found) in checks {
        println!("{name}: {}", if found.is_empty() { "ok" } else { "not ok" });
        for message in &found {
            println!("  {message}");
        }
        count += found.len();
    }
    if count > 0 {
        bail!("{count} findings");
    }
    Ok(())
}
