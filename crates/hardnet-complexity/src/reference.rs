//! The networks that the paper compares HarDNet with, as tables of their stages.
//!
//! They follow torchvision's implementations, and the variants that the paper's table counts where those differ.

mod densenet;
mod mobilenet;
mod resnet;
mod squeezenet;
mod vgg;

use std::fmt;
use std::str::FromStr;

use hardnet_graph::Graph;

use crate::error::Error;

/// A network of the paper's Table 4 other than HarDNet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reference {
    /// ResNet-18; v1 and v1.5 are the same.
    ResNet18,
    /// ResNet-50 v1.5: bottlenecks stride in their 3x3 convolution.
    ResNet50,
    /// ResNet-50 as first published: bottlenecks stride in their first 1x1 convolution.
    ResNet50V1,
    /// ResNet-101 v1.5.
    ResNet101,
    /// ResNet-101 as first published.
    ResNet101V1,
    /// ResNet-152 v1.5.
    ResNet152,
    /// ResNet-152 as first published.
    ResNet152V1,
    /// DenseNet-121, growth rate 32.
    DenseNet121,
    /// DenseNet-201, growth rate 32.
    DenseNet201,
    /// VGG-16 without normalization.
    Vgg16,
    /// MobileNetV2.
    MobileNetV2,
    /// MobileNetV2 of 1.4 times the width, in multiples of eight channels.
    MobileNetV2Wide,
    /// MobileNetV2 of 1.4 times the width, cut to whole channels.
    MobileNetV2WideCut,
    /// SqueezeNet 1.0.
    SqueezeNet,
    /// SqueezeNet 1.0 with a stem padded by 3.
    SqueezeNetPadded,
}

impl Reference {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::ResNet18,
        Self::ResNet50,
        Self::ResNet50V1,
        Self::ResNet101,
        Self::ResNet101V1,
        Self::ResNet152,
        Self::ResNet152V1,
        Self::DenseNet121,
        Self::DenseNet201,
        Self::Vgg16,
        Self::MobileNetV2,
        Self::MobileNetV2Wide,
        Self::MobileNetV2WideCut,
        Self::SqueezeNet,
        Self::SqueezeNetPadded,
    ];

    /// Its name, as `resnet50-v1`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ResNet18 => "resnet18",
            Self::ResNet50 => "resnet50",
            Self::ResNet50V1 => "resnet50-v1",
            Self::ResNet101 => "resnet101",
            Self::ResNet101V1 => "resnet101-v1",
            Self::ResNet152 => "resnet152",
            Self::ResNet152V1 => "resnet152-v1",
            Self::DenseNet121 => "densenet121",
            Self::DenseNet201 => "densenet201",
            Self::Vgg16 => "vgg16",
            Self::MobileNetV2 => "mobilenetv2",
            Self::MobileNetV2Wide => "mobilenetv2-1.4",
            Self::MobileNetV2WideCut => "mobilenetv2-1.4-cut",
            Self::SqueezeNet => "squeezenet",
            Self::SqueezeNetPadded => "squeezenet-padded",
        }
    }

    /// Its graph, for images of three channels and 1000 classes.
    pub fn graph(self) -> Graph {
        use resnet::Stride;
        let name = self.name();
        let network = match self {
            Self::ResNet18 => resnet::basic(name, [2, 2, 2, 2]),
            Self::ResNet50 => resnet::bottleneck(name, [3, 4, 6, 3], Stride::Middle),
            Self::ResNet50V1 => resnet::bottleneck(name, [3, 4, 6, 3], Stride::First),
            Self::ResNet101 => resnet::bottleneck(name, [3, 4, 23, 3], Stride::Middle),
            Self::ResNet101V1 => resnet::bottleneck(name, [3, 4, 23, 3], Stride::First),
            Self::ResNet152 => resnet::bottleneck(name, [3, 8, 36, 3], Stride::Middle),
            Self::ResNet152V1 => resnet::bottleneck(name, [3, 8, 36, 3], Stride::First),
            Self::DenseNet121 => densenet::densenet(name, [6, 12, 24, 16]),
            Self::DenseNet201 => densenet::densenet(name, [6, 12, 48, 32]),
            Self::Vgg16 => vgg::vgg16(name),
            Self::MobileNetV2 => mobilenet::mobilenet_v2(name, mobilenet::Width::Whole),
            Self::MobileNetV2Wide => mobilenet::mobilenet_v2(name, mobilenet::Width::WideMultipleOfEight),
            Self::MobileNetV2WideCut => mobilenet::mobilenet_v2(name, mobilenet::Width::WideCut),
            Self::SqueezeNet => squeezenet::squeezenet(name, 0),
            Self::SqueezeNetPadded => squeezenet::squeezenet(name, 3),
        };
        network.expect("every layer of a table reads earlier ones")
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Reference {
    type Err = Error;

    /// The network of that [name](Reference::name).
    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|reference| reference.name() == name);
        found.ok_or_else(|| Error::UnknownReference(name.into()))
    }
}

#[cfg(test)]
mod tests;
