//! The images to segment, and the names of their files.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use hardnet_data::{Dataset, ImageRoot, Sample};

use super::{Format, SegmentArgs};
use crate::failure::{Failure, Result};
use crate::output::check_free;

/// Images in the order of the command line.
pub(super) struct Images {
    pub(super) samples: Vec<Sample>,
    /// The name of each in results.
    pub(super) names: Vec<String>,
    /// The path of each image's files below the output folder, without an ending.
    stems: Vec<PathBuf>,
    pub(super) notes: Vec<String>,
}

impl Images {
    /// Finds the images of the command line.
    pub(super) fn find(args: &SegmentArgs) -> Result<Self> {
        let mut images = Self { samples: Vec::new(), names: Vec::new(), stems: Vec::new(), notes: Vec::new() };
        if let Some(list) = &args.list {
            let root = args.data_dir.as_deref().unwrap_or(Path::new("."));
            let dataset = Dataset::from_names(list, ImageRoot::from(root))?;
            images.notes.extend(dataset.notes);
            for sample in dataset.samples {
                let name = sample.name().to_owned();
                images.add(sample, PathBuf::from(name.replace('\\', "/")), name)?;
            }
        }
        for path in &args.paths {
            let dataset = Dataset::from_paths(std::slice::from_ref(path))?;
            images.notes.extend(dataset.notes);
            for sample in dataset.samples {
                let whole = sample.path().into_owned();
                // What is below a folder or in an archive keeps its folders; an image by itself has none.
                let below = whole.strip_prefix(path).ok().filter(|below| below.components().next().is_some());
                let file = below.map_or_else(|| whole.file_name().unwrap_or_default().into(), Path::to_path_buf);
                images.add(sample, file, whole.display().to_string())?;
            }
        }
        images.check_names()?;
        Ok(images)
    }

    fn add(&mut self, sample: Sample, file: PathBuf, name: String) -> Result<()> {
        let is_plain = file.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        let stem = file.file_stem().filter(|_| is_plain).map(|stem| file.with_file_name(stem));
        let Some(stem) = stem else {
            return Err(Failure::message(format!("`{name}` has no name for files below the output folder")));
        };
        self.samples.push(sample);
        self.names.push(name);
        self.stems.push(stem);
        Ok(())
    }

    /// Returns an error if two images have files of one name.
    fn check_names(&self) -> Result<()> {
        let mut seen = HashMap::new();
        for (index, stem) in self.stems.iter().enumerate() {
            if let Some(first) = seen.insert(stem, index) {
                let (first, second) = (&self.names[first], &self.names[index]);
                return Err(Failure::message(format!("`{first}` and `{second}` would have the same output file"))
                    .hint("segment them in two runs, with an output folder each"));
            }
        }
        Ok(())
    }

    /// Number of images.
    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    /// The file of image `index` in a format, relative to the output folder.
    pub(super) fn file(&self, index: usize, format: Format) -> PathBuf {
        let mut file = self.stems[index].clone().into_os_string();
        file.push(format.suffix());
        file.push(".png");
        file.into()
    }

    /// Returns an error if a file of an image exists, unless `force` is set.
    pub(super) fn check_free(&self, output: &Path, formats: &[Format], force: bool) -> Result<()> {
        if output.exists() && !output.is_dir() {
            return Err(Failure::message(format!("`{}` is a file, expected a folder", output.display())));
        }
        for index in 0..self.len() {
            for &format in formats {
                check_free(&output.join(self.file(index, format)), force)?;
            }
        }
        Ok(())
    }
}
