//! The PNG files of an image.

use std::collections::BTreeMap;
use std::path::Path;

use hardnet_data::{Image, encode_png};
use hardnet_segmentation::{Segmentation, cityscapes};

use super::Format;
use super::images::Images;
use crate::failure::Result;
use crate::image_files::replace;

/// Writes the files of images below a folder.
pub(super) struct Writer<'a> {
    output: &'a Path,
    formats: &'a [Format],
    images: &'a Images,
}

/// The files of an image by their format, relative to the output folder.
pub(super) type Files = BTreeMap<&'static str, String>;

impl<'a> Writer<'a> {
    pub(super) fn new(output: &'a Path, formats: &'a [Format], images: &'a Images) -> Self {
        Self { output, formats, images }
    }

    /// Writes the files of image `index`, and returns their names. What an interrupted run left is replaced.
    pub(super) fn write(&mut self, index: usize, image: &Image, found: &Segmentation) -> Result<Files> {
        let mut files = Files::new();
        for &format in self.formats {
            let bytes = match format {
                Format::Indices => found.mask.encode_png(),
                Format::Colors => found.mask.encode_colored_png(&found.classes.palette),
                Format::Overlay => encode_png(&found.overlay(image)?)?,
                Format::LabelIds => found.mask.renumbered(&cityscapes::LABEL_IDS).encode_png(),
            };
            let file = self.images.file(index, format);
            replace(&self.output.join(&file), &bytes)?;
            files.insert(format.name(), file.display().to_string().replace('\\', "/"));
        }
        Ok(files)
    }
}
