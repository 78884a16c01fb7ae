//! The images to evaluate and their masks.

use std::borrow::Cow;
use std::path::PathBuf;

use hardnet_data::Shard;
use hardnet_segmentation::{ClassNames, Item, Pair, cityscapes_pairs, folder_pairs, is_cityscapes};
use serde::{Deserialize, Serialize};

use super::SegmentationArgs;
use crate::commands::eval::EvalArgs;
use crate::failure::{Failure, Result};
use crate::masks;
use crate::printer::Printer;
use crate::shards::{ShardRecord, ShardSettings};

/// Images and masks in their order.
pub(super) struct Images {
    pairs: Vec<Pair>,
    pub(super) data: DataRecord,
}

/// The images that were requested. Field names are API.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DataRecord {
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    split: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) images_dir: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    masks_dir: Option<String>,
    /// Number of images, including unreadable ones.
    pub(super) images: usize,
}

impl DataRecord {
    /// The folder of the images, with the part of the data set.
    pub(super) fn name(&self) -> String {
        let folder = self.data_dir.as_deref().or(self.images_dir.as_deref()).unwrap_or_default();
        self.split.as_ref().map_or(folder.into(), |split| format!("{folder} ({split})"))
    }
}

impl Images {
    /// Finds the images of the command line.
    pub(super) fn find(args: &EvalArgs) -> Result<Self> {
        let own = &args.segmentation;
        let text = |path: &PathBuf| path.display().to_string();
        let split = own.split.unwrap_or_default();
        let pairs = match (&args.data_dir, &own.images, &own.masks) {
            (Some(root), ..) if is_cityscapes(root) => cityscapes_pairs(root, split)?,
            (Some(root), ..) => {
                return Err(Failure::message(format!(
                    "`{}` does not have the folders `leftImg8bit` and `gtFine` of Cityscapes",
                    root.display()
                ))
                .hint("pass --images FOLDER and --masks FOLDER for other data sets"));
            }
            (None, Some(images), Some(masks)) => folder_pairs(images, masks)?,
            _ => {
                return Err(Failure::message("no images given").hint(
                    "pass --images FOLDER and --masks FOLDER, or --data-dir FOLDER with the folders of Cityscapes",
                ));
            }
        };
        let data = DataRecord {
            data_dir: args.data_dir.as_ref().map(text),
            split: args.data_dir.as_ref().map(|_| split.name().into()),
            images_dir: own.images.as_ref().map(text),
            masks_dir: own.masks.as_ref().map(text),
            images: pairs.len(),
        };
        Ok(Self { pairs, data })
    }

    /// Keeps `count` evenly spaced images, if a count is given.
    pub(super) fn subsample_evenly(&mut self, count: Option<usize>, printer: &Printer) {
        let all = self.pairs.len();
        if let Some(count) = count.filter(|&count| count < all) {
            self.pairs = (0..count).map(|index| self.pairs[index * all / count].clone()).collect();
            self.data.images = count;
            printer.note(format_args!("{count} of {all} images, evenly spaced"));
        }
    }

    /// Keeps the images of a shard.
    pub(super) fn keep_shard(&mut self, shard: Shard, settings: ShardSettings, printer: &Printer) -> ShardRecord {
        let record = ShardRecord::of_names(shard, self.pairs.iter().map(|pair| pair.name.clone()), settings);
        record.tell(self.pairs.len(), printer);
        self.pairs = self.pairs[record.first..record.end].to_vec();
        record
    }

    /// The names of the images.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.pairs.iter().map(|pair| pair.name.as_str())
    }

    /// The images and how their masks are read.
    pub(super) fn items(&self, args: &SegmentationArgs, classes: &ClassNames) -> Result<Vec<Item>> {
        masks::items(&self.pairs, &args.ignore_labels, args.mask_colors.as_deref(), classes)
    }
}
