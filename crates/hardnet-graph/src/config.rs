//! A HarDNet as data.

mod encoder;
#[cfg(any(test, feature = "toml"))]
mod file;
mod segmentation;
mod variant;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::link;
use crate::op::Activation;
pub use segmentation::{Decoder, LinkOrder, SegmentationVariant};
pub use variant::Variant;

/// Widest map and longest table that a configuration may ask for; bounds what a hostile file can make us allocate.
const MAX_CHANNELS: usize = 1 << 16;
const MAX_BLOCKS: usize = 64;

/// Everything that defines a HarDNet: [`Variant`] and [`SegmentationVariant`] have the published ones, any other table
/// of blocks makes another.
///
/// It is stored as JSON in the metadata of a weights file, and as TOML, with the same fields, in files that people
/// write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Channels of the input image: 3 for RGB.
    pub in_channels: usize,
    /// The layers before the first block.
    pub stem: Stem,
    /// The HarDBlocks, each with the 1x1 transition after it.
    pub blocks: Vec<BlockConfig>,
    /// Whether a block's layer is a 1x1 convolution and a depthwise 3x3 one (the `DS` networks) instead of a 3x3 one.
    pub depthwise: bool,
    /// How the map is halved after the stem and after transitions.
    pub downsample: Downsample,
    /// Activation after every convolution but the depthwise ones.
    pub activation: Activation,
    /// The order in which the layers of a block concatenate what they read.
    #[serde(default, skip_serializing_if = "is_default")]
    pub links: LinkOrder,
    /// The classifier; a backbone has none.
    pub head: Option<Head>,
    /// The decoder of a segmentation network, in place of a classifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder: Option<Decoder>,
}

/// The convolutions before the first block, and how the map is halved after them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stem {
    /// The convolutions in order.
    pub convs: Vec<StemConv>,
    /// Padding of the strided convolutions.
    pub padding: StemPadding,
    /// Whether a downsampling layer follows the last convolution, as in every published classifier. Metadata without
    /// this field means that one does.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub downsample: bool,
}

fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// One convolution of the stem.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StemConv {
    /// Output channels.
    pub channels: usize,
    /// Side of the kernel, odd.
    pub kernel: usize,
    /// 1 or 2.
    pub stride: usize,
}

/// Where the strided convolutions of the stem pad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StemPadding {
    /// `kernel / 2` on all four sides, as PyTorch: a side of `n` pixels becomes `ceil(n / 2)`.
    Symmetric,
    /// `kernel / 2` above and on the left only, as the Paddle notebook's `[1, 0, 1, 0]`: `n` becomes `floor(n / 2)`.
    /// The same as [`StemPadding::Symmetric`] where `n` is even.
    TopLeft,
    /// As few zeros as give `ceil(n / 2)`, the odd one below and on the right, as PaddleSeg's `padding="same"`. The
    /// same as [`StemPadding::Symmetric`] where `n` is odd.
    Same,
}

impl StemPadding {
    /// Its name in JSON and TOML.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Symmetric => "symmetric",
            Self::TopLeft => "top_left",
            Self::Same => "same",
        }
    }
}

/// One HarDBlock and what follows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockConfig {
    /// Number of layers.
    pub layers: usize,
    /// Growth rate, the paper's `k`: channels of an odd layer.
    pub growth: usize,
    /// Channel multiplier, the paper's `m`.
    pub multiplier: f64,
    /// Probability of a dropout between block and transition. It keeps an index of its own in `base`, so that `None`
    /// and `Some(0.0)` name the parameters after it differently.
    pub dropout: Option<f64>,
    /// Output channels of the 1x1 transition after the block.
    pub transition: usize,
    /// Whether a downsampling layer follows the transition.
    pub downsample: bool,
}

/// How the map is halved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Downsample {
    /// Max-pooling: 3x3 padded by 1 after the stem, 2x2 elsewhere.
    MaxPool,
    /// Average-pooling of the same windows; padding counts as zeros, as in PyTorch.
    AveragePool,
    /// A depthwise 3x3 convolution of stride 2 with batch normalization and no activation.
    Depthwise,
}

impl Downsample {
    /// Its name in JSON and TOML.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MaxPool => "max_pool",
            Self::AveragePool => "average_pool",
            Self::Depthwise => "depthwise",
        }
    }
}

/// Global average pooling, dropout and a linear layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Number of classes.
    pub classes: usize,
    /// Probability of the dropout before the linear layer.
    pub dropout: f64,
}

impl Config {
    /// A network with ReLU6 and max-pools, not depthwise, and without a classifier.
    pub fn new(in_channels: usize, stem: Stem, blocks: Vec<BlockConfig>) -> Self {
        let (downsample, activation) = (Downsample::MaxPool, Activation::Relu6);
        let links = LinkOrder::default();
        Self { in_channels, stem, blocks, depthwise: false, downsample, activation, links, head: None, decoder: None }
    }

    /// Sets the number of classes of the head or decoder; gives a network that has neither a head without dropout.
    pub fn with_classes(mut self, classes: usize) -> Self {
        if let Some(decoder) = &mut self.decoder {
            decoder.classes = classes;
            return self;
        }
        let dropout = self.head.map_or(0.0, |head| head.dropout);
        self.head = Some(Head { classes, dropout });
        self
    }

    /// Sets the padding of the stem.
    pub fn with_stem_padding(mut self, padding: StemPadding) -> Self {
        self.stem.padding = padding;
        self
    }

    /// Sets a decoder, which replaces the classifier.
    pub fn with_decoder(mut self, decoder: Decoder) -> Self {
        (self.head, self.decoder) = (None, Some(decoder));
        self
    }

    /// Removes the classifier or decoder.
    pub fn without_head(mut self) -> Self {
        (self.head, self.decoder) = (None, None);
        self
    }

    /// Number of classes, 0 without a head or decoder.
    pub fn classes(&self) -> usize {
        let of_decoder = self.decoder.as_ref().map(|decoder| decoder.classes);
        of_decoder.or(self.head.as_ref().map(|head| head.classes)).unwrap_or(0)
    }

    /// The published classifier whose blocks and stem these are, whatever the classes, the dropout and the stem's
    /// padding.
    pub fn variant(&self) -> Option<Variant> {
        if self.decoder.is_some() {
            return None;
        }
        let bare = |config: &Self| config.clone().without_head().with_stem_padding(StemPadding::Symmetric);
        Variant::ALL.into_iter().find(|&variant| bare(&Self::from(variant)) == bare(self))
    }

    /// The published segmentation network that this is, whatever the classes.
    pub fn segmentation_variant(&self) -> Option<SegmentationVariant> {
        self.decoder.as_ref()?;
        let classes = self.classes();
        SegmentationVariant::ALL.into_iter().find(|&variant| Self::from(variant).with_classes(classes) == *self)
    }

    /// The name of the published network that this is, whatever the classes, and for a classifier also the dropout and
    /// the stem's padding: of a [`Variant`], of a [`SegmentationVariant`], or of the
    /// [encoder of FC-HarDNet-70](Self::fc_hardnet70_encoder).
    pub fn published_name(&self) -> Option<&'static str> {
        if self.decoder.is_some() {
            return self.segmentation_variant().map(SegmentationVariant::name);
        }
        match self.variant() {
            Some(variant) => Some(variant.name()),
            None => (self.clone().without_head() == Self::fc_hardnet70_encoder()).then_some("fc-hardnet70-encoder"),
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for the first field that does not describe a network.
    pub fn validate(&self) -> Result<()> {
        channels("in_channels", self.in_channels)?;
        if self.stem.convs.is_empty() || self.stem.convs.len() > MAX_BLOCKS {
            return Err(invalid("stem.convs", format!("{} entries", self.stem.convs.len()), "1 to 64 entries"));
        }
        for (i, conv) in self.stem.convs.iter().enumerate() {
            channels(format!("stem.convs[{i}].channels"), conv.channels)?;
            if conv.kernel % 2 == 0 || conv.kernel > 15 {
                return Err(invalid(format!("stem.convs[{i}].kernel"), conv.kernel, "an odd number up to 15"));
            }
            if !(1..=2).contains(&conv.stride) {
                return Err(invalid(format!("stem.convs[{i}].stride"), conv.stride, "1 or 2"));
            }
        }
        if self.blocks.len() > MAX_BLOCKS {
            return Err(invalid("blocks", format!("{} entries", self.blocks.len()), "at most 64 entries"));
        }
        for (i, block) in self.blocks.iter().enumerate() {
            layers(format!("blocks[{i}]"), block.layers, block.growth, block.multiplier)?;
            channels(format!("blocks[{i}].transition"), block.transition)?;
            probability(format!("blocks[{i}].dropout"), block.dropout.unwrap_or(0.0))?;
        }
        if let Some(head) = &self.head {
            channels("head.classes", head.classes)?;
            probability("head.dropout", head.dropout)?;
        }
        if let Some(decoder) = &self.decoder {
            channels("decoder.classes", decoder.classes)?;
            if self.head.is_some() {
                return Err(invalid("decoder", "set", "either a head or a decoder"));
            }
        }
        Ok(())
    }
}

/// Checks the numbers of one block, whose fields are named below `prefix`.
pub(crate) fn layers(prefix: impl Into<String>, layers: usize, growth: usize, multiplier: f64) -> Result<()> {
    let prefix = prefix.into();
    if layers == 0 || layers > link::MAX_LAYERS {
        return Err(invalid(format!("{prefix}.layers"), layers, "1 to 1023"));
    }
    channels(format!("{prefix}.growth"), growth)?;
    let deepest = 1 << layers.ilog2();
    if !(multiplier.is_finite() && multiplier >= 1.0 && link::width(deepest, growth, multiplier) <= MAX_CHANNELS) {
        let expected = "a number from 1.0 that leaves every layer at most 65536 channels";
        return Err(invalid(format!("{prefix}.multiplier"), multiplier, expected));
    }
    Ok(())
}

/// Checks a number of channels.
pub(crate) fn channels(field: impl Into<String>, value: usize) -> Result<()> {
    if value == 0 || value > MAX_CHANNELS {
        return Err(invalid(field, value, "1 to 65536"));
    }
    Ok(())
}

fn probability(field: impl Into<String>, value: f64) -> Result<()> {
    if !(0.0..1.0).contains(&value) {
        return Err(invalid(field, value, "a probability, 0 or more and less than 1"));
    }
    Ok(())
}

fn invalid(field: impl Into<String>, found: impl ToString, expected: &'static str) -> Error {
    Error::Config { field: format!("`{}`", field.into()), found: found.to_string(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_variants_are_valid_and_survive_json() {
        for variant in Variant::ALL {
            let config = Config::from(variant);
            config.validate().unwrap();
            let json = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config, "{json}");
        }
    }

    #[test]
    fn a_bad_field_is_named() {
        type Change = fn(&mut Config);
        let cases: [(&str, Change); 9] = [
            ("`in_channels` is 0, expected 1 to 65536", |c| c.in_channels = 0),
            ("`stem.convs` is 0 entries, expected 1 to 64 entries", |c| c.stem.convs.clear()),
            ("`stem.convs[1].kernel` is 2, expected an odd number up to 15", |c| c.stem.convs[1].kernel = 2),
            ("`stem.convs[0].stride` is 3, expected 1 or 2", |c| c.stem.convs[0].stride = 3),
            ("`blocks[2].layers` is 1024, expected 1 to 1023", |c| c.blocks[2].layers = 1024),
            ("`blocks[0].growth` is 0, expected 1 to 65536", |c| c.blocks[0].growth = 0),
            ("`blocks[1].transition` is 0, expected 1 to 65536", |c| c.blocks[1].transition = 0),
            ("`head.classes` is 0, expected 1 to 65536", |c| *c = c.clone().with_classes(0)),
            ("`blocks[0].dropout` is 1, expected a probability, 0 or more and less than 1", |c| {
                c.blocks[0].dropout = Some(1.0);
            }),
        ];
        for (message, change) in cases {
            let mut config = Config::from(Variant::HarDNet68);
            change(&mut config);
            assert_eq!(config.validate().unwrap_err().to_string(), message);
        }
        for multiplier in [f64::NAN, f64::INFINITY, 0.0, 1e9] {
            let mut config = Config::from(Variant::HarDNet68);
            config.blocks[0].multiplier = multiplier;
            let message = config.validate().unwrap_err().to_string();
            assert!(message.starts_with("`blocks[0].multiplier` is "), "{message}");
        }
    }
}
