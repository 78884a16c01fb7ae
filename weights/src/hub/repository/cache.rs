//! The Hub's cache on disk, with the layout and the locks of Python's `huggingface_hub`.
//!
//! ```text
//! models--owner--name/blobs/ETAG                          the content
//! models--owner--name/snapshots/COMMIT/FILE               a link to it
//! models--owner--name/refs/REVISION                       the commit of a branch or tag
//! .locks/models--owner--name/ETAG.lock                    held during a download of ETAG
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hardnet_base::AtomicFile;
use hf_hub::{Cache, CacheRepo, Repo, RepoType};

use crate::source::HubFile;

/// Paths of one file in a cache.
pub(super) struct CachedFile<'a> {
    file: &'a HubFile,
    folder: PathBuf,
    locks: PathBuf,
    repo: CacheRepo,
}

impl<'a> CachedFile<'a> {
    pub(super) fn new(cache: &Path, file: &'a HubFile) -> Self {
        let repo = hub_repo(file);
        let name = repo.folder_name();
        Self {
            file,
            folder: cache.join(&name),
            locks: cache.join(".locks").join(name),
            repo: Cache::new(cache.into()).repo(repo),
        }
    }

    /// The file, if it is cached.
    pub(super) fn find(&self) -> Option<PathBuf> {
        let pinned = is_commit(&self.file.revision).then(|| self.pointer(&self.file.revision));
        pinned.filter(|path| path.exists()).or_else(|| self.repo.get(&self.file.file))
    }

    /// Path of the file at a commit.
    pub(super) fn pointer(&self, commit: &str) -> PathBuf {
        let mut path = self.repo.pointer_path(commit);
        path.extend(self.file.file.split('/'));
        path
    }

    /// Path of the content with that ETag.
    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.repo.blob_path(etag)
    }

    /// Partial download of the content with that ETag. The name differs from Python's, which must not resume it.
    pub(super) fn part(&self, etag: &str) -> PathBuf {
        self.blob(&format!("{etag}.hardnet.part"))
    }

    /// Lock file of the content with that ETag.
    pub(super) fn lock(&self, etag: &str) -> PathBuf {
        self.locks.join(format!("{etag}.lock"))
    }

    /// Links the file at `commit` to its content, and the revision to `commit`. Returns the path of the file.
    pub(super) fn link(&self, etag: &str, commit: &str) -> io::Result<PathBuf> {
        let pointer = self.pointer(commit);
        let folder = pointer.parent().expect("a file is in a folder");
        fs::create_dir_all(folder)?;
        if !pointer.exists() {
            // Up from the folder of the file, past `snapshots/COMMIT`.
            let up = "../".repeat(self.file.file.split('/').count() + 1);
            link_or_copy(&pointer, Path::new(&format!("{up}blobs/{etag}")), &self.blob(etag))?;
        }
        if self.file.revision != commit {
            let path = self.folder.join("refs").join(&self.file.revision);
            if fs::read_to_string(&path).ok().as_deref() != Some(commit) {
                AtomicFile::replace(&path, commit.as_bytes())?;
            }
        }
        Ok(pointer)
    }
}

/// The repository, as hf-hub represents it.
pub(super) fn hub_repo(file: &HubFile) -> Repo {
    Repo::with_revision(file.repository.clone(), RepoType::Model, file.revision.clone())
}

/// Whether a revision is a commit, which never changes.
fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Makes `pointer` a link to `target`, the relative path of `blob`, or a copy of `blob` on a system without links.
fn link_or_copy(pointer: &Path, target: &Path, blob: &Path) -> io::Result<()> {
    // A link whose blob is gone.
    if pointer.symlink_metadata().is_ok() {
        fs::remove_file(pointer)?;
    }
    match link(target, pointer) {
        Ok(()) => Ok(()),
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(_) => {
            let mut copy = AtomicFile::create(pointer)?;
            io::copy(&mut fs::File::open(blob)?, &mut copy)?;
            copy.sync()?;
            copy.commit()
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
    fn a_link_without_a_blob_is_not_a_file_and_is_replaced() {
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
}
