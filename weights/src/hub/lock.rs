//! Locks between processes: `flock` on a lock file, as Python's `filelock` does it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::event::{Event, Observer};

/// Pause between two attempts at a lock that is held.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A lock, released when dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Acquires the lock file at `path`, and waits while another process holds it.
    ///
    /// On a file system without locks it succeeds at once: two processes may then download the same file, and the
    /// second replaces the first one's with an equal one.
    pub(crate) fn hold(path: &Path, observer: &mut Observer) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut announced = false;
        loop {
            // Not truncated: another program may have written into its lock file.
            let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
            match file.try_lock() {
                Ok(()) if is_at(&file, path) => return Ok(Self { _file: file }),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    if !std::mem::replace(&mut announced, true) {
                        observer(Event::WaitingForLock(path));
                    }
                    thread::sleep(POLL_INTERVAL);
                }
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    return Ok(Self { _file: file });
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

/// Whether `path` still names the locked file. If another process has removed it, the lock protects nothing.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(theirs)) => (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()),
        _ => false,
    }
}

/// An open file cannot be removed on these systems.
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
        let (notify, waiting) = mpsc::channel();
        let second = {
            let path = path.clone();
            thread::spawn(move || Lock::hold(&path, &mut |_| notify.send(()).unwrap()).map(drop))
        };
        waiting.recv().unwrap();
        assert!(!second.is_finished());
        drop(first);
        second.join().unwrap().unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_whose_file_was_removed_is_acquired_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.lock");
        let first = Lock::hold(&path, &mut |_| {}).unwrap();
        fs::remove_file(&path).unwrap();
        let second = Lock::hold(&path, &mut |_| panic!("the file is another")).unwrap();
        assert!(is_at(&second._file, &path) && !is_at(&first._file, &path));
    }
}
