//! Output files that are named after images.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use anyhow::Context;
use hardnet_data::Dataset;

use crate::failure::{Failure, Result};
use crate::output::{OutputFile, check_free};

/// The names of the files that are written for each image.
#[derive(Debug, Default)]
pub(crate) struct ImageFiles {
    /// The name of each image in results.
    names: Vec<String>,
    /// The path of each image's files below the output folder, without an ending.
    stems: Vec<PathBuf>,
}

impl ImageFiles {
    /// Finds the images of `paths`, in their order, and adds each. Images below a folder or in an archive keep their
    /// folders there; an image by itself has none.
    pub(crate) fn add_paths(&mut self, paths: &[PathBuf]) -> Result<Dataset> {
        let mut images = Dataset::default();
        for path in paths {
            let dataset = Dataset::from_paths(std::slice::from_ref(path))?;
            images.notes.extend(dataset.notes);
            for sample in dataset.samples {
                let whole = sample.path().into_owned();
                let below = whole.strip_prefix(path).ok().filter(|below| below.components().next().is_some());
                let file = below.map_or_else(|| whole.file_name().unwrap_or_default().into(), Path::to_path_buf);
                self.add(&file, whole.display().to_string())?;
                images.samples.push(sample);
            }
        }
        Ok(images)
    }

    /// Adds an image whose files are named after `file`, a path below the output folder.
    pub(crate) fn add(&mut self, file: &Path, name: String) -> Result<()> {
        let is_plain = file.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        let Some(stem) = file.file_stem().filter(|_| is_plain) else {
            return Err(Failure::message(format!("`{name}` has no name for files below the output folder")));
        };
        self.stems.push(file.with_file_name(stem));
        self.names.push(name);
        Ok(())
    }

    /// Returns an error if two images have files of one name; `remedy` says how to avoid that.
    pub(crate) fn check_distinct(&self, remedy: &'static str) -> Result<()> {
        let mut seen = HashMap::new();
        for (index, stem) in self.stems.iter().enumerate() {
            if let Some(first) = seen.insert(stem, index) {
                let (first, second) = (&self.names[first], &self.names[index]);
                let message = format!("`{first}` and `{second}` would have the same output file");
                return Err(Failure::message(message).hint(remedy));
            }
        }
        Ok(())
    }

    /// Returns an error if `output` is not a folder or a file of one of `images` exists in it, unless `force` is set.
    pub(crate) fn check_free(&self, images: Range<usize>, output: &Path, suffixes: &[&str], force: bool) -> Result<()> {
        if output.exists() && !output.is_dir() {
            return Err(Failure::message(format!("`{}` is a file, expected a folder", output.display())));
        }
        for index in images {
            for suffix in suffixes {
                check_free(&output.join(self.file(index, suffix)), force)?;
            }
        }
        Ok(())
    }

    /// Number of images.
    pub(crate) fn len(&self) -> usize {
        self.stems.len()
    }

    /// The name of image `index` in results.
    pub(crate) fn name(&self, index: usize) -> &str {
        &self.names[index]
    }

    /// The PNG file of image `index`, relative to the output folder, with `suffix` after its name.
    pub(crate) fn file(&self, index: usize, suffix: &str) -> PathBuf {
        let mut file = self.stems[index].clone().into_os_string();
        file.push(suffix);
        file.push(".png");
        file.into()
    }
}

/// Writes a file, and the folders that it is in, in place of one that exists.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create folder `{}`", folder.display()))?;
    }
    let mut file = OutputFile::create(path, true)?;
    file.append(bytes)?;
    file.finish()
}
