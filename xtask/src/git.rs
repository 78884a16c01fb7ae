//! The files of the repository.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::workspace::output;

/// Paths of the files that belong to the repository, those in the folder `root` and relative to it.
pub(crate) fn files(root: &Path) -> Result<Vec<String>> {
    let command = &mut Command::new("git");
    let listed = output(command.current_dir(root).args(["ls-files", "--cached", "--others", "--exclude-standard"]))?;
    Ok(listed.lines().filter(|path| root.join(path).is_file()).map(str::to_owned).collect())
}

/// Git's hashes of the files `paths` of the folder `root`.
pub(crate) fn hashes(root: &Path, paths: &[String]) -> Result<Vec<String>> {
    let mut command = Command::new("git");
    let hashes = output(command.current_dir(root).args(["hash-object", "--no-filters", "--"]).args(paths))?;
    Ok(hashes.lines().map(str::to_owned).collect())
}
