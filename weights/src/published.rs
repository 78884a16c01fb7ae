//! Accuracies as published.

/// Accuracy of the authors' weights on the 50,000 images of ImageNet's validation set.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Published {
    /// Name of the network.
    pub model: &'static str,
    /// Images whose most probable class is right, in percent.
    pub top1: f64,
    /// Images whose class is among the five most probable, in percent.
    pub top5: f64,
}

/// The figures of the authors' PyTorch Hub page (100 minus the errors printed there), measured with Pillow's bilinear
/// resize to 256 and a centre crop of 224.
pub const PUBLISHED: [Published; 4] = [
    Published { model: "hardnet39ds", top1: 72.08, top5: 90.43 },
    Published { model: "hardnet68ds", top1: 74.29, top5: 91.87 },
    Published { model: "hardnet68", top1: 76.48, top5: 93.01 },
    Published { model: "hardnet85", top1: 78.04, top5: 93.89 },
];
