//! `--cam`: class activation maps over the images.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use hardnet_classifier::Classifier;
use hardnet_data::{Dataset, Image, Sample, encode_png};

use crate::failure::Result;
use crate::image_files::{ImageFiles, replace};

/// End of the files' names, before `.png`.
const SUFFIX: &str = "_cam";

/// Writes the map of each image's first class over the image.
#[derive(Debug)]
pub(super) struct CamWriter<'a> {
    output: &'a Path,
    files: ImageFiles,
    /// The index of an image by its path.
    indices: HashMap<PathBuf, usize>,
}

impl<'a> CamWriter<'a> {
    /// Finds the images of `paths`, whose files are written below `output`, and which must not exist unless `force` is
    /// set. `stdin` adds the image on standard input.
    pub(super) fn find(output: &'a Path, paths: &[PathBuf], stdin: bool, force: bool) -> Result<(Self, Dataset)> {
        let mut files = ImageFiles::default();
        let dataset = files.add_paths(paths)?;
        if stdin {
            files.add(Path::new("stdin"), "standard input".into())?;
        }
        files.check_distinct("classify them in two runs, with a folder for --cam each")?;
        files.check_free(0..files.len(), output, &[SUFFIX], force)?;
        let indices = dataset.samples.iter().zip(0..).map(|(sample, index)| (sample.path().into_owned(), index));
        let indices = indices.collect();
        Ok((Self { output, files, indices }, dataset))
    }

    /// Writes the map of `class` over the image of `sample`, which is read again.
    pub(super) fn write(&self, classifier: &Classifier, sample: &Sample, class: usize) -> Result<()> {
        let path = sample.path();
        // It has been read before, as a regular file within the limits.
        let read = sample.archived().map_or_else(|| std::fs::read(&path), |archived| archived.read());
        let failed = || format!("cannot read `{}` again", path.display());
        let bytes = read.with_context(failed)?;
        let image = classifier.pipeline().decode_options().decode(&bytes).with_context(failed)?.image;
        self.draw(classifier, self.indices[&*path], &image, class)
    }

    /// Writes the map of `class` over the image on standard input.
    pub(super) fn write_stdin(&self, classifier: &Classifier, image: &Image, class: usize) -> Result<()> {
        self.draw(classifier, self.files.len() - 1, image, class)
    }

    fn draw(&self, classifier: &Classifier, index: usize, image: &Image, class: usize) -> Result<()> {
        let map = classifier.activation_map(classifier.prepare(image)?, class)?;
        let region = classifier.pipeline().region((image.width(), image.height()));
        replace(&self.output.join(self.files.file(index, SUFFIX)), &encode_png(&map.draw(image, region))?)
    }
}
