//! Parts of training a segmentation network: losses with gradients, and random changes to image and mask together.

mod augment;
mod crop;
mod loss;

pub use augment::{AugmentError, Augmentation, with_colors};
pub use crop::Crop;
pub use loss::{Loss, LossError};
