//! Figures that the HarDNet paper prints, and why some differ from those that are counted.
//!
//! Table 4 mixes conventions. Each printed figure names the one that gives it, so that [`compare`] can show three
//! numbers: what the definition gives for the network as it is commonly built, what the paper prints, and what the
//! paper's convention gives. The reasons are deduced from the numbers; the paper states none of them.

mod table;

use hardnet_graph::{Config, Graph, Variant};

use crate::error::Result;
use crate::figures::{Figures, Totals};
use crate::reference::Reference;
pub use table::{HARDNET_85, TABLE_4};

/// Rows and columns of the images that the paper counts for.
pub const IMAGE_SIDE: usize = 224;

/// Top-1 of HarDNet's authors for one network, and what they print of its cost.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct PaperRow {
    /// The network, as printed.
    pub model: &'static str,
    /// Name of the network's description: that of a [`Reference`], or of a HarDNet, as `hardnet68`. None where the
    /// paper leaves open how it is built.
    pub network: Option<&'static str>,
    /// Parameters, in millions.
    pub params: Option<Printed>,
    /// Multiply-accumulates, in billions.
    pub macs: Option<Printed>,
    /// Convolutional input and output, in millions of elements.
    pub cio: Option<Printed>,
    /// Milliseconds on a GTX 1080 with PyTorch 1.1.0, 1024x1024 pixels.
    pub gpu_ms: Option<f64>,
    /// Milliseconds on a Jetson Nano with TensorRT, 320x320 pixels.
    pub nano_ms: Option<f64>,
    /// Accuracy on ImageNet, in percent.
    pub top1: f64,
}

/// A printed figure and the conventions it follows.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Printed {
    /// As printed, with its digits.
    pub text: &'static str,
    /// Why it is not the figure of its definition; empty where it is.
    pub reasons: &'static [Reason],
}

/// Reason why a printed figure differs from the definition's for the network as it is commonly built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Two operations for each normalized element and one for each activation count as MACs.
    Pointwise,
    /// The stride-2 depthwise layers that halve the map are left out.
    StridedDepthwise,
    /// Counted for the first version, whose bottlenecks stride in their first convolution.
    FirstVersion,
    /// Counted for channels cut to whole numbers, not rounded to multiples of eight.
    WidthsCut,
    /// Counted for an image of 227x227 pixels.
    Side227,
    /// Counted for a stem padded by 3.
    PaddedStem,
    /// Cut after the last printed digit, not rounded.
    Cut,
}

impl Reason {
    /// The reason in words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Pointwise => "counts 2 operations for each normalized element and 1 for each activation as MACs",
            Self::StridedDepthwise => "leaves out the stride-2 depthwise layers that stand in for pools",
            Self::FirstVersion => {
                "is of v1, whose bottlenecks stride in their first 1x1; built today is v1.5 (in the 3x3)"
            }
            Self::WidthsCut => "is of channels int(1.4 c); built today are multiples of eight",
            Self::Side227 => "is of an image of 227x227 pixels",
            Self::PaddedStem => "is of a stem padded by 3, which the published network is not",
            Self::Cut => "is cut after its last digit, not rounded",
        }
    }
}

/// A figure of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Quantity {
    /// Parameters, in millions.
    Params,
    /// Multiply-accumulates, in billions.
    Macs,
    /// Convolutional input and output, in millions of elements.
    Cio,
}

impl Quantity {
    /// How many are one of the printed unit.
    pub fn unit(self) -> f64 {
        match self {
            Self::Params | Self::Cio => 1e6,
            Self::Macs => 1e9,
        }
    }

    fn of_definition(self, totals: &Totals) -> u64 {
        match self {
            Self::Params => totals.params,
            Self::Macs => totals.macs(),
            Self::Cio => totals.cio(),
        }
    }

    fn as_counted(self, totals: &Totals, reasons: &[Reason]) -> u64 {
        match self {
            Self::Macs if reasons.contains(&Reason::Pointwise) => totals.macs_and_pointwise(),
            Self::Cio if reasons.contains(&Reason::StridedDepthwise) => totals.cio() - totals.cio_strided_depthwise,
            _ => self.of_definition(totals),
        }
    }
}

/// A figure of a row: computed, printed, and computed by the paper's convention.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Comparison {
    /// By definition, in the printed unit, for the network as it is commonly built.
    pub computed: u64,
    /// By the convention that the reasons name; the same without any.
    pub as_counted: u64,
    /// The printed figure, if there is one.
    pub printed: Option<Printed>,
    /// Whether the definition's figure rounds to what is printed.
    pub agrees: bool,
    /// Whether the convention's does.
    pub explained: bool,
}

/// Compares `quantity` of `row`; none for a row whose network the paper leaves open.
///
/// # Errors
///
/// As [`Figures::new`].
pub fn compare(row: &PaperRow, quantity: Quantity) -> Result<Option<Comparison>> {
    let printed = match quantity {
        Quantity::Params => row.params,
        Quantity::Macs => row.macs,
        Quantity::Cio => row.cio,
    };
    let reasons = printed.map_or(&[][..], |printed| printed.reasons);
    let Some(name) = row.network else { return Ok(None) };
    let (usual, counted) = (graph(name)?, graph(counted_as(name, reasons))?);
    let side = if reasons.contains(&Reason::Side227) { 227 } else { IMAGE_SIDE };
    let computed = quantity.of_definition(&Figures::new(&usual, IMAGE_SIDE, IMAGE_SIDE)?.totals);
    let as_counted = quantity.as_counted(&Figures::new(&counted, side, side)?.totals, reasons);
    let matches =
        |value: u64, cut: bool| printed.is_none_or(|printed| printed.shows(value as f64 / quantity.unit(), cut));
    Ok(Some(Comparison {
        computed,
        as_counted,
        printed,
        agrees: matches(computed, false),
        explained: matches(as_counted, reasons.contains(&Reason::Cut)),
    }))
}

/// The graph of that name, of a [`Reference`] or a published HarDNet.
fn graph(name: &str) -> Result<Graph> {
    match name.parse::<Reference>() {
        Ok(reference) => Ok(reference.graph()),
        Err(_) => Ok(Graph::new(&Config::from(name.parse::<Variant>()?))?),
    }
}

/// The network that a figure was counted for.
fn counted_as<'a>(name: &'a str, reasons: &[Reason]) -> &'a str {
    for reason in reasons {
        let other = match (name, reason) {
            ("resnet50", Reason::FirstVersion) => Reference::ResNet50V1,
            ("resnet101", Reason::FirstVersion) => Reference::ResNet101V1,
            ("resnet152", Reason::FirstVersion) => Reference::ResNet152V1,
            ("mobilenetv2-1.4", Reason::WidthsCut) => Reference::MobileNetV2WideCut,
            ("squeezenet", Reason::PaddedStem) => Reference::SqueezeNetPadded,
            _ => continue,
        };
        return other.name();
    }
    name
}

impl Printed {
    /// Whether `value` is printed like this: rounded, or cut, to as many decimals.
    fn shows(&self, value: f64, cut: bool) -> bool {
        let decimals = self.text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        let scale = 10_f64.powi(decimals as i32);
        let shown = if cut { (value * scale).floor() / scale } else { value };
        format!("{shown:.decimals$}") == self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_printed_figure_is_computed_or_explained() {
        let mut compared = 0;
        for row in TABLE_4.iter().chain([&HARDNET_85]) {
            for quantity in [Quantity::Params, Quantity::Macs, Quantity::Cio] {
                let Some(comparison) = compare(row, quantity).unwrap() else { continue };
                let reasons = comparison.printed.map_or(&[][..], |printed| printed.reasons);
                assert!(comparison.explained, "{} {quantity:?}: {comparison:?}", row.model);
                assert_eq!(comparison.agrees, reasons.is_empty(), "{} {quantity:?}: {comparison:?}", row.model);
                compared += 1;
            }
        }
        // Ten of the networks compared with, and the four HarDNets.
        assert_eq!(compared, 30 + 12);
    }

    #[test]
    fn a_printed_figure_is_rounded_or_cut() {
        let printed = Printed { text: "30.9", reasons: &[] };
        assert!(printed.shows(30.92, false) && printed.shows(30.9586, true));
        assert!(!printed.shows(30.9586, false) && !printed.shows(31.0, true));
        assert!(Printed { text: "25", reasons: &[] }.shows(25.4, false));
    }
}
