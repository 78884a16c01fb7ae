//! The stored results of `pillow/make_fixtures.py` and what is needed to compare with them.

// Each test file uses its own part.
#![allow(dead_code)]

use std::path::PathBuf;

use hardnet_data::{Channels, Image};
use serde::Deserialize;

/// `fixtures.json`.
#[derive(Deserialize)]
pub(crate) struct Fixtures {
    pub(crate) resize: Vec<ResizeCase>,
    pub(crate) pipeline: Vec<PipelineCase>,
    pub(crate) decode: Vec<DecodeCase>,
    pub(crate) readable_lengths: Vec<ReadableLengths>,
    pub(crate) damage: Vec<DamageCase>,
}

#[derive(Deserialize)]
pub(crate) struct ResizeCase {
    pub(crate) from: [usize; 2],
    pub(crate) channels: usize,
    pub(crate) to: [usize; 2],
    pub(crate) filter: String,
    pub(crate) fnv: String,
}

#[derive(Deserialize)]
pub(crate) struct PipelineCase {
    pub(crate) from: [usize; 2],
    pub(crate) channels: usize,
    pub(crate) resize: u32,
    pub(crate) crop: u32,
    pub(crate) filter: String,
    pub(crate) pixels_fnv: String,
    pub(crate) tensor_fnv: String,
}

#[derive(Deserialize)]
pub(crate) struct DecodeCase {
    pub(crate) file: String,
    pub(crate) size: [usize; 2],
    pub(crate) fnv: String,
}

#[derive(Deserialize)]
pub(crate) struct ReadableLengths {
    pub(crate) file: String,
    pub(crate) lengths: Vec<usize>,
}

#[derive(Deserialize)]
pub(crate) struct DamageCase {
    pub(crate) name: String,
    pub(crate) hex: String,
    pub(crate) pillow_reads: bool,
}

pub(crate) fn fixtures() -> Fixtures {
    let text = std::fs::read_to_string(path("fixtures.json")).expect("fixtures.json is stored");
    serde_json::from_str(&text).expect("fixtures.json fits `Fixtures`")
}

/// An encoded file or stored pixels.
pub(crate) fn file(name: &str) -> Vec<u8> {
    std::fs::read(path("files").join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/pillow").join(name)
}

/// The same bytes as `noise` in `make_fixtures.py`.
pub(crate) fn noise(width: usize, height: usize, channels: usize) -> Image {
    let mut state = width as u64 * 1_000_003 + height as u64;
    let samples = (0..width * height * channels)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 56) as u8
        })
        .collect();
    let channels = if channels == 1 { Channels::Gray } else { Channels::Rgb };
    Image::new(width, height, channels, samples).expect("the sizes agree")
}

/// FNV-1a, 64 bits, as 16 hexadecimal digits.
pub(crate) fn fnv1a(bytes: impl IntoIterator<Item = u8>) -> String {
    let hash = bytes
        .into_iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

pub(crate) fn from_hex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal")).collect()
}
