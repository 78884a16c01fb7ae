//! The files of merged results.

use std::path::{Path, PathBuf};

use super::MergeArgs;
use super::check::Part;
use crate::commands::eval::create_page;
use crate::failure::{Failure, Result};
use crate::output::OutputFile;

/// Files that get their names when all are complete.
pub(super) struct Outputs {
    force: bool,
    files: Vec<(PathBuf, OutputFile)>,
}

impl Outputs {
    pub(super) fn new(args: &MergeArgs) -> Self {
        Self { force: args.force, files: Vec::new() }
    }

    /// Writes a file.
    pub(super) fn add(&mut self, path: PathBuf, content: String) -> Result<()> {
        let file = OutputFile::create(&path, self.force)?;
        self.write(path, file, &content)
    }

    /// Writes the page `name` in `folder`.
    pub(super) fn add_page(&mut self, folder: &Path, name: &Path, content: String) -> Result<()> {
        let file = create_page(folder, name, self.force)?;
        self.write(folder.join(name), file, &content)
    }

    fn write(&mut self, path: PathBuf, mut file: OutputFile, content: &str) -> Result<()> {
        if self.files.iter().any(|(other, _)| *other == path) {
            return Err(Failure::message(format!("two results are to be written to `{}`", path.display()))
                .hint("give each of -o, --per-class and --report a name of its own"));
        }
        file.append(content.as_bytes())?;
        self.files.push((path, file));
        Ok(())
    }

    /// Gives the files their names, which are returned.
    pub(super) fn finish(self) -> Result<Vec<PathBuf>> {
        let named = |(path, file): (PathBuf, OutputFile)| file.finish().map(|()| path);
        self.files.into_iter().map(named).collect()
    }
}

/// The error of a shard that was computed without `option`, and lacks `what` it adds.
pub(super) fn without<T>(part: &Part<T>, what: &str, option: &str) -> Failure {
    let (index, count) = (part.record.index, part.record.count);
    Failure::message(format!("{} has no {what}", part.name()))
        .hint(format!("run its command with {option} and --shard {index}/{count} again; the other shards need it, too"))
}
