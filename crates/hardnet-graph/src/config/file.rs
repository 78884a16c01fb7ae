//! A configuration as TOML, for files that people write: the fields of its JSON, one line for each block.

use std::fmt::Write;

use super::{Config, LinkOrder};
use crate::error::{Error, Result};

/// Longest reason in a message.
const MAX_REASON: usize = 300;

impl Config {
    /// Reads a configuration, which must have all fields but `links`, `head`, `decoder` and the `dropout` of blocks,
    /// and no others.
    ///
    /// # Errors
    ///
    /// [`Error::Toml`] with the line for text that is not TOML, unknown or missing fields and values of another type,
    /// [`Error::Config`] for a value that does not describe a network.
    ///
    /// ```
    /// use hardnet_graph::{Config, Variant};
    ///
    /// # fn main() -> Result<(), hardnet_graph::Error> {
    /// let config = Config::from(Variant::HarDNet68).with_classes(10);
    /// assert_eq!(Config::from_toml(&config.to_toml())?, config);
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_toml(text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text).map_err(|error| {
            // A field that the whole file lacks is missing at its first byte, which is no place to look.
            let is_missing = |start: &usize| *start == 0 && error.message().starts_with("missing field");
            let start = error.span().map(|span| span.start.min(text.len())).filter(|start| !is_missing(start));
            let line = start.map(|start| 1 + text.as_bytes()[..start].iter().filter(|&&byte| byte == b'\n').count());
            // A message may quote a name from the file, of any length.
            let printable = |c: char| if c.is_control() { ' ' } else { c };
            let reason = error.message().chars().take(MAX_REASON).map(printable).collect();
            Error::Toml { line, reason }
        })?;
        config.validate()?;
        Ok(config)
    }

    /// Returns the configuration as TOML that [`Config::from_toml`] reads, with the values that each name may have.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write_toml(&mut text);
        text
    }

    fn write_toml(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "in_channels = {}", self.in_channels)?;
        writeln!(out, "activation = \"{}\" # relu6 or relu", self.activation.name())?;
        writeln!(out, "downsample = \"{}\" # max_pool, average_pool or depthwise", self.downsample.name())?;
        writeln!(out, "depthwise = {} # whether layers are 1x1 and depthwise 3x3 convolutions", self.depthwise)?;
        if self.links != LinkOrder::default() {
            let names = "nearest_first or farthest_first";
            writeln!(out, "links = \"{}\" # order in which a layer reads others: {names}", self.links.name())?;
        }
        writeln!(out, "\nblocks = [")?;
        for block in &self.blocks {
            write!(
                out,
                "    {{ layers = {}, growth = {}, multiplier = {:?}, ",
                block.layers, block.growth, block.multiplier
            )?;
            if let Some(dropout) = block.dropout {
                write!(out, "dropout = {dropout:?}, ")?;
            }
            writeln!(out, "transition = {}, downsample = {} }},", block.transition, block.downsample)?;
        }
        writeln!(out, "]\n\n[stem]\nconvs = [")?;
        for conv in &self.stem.convs {
            let (channels, kernel, stride) = (conv.channels, conv.kernel, conv.stride);
            writeln!(out, "    {{ channels = {channels}, kernel = {kernel}, stride = {stride} }},")?;
        }
        writeln!(out, "]")?;
        writeln!(
            out,
            "padding = \"{}\" # of strided convolutions: symmetric, top_left or same",
            self.stem.padding.name()
        )?;
        writeln!(out, "downsample = {} # whether a downsampling layer follows", self.stem.downsample)?;
        if let Some(head) = &self.head {
            writeln!(out, "\n[head]\nclasses = {}\ndropout = {:?}", head.classes, head.dropout)?;
        }
        if let Some(decoder) = &self.decoder {
            writeln!(out, "\n[decoder]\nclasses = {}\nalign_corners = {}", decoder.classes, decoder.align_corners)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{SegmentationVariant, StemPadding, Variant};

    #[test]
    fn what_is_written_is_read_back() {
        let mut odd = Config::from(Variant::HarDNet85).with_stem_padding(StemPadding::TopLeft).with_classes(7);
        (odd.blocks[0].multiplier, odd.blocks[1].dropout) = (1.0 / 3.0 + 1.0, Some(1e-7));
        (odd.in_channels, odd.blocks[2].multiplier) = (1, 2.0);
        let mut configs = vec![odd, Config::fc_hardnet70_encoder()];
        configs.extend(SegmentationVariant::ALL.map(Config::from));
        for variant in Variant::ALL {
            configs.extend([Config::from(variant), Config::from(variant).without_head()]);
        }
        for config in configs {
            assert_eq!(Config::from_toml(&config.to_toml()), Ok(config.clone()), "{}", config.to_toml());
        }
    }

    /// The names in TOML are those that serde has.
    #[test]
    fn the_fields_are_those_of_the_json() {
        for config in [Config::fc_hardnet70_encoder(), SegmentationVariant::PaddleSeg.into()] {
            let json: serde_json::Value = serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
            let toml: serde_json::Value = toml::from_str(&config.to_toml()).unwrap();
            // TOML has no null.
            let without_null = |value: &serde_json::Value| {
                value.to_string().replace(",\"head\":null", "").replace("\"dropout\":null,", "")
            };
            assert_eq!(without_null(&json), without_null(&toml));
        }
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        let text = Config::from(Variant::HarDNet39Ds).to_toml();
        let cases = [
            ("growth = 16,", "groth = 16,", "line 7: unknown field `groth`, expected one of `layers`, `growth`, "),
            ("in_channels = 3", "in_channel = 3", "line 1: unknown field `in_channel`, expected one of "),
            ("\"relu6\"", "\"gelu\"", "line 2: unknown variant `gelu`, expected `relu6` or `relu`"),
            ("\"relu6\"", "relu6", "line 2: "),
            ("in_channels = 3", "in_channels = -3", "line 1: invalid value: integer `-3`, expected usize"),
            ("growth = 16, ", "", "line 7: missing field `growth`"),
            ("in_channels = 3\n", "", "missing field `in_channels`"),
            ("in_channels = 3", "in_channels = 0", "`in_channels` is 0, expected 1 to 65536"),
            ("[head]", "[heads]", "line 21: unknown field `heads`"),
            ("classes = 1000\n", "classes = 1000\nclasses = 10\n", "line 23: duplicate key"),
        ];
        for (from, to, expected) in cases {
            assert!(text.contains(from), "{from} in {text}");
            let message = Config::from_toml(&text.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
        let quoted = Config::from_toml(&format!("\"\\n{}\" = 1", "x".repeat(5000))).unwrap_err().to_string();
        assert!(quoted.len() < 400 && !quoted.contains('\n'), "{quoted}");
        let nested = "[".repeat(100_000);
        assert!(Config::from_toml(&format!("blocks = {nested}")).is_err());
    }
}
