//! `--device`.

use std::fmt;
use std::str::FromStr;

use candle_core::Device;

use crate::failure::{Failure, Result};

/// Value of `--device`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeviceChoice {
    /// The first available of CUDA, Metal and the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device with this number.
    Cuda(usize),
    /// The Metal device.
    Metal,
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let ordinal = |number: &str| number.parse().map(Self::Cuda).ok();
        match text.split_once(':') {
            None if text == "auto" => Some(Self::Auto),
            None if text == "cpu" => Some(Self::Cpu),
            None if text == "cuda" => Some(Self::Cuda(0)),
            None if text == "metal" => Some(Self::Metal),
            Some(("cuda", number)) => ordinal(number),
            _ => None,
        }
        .ok_or_else(|| "expected auto, cpu, cuda, cuda:N or metal".into())
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
            Self::Metal => f.write_str("metal"),
        }
    }
}

impl DeviceChoice {
    /// Opens the device. Returns it with the actual choice.
    pub(crate) fn open(self) -> Result<(Device, Self)> {
        match self {
            Self::Auto => Ok([Self::Cuda(0), Self::Metal]
                .into_iter()
                .find_map(|choice| choice.open().ok())
                .unwrap_or((Device::Cpu, Self::Cpu))),
            Self::Cpu => Ok((Device::Cpu, self)),
            Self::Cuda(ordinal) => self.built_in(cfg!(feature = "cuda"), "cuda", || Device::new_cuda(ordinal)),
            Self::Metal => self.built_in(cfg!(feature = "metal"), "metal", || Device::new_metal(0)),
        }
    }

    fn built_in(
        self,
        built_in: bool,
        feature: &str,
        open: impl FnOnce() -> candle_core::Result<Device>,
    ) -> Result<(Device, Self)> {
        if !built_in {
            return Err(Failure::message(format!("this build does not support device `{self}`"))
                .hint(format!("build with support: cargo run -p hardnet-cli --features {feature} -- ...")));
        }
        let device =
            open().map_err(|error| anyhow::Error::from(error).context(format!("cannot open device `{self}`")))?;
        Ok((device, self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_documented_ones() {
        let cases = [
            ("auto", Some(DeviceChoice::Auto)),
            ("cpu", Some(DeviceChoice::Cpu)),
            ("cuda", Some(DeviceChoice::Cuda(0))),
            ("cuda:3", Some(DeviceChoice::Cuda(3))),
            ("metal", Some(DeviceChoice::Metal)),
            ("cuda:x", None),
            ("cpu:0", None),
            ("gpu", None),
            ("", None),
        ];
        for (text, choice) in cases {
            assert_eq!(text.parse().ok(), choice, "{text}");
        }
    }
}
