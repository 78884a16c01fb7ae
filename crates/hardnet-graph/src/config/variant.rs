//! The published networks.

use std::fmt;
use std::str::FromStr;

use super::{BlockConfig, Config, Downsample, Head, LinkOrder, Stem, StemConv, StemPadding};
use crate::error::Error;
use crate::op::Activation;

/// A published network; [`Config::from`] gives its description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Variant {
    /// 3.5 M parameters, 0.43 G multiply-adds at 224x224, depthwise separable.
    HarDNet39Ds,
    /// 4.2 M parameters, 0.78 G multiply-adds at 224x224, depthwise separable.
    HarDNet68Ds,
    /// 17.6 M parameters, 4.2 G multiply-adds at 224x224.
    HarDNet68,
    /// 36.7 M parameters, 9.1 G multiply-adds at 224x224; in the authors' repository, not in the paper.
    HarDNet85,
}

impl Variant {
    /// All of them, smallest first.
    pub const ALL: [Self; 4] = [Self::HarDNet39Ds, Self::HarDNet68Ds, Self::HarDNet68, Self::HarDNet85];

    /// Its name, as PyTorch Hub's: `hardnet68`.
    pub fn name(self) -> &'static str {
        match self {
            Self::HarDNet39Ds => "hardnet39ds",
            Self::HarDNet68Ds => "hardnet68ds",
            Self::HarDNet68 => "hardnet68",
            Self::HarDNet85 => "hardnet85",
        }
    }

    /// All names, each in backticks, joined by commas.
    pub(crate) fn names() -> String {
        Self::ALL.map(|variant| format!("`{}`", variant.name())).join(", ")
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Variant {
    type Err = Error;

    /// Accepts the name in any case, with `_` or `-` between its parts: `HarDNet39_ds`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let name: String = text.chars().filter(|c| !matches!(c, '_' | '-')).collect::<String>().to_lowercase();
        Self::ALL.into_iter().find(|variant| variant.name() == name).ok_or_else(|| Error::UnknownVariant(text.into()))
    }
}

impl From<Variant> for Config {
    fn from(variant: Variant) -> Self {
        // Per block: layers, k, transition channels, downsampling after it.
        type Table = &'static [(usize, usize, usize, bool)];
        const TABLE_39DS: Table = &[(4, 16, 96, true), (16, 20, 320, true), (8, 64, 640, true), (4, 160, 1024, false)];
        const TABLE_68: Table = &[
            (8, 14, 128, true),
            (16, 16, 256, false),
            (16, 20, 320, true),
            (16, 40, 640, true),
            (4, 160, 1024, false),
        ];
        const TABLE_85: Table = &[
            (8, 24, 192, true),
            (16, 24, 256, false),
            (16, 28, 320, true),
            (16, 36, 480, false),
            (16, 48, 720, true),
            (4, 256, 1280, false),
        ];
        let (stem, depthwise, multiplier, table, dropout) = match variant {
            Variant::HarDNet39Ds => ([24, 48], true, 1.6, TABLE_39DS, 0.05),
            Variant::HarDNet68Ds => ([32, 64], true, 1.7, TABLE_68, 0.05),
            Variant::HarDNet68 => ([32, 64], false, 1.7, TABLE_68, 0.1),
            Variant::HarDNet85 => ([48, 96], false, 1.7, TABLE_85, 0.2),
        };
        let mut blocks: Vec<_> = table
            .iter()
            .map(|&(layers, growth, transition, downsample)| BlockConfig {
                layers,
                growth,
                multiplier,
                dropout: None,
                transition,
                downsample,
            })
            .collect();
        if let (Variant::HarDNet85, Some(last)) = (variant, blocks.last_mut()) {
            last.dropout = Some(0.1);
        }
        Config {
            in_channels: 3,
            stem: Stem {
                convs: vec![
                    StemConv { channels: stem[0], kernel: 3, stride: 2 },
                    StemConv { channels: stem[1], kernel: if depthwise { 1 } else { 3 }, stride: 1 },
                ],
                padding: StemPadding::Symmetric,
                downsample: true,
            },
            blocks,
            depthwise,
            downsample: if depthwise { Downsample::Depthwise } else { Downsample::MaxPool },
            activation: Activation::Relu6,
            links: LinkOrder::NearestFirst,
            head: Some(Head { classes: 1000, dropout }),
            decoder: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_as_people_write_them() {
        for variant in Variant::ALL {
            assert_eq!(variant.name().parse::<Variant>().unwrap(), variant);
        }
        assert_eq!("HarDNet39_ds".parse::<Variant>().unwrap(), Variant::HarDNet39Ds);
        assert_eq!("HARDNET-68".parse::<Variant>().unwrap(), Variant::HarDNet68);
        let message = "hardnet70".parse::<Variant>().unwrap_err().to_string();
        assert_eq!(
            message,
            "unknown model `hardnet70`, expected one of `hardnet39ds`, `hardnet68ds`, `hardnet68`, `hardnet85`"
        );
    }

    #[test]
    fn a_config_with_other_classes_is_still_its_variant() {
        for variant in Variant::ALL {
            assert_eq!(Config::from(variant).with_classes(10).variant(), Some(variant));
            assert_eq!(Config::from(variant).without_head().variant(), Some(variant));
        }
        let mut other = Config::from(Variant::HarDNet68);
        other.blocks[0].growth = 15;
        assert_eq!(other.variant(), None);
    }
}
