//! Reads at a position, which threads can share.

use std::fs::File;
use std::io;
use std::path::Path;

/// A file that is read at positions.
#[cfg(unix)]
pub(super) struct PositionedFile(File);

#[cfg(unix)]
impl PositionedFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        File::open(path).map(Self)
    }

    pub(super) fn length(&self) -> io::Result<u64> {
        self.0.metadata().map(|metadata| metadata.len())
    }

    pub(super) fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.0, bytes, offset)
    }
}

/// A file that is read at positions; the position is the file's own, so one thread reads at a time.
#[cfg(not(unix))]
pub(super) struct PositionedFile(std::sync::Mutex<File>);

#[cfg(not(unix))]
impl PositionedFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        File::open(path).map(|file| Self(file.into()))
    }

    pub(super) fn length(&self) -> io::Result<u64> {
        let file = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.metadata().map(|metadata| metadata.len())
    }

    pub(super) fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(bytes)
    }
}
