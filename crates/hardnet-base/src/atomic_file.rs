//! Files that appear under their name only when they are complete.

use std::fs;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A file that is written under a temporary name next to its path and renamed when it is committed.
///
/// Readers of the path find the old content or the new one, never a part. Dropping it uncommitted removes what was
/// written. Its permissions are those of any program's new file, by the umask.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    file: NamedTempFile,
}

impl AtomicFile {
    /// Creates a temporary file in the folder of `path`, which must exist.
    ///
    /// # Errors
    /// The operating system's reason.
    pub fn create(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let mut builder = tempfile::Builder::new();
        builder.prefix(".hardnet-");
        // A temporary file is its owner's alone unless told otherwise.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(folder(&path))?;
        Ok(Self { path, file })
    }

    /// Writes `bytes` to `path`, durably: [`create`](Self::create), [`sync`](Self::sync) and [`commit`](Self::commit).
    /// Creates missing folders.
    ///
    /// # Errors
    /// The operating system's reason.
    pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
        fs::create_dir_all(folder(path))?;
        let mut file = Self::create(path)?;
        file.write_all(bytes)?;
        file.sync()?;
        file.commit()
    }

    /// The path that the file will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until what was written is on the disk.
    ///
    /// # Errors
    /// The operating system's reason.
    pub fn sync(&self) -> io::Result<()> {
        self.file.as_file().sync_all()
    }

    /// Gives the file its name, in place of a file that has it.
    ///
    /// # Errors
    /// The operating system's reason; what was written is then removed.
    pub fn commit(self) -> io::Result<()> {
        self.file.persist(&self.path)?;
        Ok(())
    }

    /// Gives the file its name unless another file has it.
    ///
    /// # Errors
    /// `AlreadyExists`, or the operating system's reason; what was written is then removed.
    pub fn commit_new(self) -> io::Result<()> {
        self.file.persist_noclobber(&self.path)?;
        Ok(())
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.as_file_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_file_mut().flush()
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, position: io::SeekFrom) -> io::Result<u64> {
        self.file.as_file_mut().seek(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        fs::read_dir(folder).unwrap().map(name).collect()
    }

    #[test]
    fn a_file_has_its_name_when_it_is_committed_and_leaves_nothing_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        assert!(!path.exists());
        drop(file);
        assert!(names(folder.path()).is_empty());
        AtomicFile::replace(&path, b"old").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(file.commit_new().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!((fs::read(&path).unwrap(), names(folder.path())), (b"old".to_vec(), vec!["file".to_owned()]));
        AtomicFile::replace(&path, b"new").unwrap();
        assert_eq!((fs::read(&path).unwrap(), names(folder.path())), (b"new".to_vec(), vec!["file".to_owned()]));
    }

    #[cfg(unix)]
    #[test]
    fn committed_files_have_the_mode_of_ordinary_ones() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        let (ours, ordinary) = (folder.path().join("a/ours"), folder.path().join("ordinary"));
        AtomicFile::replace(&ours, b"x").unwrap();
        fs::write(&ordinary, "x").unwrap();
        assert_eq!(mode(&ours), mode(&ordinary));
    }
}
