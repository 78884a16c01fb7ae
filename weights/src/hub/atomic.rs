//! Files that appear under their name only when they are complete.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Writes a file atomically: readers find the old content or the new one.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().expect("a file is in a folder");
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    publish(file, path)
}

/// Moves a temporary file to `path`, with the permissions of an ordinary file.
pub(super) fn publish(file: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let folder = path.parent().expect("a file is in a folder");
        let probe = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o666)).tempfile_in(folder)?;
        fs::set_permissions(file.path(), probe.as_file().metadata()?.permissions())?;
    }
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn published_files_have_the_mode_of_ordinary_ones() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        let (ours, ordinary) = (folder.path().join("ours"), folder.path().join("ordinary"));
        replace(&ours, b"x").unwrap();
        fs::write(&ordinary, "x").unwrap();
        assert_eq!(mode(&ours), mode(&ordinary));
    }
}
