//! Locks between processes, those of Python's `filelock` among them: `flock` on a file that stays.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::event::{Event, Watch};

/// How often a lock that is held is tried again.
const TRY_EVERY: Duration = Duration::from_millis(50);

/// A lock that is held until dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits until no other process holds the lock at `path`.
    ///
    /// Where the file system knows no locks there is none: two processes may then fetch the same file, and the second
    /// replaces the first one's by its equal.
    pub(crate) fn hold(path: &Path, watch: &mut Watch) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut told = false;
        loop {
            // Not truncated: it may be another's, who may have written into it.
            let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
            match file.try_lock() {
                Ok(()) if is_at(&file, path) => return Ok(Self { _file: file }),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    if !std::mem::replace(&mut told, true) {
                        watch(Event::Locked(path));
                    }
                    thread::sleep(TRY_EVERY);
                }
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    return Ok(Self { _file: file });
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

/// Whether `path` still names the file that was locked: whoever removed it in between has made the lock worthless.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(theirs)) => (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()),
        _ => false,
    }
}

/// An open file cannot be removed here.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_held_lock_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.lock");
        let first = Lock::hold(&path, &mut |_| panic!("nobody holds it")).unwrap();
        let (told, waiting) = mpsc::channel();
        let second = {
            let path = path.clone();
            thread::spawn(move || Lock::hold(&path, &mut |_| told.send(()).unwrap()).map(drop))
        };
        waiting.recv().unwrap();
        assert!(!second.is_finished());
        drop(first);
        second.join().unwrap().unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_whose_file_was_removed_is_taken_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.lock");
        let first = Lock::hold(&path, &mut |_| {}).unwrap();
        fs::remove_file(&path).unwrap();
        let second = Lock::hold(&path, &mut |_| panic!("the file is another")).unwrap();
        assert!(is_at(&second._file, &path) && !is_at(&first._file, &path));
    }
}
