//! The folder of a run. Its files are written atomically.
//!
//! A file is written as `NAME.partial`, synced to disk and renamed: whatever happens, `NAME` has either the old content
//! or the new one. The state is written last, so that it never refers to missing files.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A file of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunFile {
    /// The weights after the last finished epoch.
    Last,
    /// The weights after the best finished epoch.
    Best,
    /// The weights after this epoch, from 1.
    Epoch(u32),
    /// The state from which a run resumes.
    State,
    /// Metrics: a line of JSON for each finished epoch.
    Metrics,
    /// Plot of loss and accuracy.
    Curves,
    /// Settings of the run as JSON.
    Settings,
    /// The training images: a line `name label` for each.
    TrainingImages,
    /// The validation images in the same way.
    ValidationImages,
}

impl RunFile {
    /// Name of the file.
    pub fn name(self) -> String {
        match self {
            Self::Last => "last.safetensors".into(),
            Self::Best => "best.safetensors".into(),
            Self::Epoch(epoch) => format!("epoch-{epoch:04}.safetensors"),
            Self::State => "state.safetensors".into(),
            Self::Metrics => "metrics.jsonl".into(),
            Self::Curves => "curves.svg".into(),
            Self::Settings => "run.json".into(),
            Self::TrainingImages => "train-images.txt".into(),
            Self::ValidationImages => "val-images.txt".into(),
        }
    }
}

/// The folder of a run, locked against other processes.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    _lock: File,
}

impl RunFolder {
    /// Locks `path` for a new run, and creates the folder if it is missing. With `replace`, the files of an existing
    /// run are removed, the state first.
    ///
    /// # Errors
    ///
    /// [`Error::RunExists`] if there is a run, [`Error::FolderLocked`] if another process uses the folder,
    /// [`Error::Io`].
    pub fn create(path: impl Into<PathBuf>, replace: bool) -> Result<Self> {
        let folder = Self::lock(path.into())?;
        if folder.has(RunFile::State) {
            if !replace {
                return Err(Error::RunExists { path: folder.path });
            }
            folder.clear()?;
        }
        Ok(folder)
    }

    /// Locks `path` to resume the run in it.
    ///
    /// # Errors
    ///
    /// [`Error::NoRun`] if there is none, [`Error::FolderLocked`], [`Error::Io`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        if !path.join(RunFile::State.name()).is_file() {
            return Err(Error::NoRun { path });
        }
        Self::lock(path)
    }

    /// Removes every file of a run.
    fn clear(&self) -> Result<()> {
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| Error::Io { action, path, source }
        };
        let state = self.path(RunFile::State);
        fs::remove_file(&state).map_err(failed("remove", &state))?;
        let others = [RunFile::Last, RunFile::Best, RunFile::Metrics, RunFile::Curves, RunFile::Settings];
        let lists = [RunFile::TrainingImages, RunFile::ValidationImages];
        let others: Vec<String> = others.into_iter().chain(lists).map(RunFile::name).collect();
        for entry in fs::read_dir(&self.path).map_err(failed("read", &self.path))? {
            let entry = entry.map_err(failed("read", &self.path))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_epoch = name.starts_with("epoch-") && name.ends_with(".safetensors");
            if is_epoch || others.contains(&name) {
                fs::remove_file(entry.path()).map_err(failed("remove", &entry.path()))?;
            }
        }
        Ok(())
    }

    fn lock(path: PathBuf) -> Result<Self> {
        let failed = |action: &'static str| {
            let path = path.clone();
            move |source| Error::Io { action, path, source }
        };
        fs::create_dir_all(&path).map_err(failed("create"))?;
        let lock = path.join(".lock");
        // Not truncated: another process may have locked it.
        let file = File::options().write(true).create(true).truncate(false).open(&lock).map_err(failed("write to"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::FolderLocked { path }),
            // On a file system without locks there is none.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(failed("lock")(error)),
        }
        Ok(Self { path, _lock: file })
    }

    /// Path of the folder.
    pub fn as_path(&self) -> &Path {
        &self.path
    }

    /// Path of a file, whether or not it exists.
    pub fn path(&self, file: RunFile) -> PathBuf {
        self.path.join(file.name())
    }

    /// Whether a file exists.
    pub fn has(&self, file: RunFile) -> bool {
        self.path(file).is_file()
    }

    /// Writes `file` atomically with `write`. If that fails, the file is unchanged.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], also for [`hardnet_params::Error::Write`] from `write`; its other errors as they are.
    pub fn write(&self, file: RunFile, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
        let path = self.path(file);
        let partial = self.path.join(format!("{}.partial", file.name()));
        let result = self.write_partial(&partial, &path, write);
        if result.is_err() {
            // The partial file is useless, and its space may be needed.
            let _ = fs::remove_file(&partial);
        }
        result
    }

    fn write_partial(
        &self,
        partial: &Path,
        path: &Path,
        write: impl FnOnce(&mut dyn Write) -> Result<()>,
    ) -> Result<()> {
        let failed = |source| Error::Io { action: "write", path: path.into(), source };
        let mut out = BufWriter::with_capacity(1 << 20, File::create(partial).map_err(failed)?);
        match write(&mut out) {
            Err(Error::Params(hardnet_params::Error::Write(source))) => return Err(failed(source)),
            other => other?,
        }
        out.flush().map_err(failed)?;
        out.get_ref().sync_all().map_err(failed)?;
        drop(out);
        fs::rename(partial, path).map_err(failed)?;
        // The rename is durable once the folder is synced, which not every system supports.
        if let Ok(folder) = File::open(&self.path) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &RunFolder, text: &str) -> Result<()> {
        folder.write(RunFile::State, |out| {
            out.write_all(text.as_bytes()).map_err(|error| Error::Params(hardnet_params::Error::Write(error)))
        })
    }

    #[test]
    fn a_failed_write_leaves_the_file_unchanged() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(temporary.path().join("a/run"), false).unwrap();
        write(&folder, "whole").unwrap();
        let failed = folder.write(RunFile::State, |out| {
            out.write_all(&[0; 3 << 20]).unwrap();
            Err(Error::Params(hardnet_params::Error::Write(io::ErrorKind::StorageFull.into())))
        });
        assert!(matches!(failed, Err(Error::Io { action: "write", .. })), "{failed:?}");
        assert_eq!(fs::read(folder.path(RunFile::State)).unwrap(), b"whole");
        let mut names: Vec<_> =
            fs::read_dir(folder.as_path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [".lock", "state.safetensors"]);
    }

    #[test]
    fn a_folder_has_one_run_and_one_process() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path();
        assert!(matches!(RunFolder::open(path), Err(Error::NoRun { .. })));
        let folder = RunFolder::create(path, false).unwrap();
        assert!(matches!(RunFolder::create(path, false), Err(Error::FolderLocked { .. })));
        write(&folder, "state").unwrap();
        drop(folder);
        assert!(matches!(RunFolder::create(path, false), Err(Error::RunExists { .. })));
        drop(RunFolder::open(path).unwrap());
        for name in ["epoch-0003.safetensors", "last.safetensors", "notes.txt"] {
            fs::write(path.join(name), "").unwrap();
        }
        let folder = RunFolder::create(path, true).unwrap();
        assert!(!folder.has(RunFile::State) && !folder.has(RunFile::Last) && !folder.has(RunFile::Epoch(3)));
        assert!(path.join("notes.txt").exists());
    }
}
