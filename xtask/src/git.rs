//! The files of the repository.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::workspace::output;

/// Paths of the files that belong to the repository, relative to its `root`.
pub(crate) fn files(root: &Path) -> Result<Vec<String>> {
    let command = &mut Command::new("git");
    let listed = output(command.current_dir(root).args(["ls-files", "--cached", "--others", "--exclude-standard"]))?;
    Ok(listed.lines().filter(|path| root.join(path).is_file()).map(str::to_owned).collect())
}
