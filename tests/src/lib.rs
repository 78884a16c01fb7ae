//! Tests that need more than one crate are in `tests/`; the reference numbers they compare with in `golden/`.

pub mod quantize;
