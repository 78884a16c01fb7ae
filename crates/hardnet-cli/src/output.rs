//! Files that are there whole or not at all.

use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use hardnet_base::AtomicFile;

use crate::failure::{Failure, Result};

/// A file that takes its name once it is written.
#[derive(Debug)]
pub(crate) struct OutputFile {
    file: AtomicFile,
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
        let file = AtomicFile::create(path).with_context(|| {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            format!("cannot write in `{}`", folder.display())
        })?;
        Ok(Self { file, force })
    }

    /// What writes to it.
    pub(crate) fn writer(&mut self) -> impl Write {
        BufWriter::with_capacity(1 << 20, &mut self.file)
    }

    /// Writes `bytes` behind what was written before.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.file.write_all(bytes);
        Ok(written.with_context(|| format!("cannot write `{}`", self.file.path().display()))?)
    }

    /// Gives the file its name.
    pub(crate) fn finish(self) -> Result<()> {
        let Self { file, force } = self;
        let path = file.path().to_path_buf();
        let named = if force { file.commit() } else { file.commit_new() };
        match named {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(taken(&path)),
            named => Ok(named.with_context(|| format!("cannot write `{}`", path.display()))?),
        }
    }
}
