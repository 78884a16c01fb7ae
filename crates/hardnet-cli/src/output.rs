//! Output files that appear only when they are complete.

use std::io::{BufWriter, Seek, Write};
use std::path::Path;

use anyhow::Context;
use hardnet_base::AtomicFile;

use crate::failure::{Failure, Result};

/// A file that gets its name when it is complete.
#[derive(Debug)]
pub(crate) struct OutputFile {
    file: AtomicFile,
    force: bool,
}

/// Returns an error if `path` exists, unless it is a file and `force` is set.
pub(crate) fn check_free(path: &Path, force: bool) -> Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(_) => Ok(()),
        Ok(metadata) if metadata.is_dir() => {
            Err(Failure::message(format!("`{}` is a folder, expected a file name", path.display())))
        }
        Ok(_) if force => Ok(()),
        Ok(_) => Err(already_exists(path)),
    }
}

/// Formats of weights and networks, by the endings of their files.
const FORMATS: [&str; 10] = ["safetensors", "onnx", "pth", "pt", "pkl", "ckpt", "tar", "bin", "pdparams", "toml"];

/// Returns an error if the ending of `path` is that of another format than `written`.
pub(crate) fn check_format(path: &Path, written: &str) -> Result<()> {
    let Some(ending) = path.extension().and_then(|ending| ending.to_str()) else { return Ok(()) };
    if ending == written || !FORMATS.contains(&ending) {
        return Ok(());
    }
    let shown = path.display();
    let failure = Failure::message(format!("`{shown}` does not end in .{written}, the format that is written"));
    Err(match ending {
        "onnx" => failure.hint("`hardnet export` writes ONNX, in 8-bit integers with --int8 qdq"),
        "safetensors" => failure.hint("`hardnet convert` writes safetensors"),
        _ => failure,
    })
}

fn already_exists(path: &Path) -> Failure {
    Failure::message(format!("`{}` already exists", path.display())).hint("pass --force to replace it")
}

impl OutputFile {
    /// Creates a temporary file next to `path`, which replaces an existing file only with `force`.
    pub(crate) fn create(path: &Path, force: bool) -> Result<Self> {
        check_free(path, force)?;
        let file = AtomicFile::create(path).with_context(|| {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            format!("cannot write in `{}`", folder.display())
        })?;
        Ok(Self { file, force })
    }

    /// A buffered writer.
    pub(crate) fn writer(&mut self) -> impl Write + Seek {
        BufWriter::with_capacity(1 << 20, &mut self.file)
    }

    /// Appends `bytes`.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.file.write_all(bytes);
        Ok(written.with_context(|| format!("cannot write `{}`", self.file.path().display()))?)
    }

    /// Appends `bytes`, the last ones, and gives the file its name.
    pub(crate) fn finish_with(mut self, bytes: &[u8]) -> Result<()> {
        self.append(bytes)?;
        self.finish()
    }

    /// Gives the file its name.
    pub(crate) fn finish(self) -> Result<()> {
        let Self { file, force } = self;
        let path = file.path().to_path_buf();
        let named = if force { file.commit() } else { file.commit_new() };
        match named {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(already_exists(&path)),
            named => Ok(named.with_context(|| format!("cannot write `{}`", path.display()))?),
        }
    }
}
