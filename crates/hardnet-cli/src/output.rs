//! Files that are there whole or not at all.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::NamedTempFile;

use crate::failure::{Failure, Result};

/// A file that takes its name once it is written.
#[derive(Debug)]
pub(crate) struct OutputFile {
    path: PathBuf,
    file: NamedTempFile,
    force: bool,
}

/// Refuses a path that is taken, unless `force` and it is a file.
pub(crate) fn check_free(path: &Path, force: bool) -> Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(_) => Ok(()),
        Ok(metadata) if metadata.is_dir() => {
            Err(Failure::message(format!("`{}` is a folder, expected the name of a file", path.display())))
        }
        Ok(_) if force => Ok(()),
        Ok(_) => Err(taken(path)),
    }
}

fn taken(path: &Path) -> Failure {
    Failure::message(format!("`{}` exists", path.display())).hint("pass --force to replace it")
}

impl OutputFile {
    /// A file beside `path`, which replaces what is there only with `force`.
    pub(crate) fn create(path: &Path, force: bool) -> Result<Self> {
        check_free(path, force)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".hardnet-");
        // As any program's new file, by the umask: a temporary file is its owner's alone unless told otherwise.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(folder).with_context(|| format!("cannot write in `{}`", folder.display()))?;
        Ok(Self { path: path.into(), file, force })
    }

    /// What writes to it.
    pub(crate) fn writer(&mut self) -> impl Write {
        BufWriter::with_capacity(1 << 20, self.file.as_file_mut())
    }

    /// Writes `bytes` behind what was written before.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.file.as_file_mut().write_all(bytes);
        Ok(written.with_context(|| format!("cannot write `{}`", self.path.display()))?)
    }

    /// Gives the file its name.
    pub(crate) fn finish(self) -> Result<()> {
        let Self { path, file, force } = self;
        let named = if force { file.persist(&path) } else { file.persist_noclobber(&path) };
        match named {
            Ok(_) => Ok(()),
            Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Err(taken(&path)),
            Err(error) => {
                Err(anyhow::Error::from(error.error).context(format!("cannot write `{}`", path.display())).into())
            }
        }
    }
}
