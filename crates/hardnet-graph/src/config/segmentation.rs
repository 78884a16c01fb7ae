//! Segmentation: decoders, and the published networks that have one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Config, StemPadding};
use crate::error::Error;
use crate::op::Alignment;

/// The order in which a layer of a block concatenates the layers that it reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::exhaustive_enums)]
pub enum LinkOrder {
    /// The layer before first, as the authors' code: layer 8 reads 7, 6, 4, 0.
    #[default]
    NearestFirst,
    /// The most distant layer first, as PaddleSeg's HarDNet: layer 8 reads 0, 4, 6, 7. Weights of one order make
    /// another network in the other.
    FarthestFirst,
}

impl LinkOrder {
    /// Its name in JSON and TOML.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NearestFirst => "nearest_first",
            Self::FarthestFirst => "farthest_first",
        }
    }
}

/// The part of a segmentation network after the encoder, as in FC-HarDNet.
///
/// It mirrors the encoder. For every block before a downsampling layer, the last first: bilinear interpolation to the
/// size of that block's output, concatenation with that output, a 1x1 convolution to half as many channels, and a
/// HarDBlock of the same layers, growth rate and multiplier. At the end, a 1x1 convolution with bias gives the classes,
/// which are interpolated to the size of the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Decoder {
    /// Number of classes.
    pub classes: usize,
    /// Whether interpolation matches the centers of corner pixels ([`Alignment::Corners`]) rather than the edges of
    /// maps.
    pub align_corners: bool,
}

impl Decoder {
    /// A decoder to so many classes.
    pub const fn new(classes: usize, align_corners: bool) -> Self {
        Self { classes, align_corners }
    }

    /// Where the pixels of an interpolated map lie on the smaller one.
    pub const fn alignment(&self) -> Alignment {
        if self.align_corners { Alignment::Corners } else { Alignment::HalfPixel }
    }
}

/// A published segmentation network; [`Config::from`] gives its description.
///
/// Both segment street scenes into the 19 classes of Cityscapes, with 4.1 M parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SegmentationVariant {
    /// FC-HarDNet-70 of the authors, <https://github.com/PingoLH/FCHarDNet>: 35.2 G multiply-adds at 1024x2048.
    FcHarDNet70,
    /// The HarDNet of PaddleSeg: a first stride of 1, which takes four times the multiply-adds, links in the opposite
    /// order and another interpolation.
    PaddleSeg,
}

impl SegmentationVariant {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::FcHarDNet70, Self::PaddleSeg];

    /// Its name: `fc-hardnet70`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FcHarDNet70 => "fc-hardnet70",
            Self::PaddleSeg => "fc-hardnet70-paddleseg",
        }
    }

    /// Both names, each in backticks, joined by a comma.
    pub(crate) fn names() -> String {
        Self::ALL.map(|variant| format!("`{}`", variant.name())).join(", ")
    }
}

impl fmt::Display for SegmentationVariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for SegmentationVariant {
    type Err = Error;

    /// Accepts the name in any case, with or without `_` and `-`: `FCHarDNet70`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let plain =
            |text: &str| text.chars().filter(|c| !matches!(c, '_' | '-')).collect::<String>().to_ascii_lowercase();
        let name = plain(text);
        Self::ALL
            .into_iter()
            .find(|variant| plain(variant.name()) == name)
            .ok_or_else(|| Error::UnknownSegmentationVariant(text.into()))
    }
}

impl From<SegmentationVariant> for Config {
    fn from(variant: SegmentationVariant) -> Self {
        let mut config = Self::fc_hardnet70_encoder();
        match variant {
            SegmentationVariant::FcHarDNet70 => config.decoder = Some(Decoder::new(19, true)),
            SegmentationVariant::PaddleSeg => {
                config.stem.convs[0].stride = 1;
                config.stem.padding = StemPadding::Same;
                config.links = LinkOrder::FarthestFirst;
                config.decoder = Some(Decoder::new(19, false));
            }
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_as_people_write_them() {
        for variant in SegmentationVariant::ALL {
            assert_eq!(variant.name().parse(), Ok(variant));
            assert_eq!(Config::from(variant).with_classes(4).segmentation_variant(), Some(variant));
        }
        assert_eq!("FCHarDNet70".parse(), Ok(SegmentationVariant::FcHarDNet70));
        assert!("hardnet70".parse::<SegmentationVariant>().is_err());
    }

    #[test]
    fn a_segmentation_network_is_valid_and_survives_json() {
        for variant in SegmentationVariant::ALL {
            let config = Config::from(variant);
            config.validate().unwrap();
            assert_eq!((config.classes(), config.published_name()), (19, Some(variant.name())));
            assert_eq!(config.variant(), None);
            let json = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config, "{json}");
        }
        let upstream = Config::from(SegmentationVariant::FcHarDNet70);
        assert_eq!(upstream.without_head().published_name(), Some("fc-hardnet70-encoder"));
    }

    #[test]
    fn a_classifier_has_neither_field_in_json() {
        let json = serde_json::to_string(&Config::from(crate::Variant::HarDNet68)).unwrap();
        assert!(!json.contains("decoder") && !json.contains("links"), "{json}");
    }

    #[test]
    fn a_decoder_excludes_a_head() {
        let mut config = Config::from(crate::Variant::HarDNet68);
        config.decoder = Some(Decoder::new(2, true));
        let message = config.validate().unwrap_err().to_string();
        assert_eq!(message, "`decoder` is set, expected either a head or a decoder");
        config.head = None;
        config.validate().unwrap();
        config.decoder = Some(Decoder::new(0, true));
        assert_eq!(config.validate().unwrap_err().to_string(), "`decoder.classes` is 0, expected 1 to 65536");
    }
}
