//! Options of training a segmentation network, and its images and masks.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use hardnet_data::{Purpose, RandomStream};
use hardnet_segmentation::training::Loss;
use hardnet_segmentation::{
    ClassNames, InputSize, Item, Pair, Protocol, Split, cityscapes_pairs, folder_pairs, is_cityscapes, list_pairs,
};
use hardnet_train::{Recipe, SegmentationData, SegmentationRecipe};
use serde::{Deserialize, Serialize};

use super::data::{DataSettings, HOLD_OUT_SEED};
use super::recipe::pair;
use crate::failure::{Failure, Result};
use crate::format::at_least_one;
use crate::printer::Printer;
use crate::segmentation::refuse_for_classifiers;

/// Options of training a segmentation network.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Segmentation")]
pub(crate) struct MaskArgs {
    /// Folder of training images with masks; Cityscapes is given by --data-dir instead
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["data_dir", "train_list", "val_list"])]
    pub(crate) images: Option<PathBuf>,
    /// Folder of their masks as PNG, each with the name of its image
    #[arg(long, value_name = "FOLDER", requires = "images")]
    pub(crate) masks: Option<PathBuf>,
    /// Folder of validation images
    #[arg(long, value_name = "FOLDER", requires = "images", conflicts_with_all = ["val_dir", "hold_out"])]
    pub(crate) val_images: Option<PathBuf>,
    /// Folder of their masks
    #[arg(long, value_name = "FOLDER", requires = "val_images")]
    pub(crate) val_masks: Option<PathBuf>,
    /// Numbers in masks that belong to no class, as 255 does, separated by commas
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    ignore_labels: Vec<u8>,
    /// Classes of the colors of RGB masks: lines `RED GREEN BLUE CLASS`, or cityscapes or voc
    #[arg(long, value_name = "FILE")]
    mask_colors: Option<PathBuf>,
    /// Size of the crops that are trained on [default: 1024x1024]
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    crop_size: Option<InputSize>,
    /// Range of the factor by which images are resized before [default: 0.5,2]
    #[arg(long, value_name = "MIN,MAX", value_parser = pair)]
    random_scale: Option<[f64; 2]>,
    /// Largest change of brightness, contrast and saturation, such as 0.4 [default: 0]
    #[arg(long, value_name = "SHARE")]
    color: Option<f64>,
    /// Loss: cross-entropy of all pixels, or bootstrapped, of the hardest ones [default: bootstrapped]
    #[arg(long, value_enum, value_name = "NAME", hide_possible_values = true)]
    loss: Option<LossChoice>,
    /// Least number of pixels of --loss bootstrapped [default: a 256th of the crop, upstream's 4096 of 1024x1024]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    hard_pixels: Option<usize>,
    /// Cross entropy in nats above which all pixels count, of --loss bootstrapped [default: 0.3]
    #[arg(long, value_name = "NATS")]
    hard_loss: Option<f64>,
    /// Size in which validation images are computed: WIDTHxHEIGHT, or image for that of each image [default: image, or
    /// 2048x1024 for Cityscapes]
    #[arg(long, value_name = "SIZE")]
    input_size: Option<InputSize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LossChoice {
    CrossEntropy,
    Bootstrapped,
}

/// Masks and preprocessing as a run stores them. The images are in the fields of [`DataSettings`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MaskSettings {
    /// Folder of masks; without it, images and masks are those of a list or of Cityscapes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) masks: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) val_masks: Option<PathBuf>,
    pub(crate) ignore_labels: Vec<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mask_colors: Option<PathBuf>,
}

impl MaskArgs {
    /// The first option that is given.
    fn first_given(&self) -> Option<&'static str> {
        let given = [
            (self.images.is_some(), "--images"),
            (!self.ignore_labels.is_empty(), "--ignore-labels"),
            (self.mask_colors.is_some(), "--mask-colors"),
            (self.crop_size.is_some(), "--crop-size"),
            (self.random_scale.is_some(), "--random-scale"),
            (self.color.is_some(), "--color"),
            (self.loss.is_some(), "--loss"),
            (self.hard_pixels.is_some(), "--hard-pixels"),
            (self.hard_loss.is_some(), "--hard-loss"),
            (self.input_size.is_some(), "--input-size"),
        ];
        given.into_iter().find_map(|(is_given, option)| is_given.then_some(option))
    }

    /// Returns an error if an option is given that classifiers do not have.
    pub(super) fn refuse(&self) -> Result<()> {
        let remedy = "name one with --model, such as fc-hardnet70, or a file with `[decoder]`";
        refuse_for_classifiers(self.first_given(), remedy)
    }

    /// The masks as a run stores them.
    pub(super) fn settings(&self) -> Result<MaskSettings> {
        let absolute = |path: &Option<PathBuf>| path.as_ref().map(std::path::absolute).transpose();
        if self.images.is_some() && self.masks.is_none() {
            return Err(Failure::message("--images requires --masks"));
        }
        if self.val_images.is_some() && self.val_masks.is_none() {
            return Err(Failure::message("--val-images requires --val-masks"));
        }
        let is_name = |path: &PathBuf| matches!(path.to_str(), Some("cityscapes" | "voc"));
        let mask_colors = match &self.mask_colors {
            Some(name) if is_name(name) => Some(name.clone()),
            path => absolute(path)?,
        };
        let (masks, val_masks) = (absolute(&self.masks)?, absolute(&self.val_masks)?);
        Ok(MaskSettings { masks, val_masks, ignore_labels: self.ignore_labels.clone(), mask_colors })
    }

    /// The loss and the augmentation: those of `recipe` with the changes of the options. `flip` is `--flip`.
    pub(super) fn recipe(&self, recipe: &Recipe, flip: Option<f64>) -> Result<SegmentationRecipe> {
        let published = Recipe::fchardnet().segmentation.expect("it is the recipe of a segmentation network");
        let SegmentationRecipe { mut loss, mut augmentation, .. } = recipe.segmentation.unwrap_or(published);
        if let Some(size) = self.crop_size {
            let InputSize::Fixed { width, height } = size else {
                return Err(Failure::message("--crop-size is `image`, expected WIDTHxHEIGHT"));
            };
            augmentation.crop = (width as usize, height as usize);
        }
        augmentation.scale = self.random_scale.map_or(augmentation.scale, |[least, most]| (least, most));
        augmentation.flip = flip.unwrap_or(augmentation.flip);
        augmentation.color = self.color.unwrap_or(augmentation.color);
        match self.loss {
            Some(LossChoice::CrossEntropy) => loss = Loss::CrossEntropy,
            Some(LossChoice::Bootstrapped) => loss = published.loss,
            None => {}
        }
        if let Loss::Bootstrapped { least, threshold } = &mut loss {
            let share = (augmentation.crop.0 * augmentation.crop.1).div_ceil(256);
            *least = self.hard_pixels.unwrap_or(share);
            *threshold = self.hard_loss.unwrap_or(*threshold);
        } else if self.hard_pixels.is_some() || self.hard_loss.is_some() {
            return Err(Failure::message("--hard-pixels and --hard-loss require --loss bootstrapped"));
        }
        Ok(SegmentationRecipe::new(loss, augmentation))
    }

    /// `protocol` with the size in which validation images are computed.
    pub(super) fn sized(&self, protocol: Protocol, data: &DataSettings) -> Protocol {
        match self.input_size {
            Some(size) => protocol.with_size(size),
            None if is_cityscapes(&data.data_dir) => protocol,
            None => protocol.with_size(InputSize::Image),
        }
    }
}

/// Finds the images and masks of a run.
pub(super) fn load(
    settings: &DataSettings,
    masks: &MaskSettings,
    classes: &ClassNames,
    protocol: Protocol,
    printer: &Printer,
) -> Result<SegmentationData> {
    let root = &settings.data_dir;
    let mut training = match (&masks.masks, &settings.train_list) {
        (Some(masks), _) => folder_pairs(root, masks)?,
        (None, Some(list)) => list_pairs(root, list)?,
        (None, None) => cityscapes(settings, Split::Train)?,
    };
    let in_lists = masks.masks.is_none() && settings.train_list.is_some();
    let validation = match (&settings.val_dir, &masks.val_masks, &settings.val_list, settings.hold_out) {
        (Some(images), Some(masks), ..) => Some(folder_pairs(images, masks)?),
        (Some(root), None, Some(list), _) => Some(list_pairs(root, list)?),
        (.., Some(count)) => Some(held_out(&mut training, count, printer)?),
        _ if masks.masks.is_none() && !in_lists => Some(cityscapes(settings, Split::Val)?),
        _ => None,
    };
    if validation.is_none() {
        printer.warn("no validation set; pass --val-images and --val-masks, --val-list or --hold-out to validate");
    }
    let all = training.len();
    if let Some(count) = settings.num_samples.filter(|&count| count < all) {
        training = (0..count).map(|index| training[index * all / count].clone()).collect();
        printer.note(format_args!("{count} of {all} images, evenly spaced"));
    }
    let items = |pairs: &[Pair]| -> Result<Arc<Vec<Item>>> {
        let items = crate::masks::items(pairs, &masks.ignore_labels, masks.mask_colors.as_deref(), classes)?;
        Ok(items.into())
    };
    let validation = validation.as_deref().map(items).transpose()?;
    Ok(SegmentationData::new(items(&training)?, protocol).with_validation(validation))
}

/// A part of Cityscapes.
fn cityscapes(settings: &DataSettings, split: Split) -> Result<Vec<Pair>> {
    let root = &settings.data_dir;
    if !is_cityscapes(root) {
        return Err(Failure::message(format!(
            "`{}` does not have the folders `leftImg8bit` and `gtFine` of Cityscapes",
            root.display()
        ))
        .hint("pass --images FOLDER and --masks FOLDER, or --train-list with an image and a mask on each line"));
    }
    Ok(cityscapes_pairs(root, split)?)
}

/// Takes `count` random images out of the training images.
fn held_out(training: &mut Vec<Pair>, count: usize, printer: &Printer) -> Result<Vec<Pair>> {
    let all = training.len();
    if count >= all {
        return Err(Failure::message(format!("--hold-out {count} leaves none of the {all} images for training")));
    }
    let order = RandomStream::new(HOLD_OUT_SEED, Purpose::Split, [0, 0]).permutation(all as u32);
    let mut held = vec![false; all];
    order.iter().take(count).for_each(|&index| held[index as usize] = true);
    let mut held = held.into_iter();
    let (validation, rest) = std::mem::take(training).into_iter().partition(|_| held.next() == Some(true));
    *training = rest;
    printer.note(format_args!("holding out {count} of {all} training images for validation"));
    Ok(validation)
}
