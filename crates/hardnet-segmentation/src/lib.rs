//! Semantic segmentation: the class of each pixel of an image.
//!
//! * [`Mask`] is the class of each pixel. [`MaskReader`] reads masks of data sets: numbers, palettes, and colors by a
//!   [`Palette`]; a [`LabelTable`] says which class a number means. [`cityscapes`] has the classes of Cityscapes.

pub mod cityscapes;
mod mask;
mod palette;

pub use mask::{IGNORED, LabelTable, MAX_CLASSES, Mask, MaskError, MaskReader};
pub use palette::{Palette, PaletteError};
