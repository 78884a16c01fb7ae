//! `--predictions`: one JSON document a line for every image read.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use hardnet_model::top_k_of;
use serde::Serialize;
use tempfile::NamedTempFile;

use crate::failure::Result;
use crate::labels::{Hit, Labels};

/// A file that appears under its name once it is whole.
pub(super) struct Predictions {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
}

/// One image.
#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    label: usize,
    correct: bool,
    top: Vec<Hit>,
}

impl Predictions {
    pub(super) fn create(path: &Path) -> Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = tempfile::Builder::new()
            .prefix(".hardnet-predictions-")
            .tempfile_in(folder)
            .with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(Self { path: path.into(), file: BufWriter::new(file) })
    }

    pub(super) fn write(&mut self, path: &str, label: usize, logits: &[f32], labels: &Labels) -> Result<()> {
        let top = labels.hits(&top_k_of(logits, 5));
        let correct = top.first().is_some_and(|hit| hit.index == label);
        serde_json::to_writer(&mut self.file, &Line { path, label, correct, top })?;
        Ok(writeln!(self.file)?)
    }

    /// Gives the file its name.
    pub(super) fn finish(self) -> Result<()> {
        let failed = || format!("cannot write `{}`", self.path.display());
        let file = self.file.into_inner().map_err(std::io::IntoInnerError::into_error).with_context(failed)?;
        make_readable(file.as_file()).with_context(failed)?;
        file.persist(&self.path).map_err(|error| error.error).with_context(failed)?;
        Ok(())
    }
}

/// Temporary files are the user's alone; results are as readable as other files.
fn make_readable(file: &std::fs::File) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    let _ = file;
    Ok(())
}
