//! Git's hashes of sources and of what is made of them.

use std::error::Error;
use std::path::Path;
use std::process::Command;

/// The list of files, and the folders of the package that it covers.
const LIST: &str = "proto/hashes.txt";
const FOLDERS: [&str; 2] = ["proto/", "src/grpc/generated/"];

/// The files of `package` with their hashes, a line for each.
pub(crate) fn list(package: &Path) -> Result<String, Box<dyn Error>> {
    let files = git(package, &["ls-files", "--cached", "--others", "--exclude-standard", "--"], &FOLDERS)?;
    let mut paths: Vec<&str> = files.lines().filter(|path| *path != LIST && package.join(path).is_file()).collect();
    paths.sort_unstable();
    let hashes = git(package, &["hash-object", "--no-filters", "--"], &paths)?;
    Ok(hashes.lines().zip(paths).map(|(hash, path)| format!("{hash} {path}\n")).collect())
}

fn git(folder: &Path, arguments: &[&str], paths: &[&str]) -> Result<String, Box<dyn Error>> {
    let output = Command::new("git").current_dir(folder).args(arguments).args(paths).output()?;
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout)?),
        false => Err(format!("git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim()).into()),
    }
}
