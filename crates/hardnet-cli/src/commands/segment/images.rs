//! The images to segment, and the names of their files.

use std::path::{Path, PathBuf};

use hardnet_data::{Dataset, ImageRoot, Sample, Shard};

use super::{Format, SegmentArgs};
use crate::failure::Result;
use crate::image_files::ImageFiles;
use crate::printer::Printer;
use crate::shards::{ShardRecord, ShardSettings};

/// Images in the order of the command line.
pub(super) struct Images {
    pub(super) samples: Vec<Sample>,
    pub(super) notes: Vec<String>,
    files: ImageFiles,
    /// The number of the first of `samples` among all images.
    first: usize,
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
        Ok(Self { samples: dataset.samples, notes: dataset.notes, files, first: 0 })
    }

    /// Keeps the images of a shard. They are computed one by one, so that shards begin at any image.
    pub(super) fn keep_shard(&mut self, shard: Shard) {
        let range = shard.range(self.samples.len(), 1);
        self.first = range.start;
        self.samples = self.samples[range].to_vec();
    }

    /// Describes `shard`, a part of all images that were found.
    pub(super) fn record(&self, shard: Shard, settings: ShardSettings, printer: &Printer) -> ShardRecord {
        let names = (0..self.files.len()).map(|index| self.files.name(index).to_owned());
        let record = ShardRecord::of_names(shard, names, settings);
        record.tell(self.files.len(), printer);
        record
    }

    /// Number of images.
    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    /// The name of image `index` in results.
    pub(super) fn name(&self, index: usize) -> &str {
        self.files.name(self.first + index)
    }

    /// The file of image `index` in a format, relative to the output folder.
    pub(super) fn file(&self, index: usize, format: Format) -> PathBuf {
        self.files.file(self.first + index, format.suffix())
    }

    /// Returns an error if a file of an image exists, unless `force` is set.
    pub(super) fn check_free(&self, output: &Path, formats: &[Format], force: bool) -> Result<()> {
        let suffixes: Vec<_> = formats.iter().map(|format| format.suffix()).collect();
        self.files.check_free(self.first..self.first + self.len(), output, &suffixes, force)
    }
}
