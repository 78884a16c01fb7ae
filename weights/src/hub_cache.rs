//! The Hub's cache on disk, as Python's `huggingface_hub` lays it out and locks it.
//!
//! ```text
//! models--owner--name/blobs/ETAG                          the content
//! models--owner--name/snapshots/COMMIT/FILE               a link to it
//! models--owner--name/refs/REVISION                       the commit that a branch or tag was at
//! .locks/models--owner--name/ETAG.lock                    held while ETAG is fetched
//! ```

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use hf_hub::{Cache, CacheRepo, Repo, RepoType};

use crate::source::HubFile;

/// Where one file is in a cache.
pub(crate) struct CachedFile<'a> {
    file: &'a HubFile,
    folder: PathBuf,
    locks: PathBuf,
    repository: CacheRepo,
}

impl<'a> CachedFile<'a> {
    pub(crate) fn new(cache: &Path, file: &'a HubFile) -> Self {
        let repo = repository(file);
        let name = repo.folder_name();
        Self {
            file,
            folder: cache.join(&name),
            locks: cache.join(".locks").join(name),
            repository: Cache::new(cache.into()).repo(repo),
        }
    }

    /// The file, if it is there.
    pub(crate) fn find(&self) -> Option<PathBuf> {
        let pinned = is_commit(&self.file.revision).then(|| self.pointer(&self.file.revision));
        pinned.filter(|path| path.exists()).or_else(|| self.repository.get(&self.file.file))
    }

    /// The file as of a commit.
    pub(crate) fn pointer(&self, commit: &str) -> PathBuf {
        let mut path = self.repository.pointer_path(commit);
        path.extend(self.file.file.split('/'));
        path
    }

    /// The content of that name.
    pub(crate) fn blob(&self, etag: &str) -> PathBuf {
        self.repository.blob_path(etag)
    }

    /// The content of that name while it arrives. Python's parts have other names: it continues none.
    pub(crate) fn part(&self, etag: &str) -> PathBuf {
        self.blob(&format!("{etag}.hardnet.part"))
    }

    /// The lock of the content of that name.
    pub(crate) fn lock(&self, etag: &str) -> PathBuf {
        self.locks.join(format!("{etag}.lock"))
    }

    /// Makes the blob the file of `commit`, and `commit` that of the revision; the file.
    pub(crate) fn link(&self, etag: &str, commit: &str) -> io::Result<PathBuf> {
        let pointer = self.pointer(commit);
        let folder = pointer.parent().expect("a file is in a folder");
        fs::create_dir_all(folder)?;
        if !pointer.exists() {
            // Up from the folder of the file, past `snapshots/COMMIT`.
            let up = "../".repeat(self.file.file.split('/').count() + 1);
            point(&pointer, Path::new(&format!("{up}blobs/{etag}")), &self.blob(etag))?;
        }
        if self.file.revision != commit {
            let path = self.folder.join("refs").join(&self.file.revision);
            if fs::read_to_string(&path).ok().as_deref() != Some(commit) {
                replace(&path, commit.as_bytes())?;
            }
        }
        Ok(pointer)
    }
}

/// The repository as hf-hub sees it.
pub(crate) fn repository(file: &HubFile) -> Repo {
    Repo::with_revision(file.repository.clone(), RepoType::Model, file.revision.clone())
}

/// Whether a revision is a commit, which never changes.
fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Makes `pointer` a link to `target`, which is `blob`, or a copy of `blob` where links cannot be made.
fn point(pointer: &Path, target: &Path, blob: &Path) -> io::Result<()> {
    // A link whose blob is gone.
    if pointer.symlink_metadata().is_ok() {
        fs::remove_file(pointer)?;
    }
    match link(target, pointer) {
        Ok(()) => Ok(()),
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(_) => {
            let folder = pointer.parent().expect("a file is in a folder");
            let mut copy = tempfile::NamedTempFile::new_in(folder)?;
            io::copy(&mut fs::File::open(blob)?, &mut copy)?;
            publish(copy, pointer)
        }
    }
}

#[cfg(unix)]
fn link(target: &Path, pointer: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, pointer)
}

#[cfg(windows)]
fn link(target: &Path, pointer: &Path) -> io::Result<()> {
    let target = target.components().collect::<PathBuf>();
    std::os::windows::fs::symlink_file(target, pointer)
}

#[cfg(not(any(unix, windows)))]
fn link(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Writes a file so that readers find the old or the new one, whole.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().expect("a file is in a folder");
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    publish(file, path)
}

/// Gives a temporary file its name, and the mode that an ordinary file would have.
pub(crate) fn publish(file: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
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

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn file(revision: &str, name: &str) -> HubFile {
        HubFile { repository: "a/b".into(), revision: revision.into(), file: name.into() }
    }

    #[test]
    fn files_are_found_by_branch_tag_and_commit() {
        let cache = tempfile::tempdir().unwrap();
        let named = file("feature/x", "f16/w.bin");
        let cached = CachedFile::new(cache.path(), &named);
        assert_eq!(cached.find(), None);
        fs::create_dir_all(cached.blob("e").parent().unwrap()).unwrap();
        fs::write(cached.blob("e"), "content").unwrap();
        let path = cached.link("e", COMMIT).unwrap();
        assert_eq!(cached.find(), Some(path.clone()));
        assert_eq!(fs::read(&path).unwrap(), b"content");
        assert_eq!(path, cache.path().join("models--a--b/snapshots").join(COMMIT).join("f16/w.bin"));
        let by_commit = file(COMMIT, "f16/w.bin");
        assert_eq!(CachedFile::new(cache.path(), &by_commit).find(), Some(path));
        assert_eq!(CachedFile::new(cache.path(), &file("main", "f16/w.bin")).find(), None);
        assert_eq!(CachedFile::new(cache.path(), &file("feature/x", "w.bin")).find(), None);
    }

    #[test]
    fn locks_are_those_of_python() {
        let file = file("main", "w.bin");
        let lock = CachedFile::new(Path::new("cache"), &file).lock("e");
        assert_eq!(lock, Path::new("cache/.locks/models--a--b/e.lock"));
    }

    #[test]
    fn a_link_without_a_blob_is_no_file_and_is_made_anew() {
        let cache = tempfile::tempdir().unwrap();
        let file = file("main", "w.bin");
        let cached = CachedFile::new(cache.path(), &file);
        cached.link("e", COMMIT).unwrap();
        assert_eq!(cached.find(), None);
        fs::create_dir_all(cached.blob("f").parent().unwrap()).unwrap();
        fs::write(cached.blob("f"), "content").unwrap();
        cached.link("f", COMMIT).unwrap();
        assert_eq!(fs::read(cached.find().unwrap()).unwrap(), b"content");
    }

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
