//! The stages of a network that give embeddings.

use std::fmt;
use std::str::FromStr;

use hardnet_graph::{Graph, ModuleKind, TapKind, Taps};

use crate::error::Result;
use crate::features::Tap;

/// A feature map of a network, by its stride or by the index of its module.
///
/// ```
/// use hardnet_classifier::Stage;
/// use hardnet_graph::TapKind;
///
/// # fn main() -> Result<(), hardnet_classifier::UnknownStage> {
/// assert_eq!("stride8".parse::<Stage>()?, Stage::Stride(8, TapKind::Transition));
/// assert_eq!("stride8-block".parse::<Stage>()?, Stage::Stride(8, TapKind::Block));
/// assert_eq!("9".parse::<Stage>()?, Stage::Index(9));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// The last map, which the classifier reads: `last`.
    #[default]
    Last,
    /// The map of [`Taps::Strides`] at this stride: `stride8`, or `stride8-block` before the transition.
    Stride(usize, TapKind),
    /// The output of this entry of the `base` sequence: `9`, or its name `base.9`.
    Index(usize),
}

/// Error of a name that is not a stage's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown stage `{0}`, expected last, a stride as in stride8 or stride8-block, or a module as in 9 or base.9")]
pub struct UnknownStage(pub String);

impl Stage {
    /// The position in [`Graph::modules`] of the module that gives the map.
    ///
    /// # Errors
    ///
    /// [`hardnet_graph::Error::NoSuchTap`] for a stride or index that the network does not have.
    pub fn position(self, graph: &Graph) -> hardnet_graph::Result<usize> {
        Ok(graph.tapped(&self.taps(graph))?.remove(0))
    }

    /// The map in `graph`, which has no head, for images of `side` pixels.
    pub(crate) fn tap(self, graph: &Graph, side: usize) -> Result<Tap> {
        Ok(Tap::resolve(graph, &self.taps(graph), side)?.remove(0))
    }

    fn taps(self, graph: &Graph) -> Taps {
        match self {
            Self::Last => {
                let maps = graph.modules().iter().filter(|module| module.kind != ModuleKind::Head).count();
                Taps::Indices(vec![maps.saturating_sub(1)])
            }
            Self::Stride(stride, kind) => Taps::Strides(vec![stride], kind),
            Self::Index(index) => Taps::Indices(vec![index]),
        }
    }
}

impl FromStr for Stage {
    type Err = UnknownStage;

    fn from_str(name: &str) -> Result<Self, UnknownStage> {
        if name == "last" {
            return Ok(Self::Last);
        }
        let unknown = || UnknownStage(name.into());
        // `parse` alone would accept a sign.
        let number = |digits: &str| {
            let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok());
            number.flatten().ok_or_else(unknown)
        };
        match name.strip_prefix("stride") {
            Some(stride) => match stride.strip_suffix("-block") {
                Some(stride) => Ok(Self::Stride(number(stride)?, TapKind::Block)),
                None => Ok(Self::Stride(number(stride)?, TapKind::Transition)),
            },
            None => Ok(Self::Index(number(name.strip_prefix("base.").unwrap_or(name))?)),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last => f.write_str("last"),
            Self::Stride(stride, TapKind::Transition) => write!(f, "stride{stride}"),
            Self::Stride(stride, TapKind::Block) => write!(f, "stride{stride}-block"),
            Self::Index(index) => write!(f, "base.{index}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let stages = [
            (Stage::Last, "last"),
            (Stage::Stride(8, TapKind::Transition), "stride8"),
            (Stage::Stride(16, TapKind::Block), "stride16-block"),
            (Stage::Index(9), "base.9"),
        ];
        for (stage, name) in stages {
            assert_eq!((name.parse(), stage.to_string().as_str()), (Ok(stage), name));
        }
        assert_eq!("9".parse(), Ok(Stage::Index(9)));
        for name in
            ["", "stride", "stride-block", "stride+8", "+9", "-1", "base.", "base.9.0", "Last", "99999999999999999999"]
        {
            assert_eq!(name.parse::<Stage>(), Err(UnknownStage(name.into())));
        }
    }
}
