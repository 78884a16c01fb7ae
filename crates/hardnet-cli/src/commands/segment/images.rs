//! The images to segment, and the names of their files.

use std::path::{Path, PathBuf};

use hardnet_data::{Dataset, ImageRoot, Sample};

use super::{Format, SegmentArgs};
use crate::failure::Result;
use crate::image_files::ImageFiles;

/// Images in the order of the command line.
pub(super) struct Images {
    pub(super) samples: Vec<Sample>,
    pub(super) notes: Vec<String>,
    files: ImageFiles,
}

impl Images {
    /// Finds the images of the command line.
    pub(super) fn find(args: &SegmentArgs) -> Result<Self> {
        let mut files = ImageFiles::default();
        let dataset = match &args.list {
            Some(list) => {
                let root = args.data_dir.as_deref().unwrap_or(Path::new("."));
                let dataset = Dataset::from_names(list, ImageRoot::from(root))?;
                for sample in &dataset.samples {
                    files.add(Path::new(&sample.name().replace('\\', "/")), sample.name().to_owned())?;
                }
                dataset
            }
            None => files.add_paths(&args.paths)?,
        };
        files.check_distinct("segment them in two runs, with an output folder each")?;
        Ok(Self { samples: dataset.samples, notes: dataset.notes, files })
    }

    /// Number of images.
    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    /// The name of image `index` in results.
    pub(super) fn name(&self, index: usize) -> &str {
        self.files.name(index)
    }

    /// The file of image `index` in a format, relative to the output folder.
    pub(super) fn file(&self, index: usize, format: Format) -> PathBuf {
        self.files.file(index, format.suffix())
    }

    /// Returns an error if a file of an image exists, unless `force` is set.
    pub(super) fn check_free(&self, output: &Path, formats: &[Format], force: bool) -> Result<()> {
        let suffixes: Vec<_> = formats.iter().map(|format| format.suffix()).collect();
        self.files.check_free(output, &suffixes, force)
    }
}
