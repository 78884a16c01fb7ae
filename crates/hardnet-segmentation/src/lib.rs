//! Semantic segmentation: the class of each pixel of an image.
//!
//! * A [`Segmenter`] holds a network with its preprocessing and classes. A [`Segmentation`] is its result for an image:
//!   a mask, areas by class, pictures. [`Views`] are mirrored or scaled images whose results are averaged.
//! * [`Mask`] is the class of each pixel. [`MaskReader`] reads masks of data sets: numbers, palettes, and colors by a
//!   [`Palette`]; a [`LabelTable`] says which class a number means. [`cityscapes`] has the classes of Cityscapes.
//! * [`cityscapes_pairs`], [`folder_pairs`] and [`list_pairs`] find images and their masks.
//! * A [`Protocol`] turns an image into the tensor that a network reads, as FC-HarDNet or PaddleSeg does.
//! * [`Scores`] are the logits of a network; a [`Merge`] makes classes of them, of several views of an image too.
//! * [`training`] has losses with gradients, and random changes to an image and its mask.
//! * [`scenes`] draws images with masks, for demonstrations without download.
//! * [`Confusion`] counts how far predictions agree with masks, and [`Figures`] are mean IoU and its siblings.

pub mod cityscapes;
mod dataset;
mod error;
mod load;
mod mask;
mod metrics;
mod native;
mod network;
mod palette;
mod protocol;
pub mod scenes;
mod scores;
mod segmentation;
mod segmenter;
pub mod training;
mod views;

pub use dataset::{
    LabelKind, Pair, PairsError, Split, UnknownSplit, cityscapes_pairs, folder_pairs, is_cityscapes, list_pairs,
};
pub use error::{Error, Result};
pub use load::{DecodedItem, Item, LoadError, LoadOptions, Loaded, Loading};
pub use mask::{IGNORED, LabelTable, MAX_CLASSES, Mask, MaskError, MaskReader};
pub use metrics::{Confusion, Figures};
pub use network::ComputeScores;
pub use palette::{Palette, PaletteError};
pub use protocol::{Convention, InputSize, InputTensor, Protocol, ProtocolError, UnknownProtocol, UnknownSize};
pub use scores::{Averaging, Merge, Scores, ScoresError, View};
pub use segmentation::{Area, ClassNames, Segmentation, overlay};
pub use segmenter::{Compared, Prepared, Segmenter, SegmenterBuilder, protocol_of};
pub use views::{ScaleError, Views};
