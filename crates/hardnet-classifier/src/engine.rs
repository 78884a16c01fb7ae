//! The engines that compute a network.

use std::fmt;
use std::str::FromStr;

/// An engine that computes a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Engine {
    /// This project's own kernels, on the CPU.
    Native,
    /// Candle, on any device; needs the feature `candle`.
    Candle,
}

/// Error of a name that is not an engine's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown engine `{0}`, expected native or candle")]
pub struct UnknownEngine(pub String);

impl Engine {
    /// Name of the engine, which [`FromStr`] reads: `native` or `candle`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Candle => "candle",
        }
    }
}

impl FromStr for Engine {
    type Err = UnknownEngine;

    fn from_str(name: &str) -> Result<Self, UnknownEngine> {
        [Self::Native, Self::Candle]
            .into_iter()
            .find(|engine| engine.name() == name)
            .ok_or_else(|| UnknownEngine(name.into()))
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
