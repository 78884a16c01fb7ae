//! Data of tensors in requests of the Open Inference Protocol: nested or flat JSON, or bytes after the JSON.

use std::fmt;

use hyper::body::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

use crate::http::error::{HttpError, Result};

/// The most strings of a tensor: empty ones take more memory than their text.
const MAX_STRINGS: usize = 1024;

/// Elements of a tensor in JSON, in row-major order, whatever their nesting.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Elements {
    pub(super) numbers: Vec<f32>,
    pub(super) strings: Vec<String>,
}

impl<'de> Deserialize<'de> for Elements {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let mut elements = Self::default();
        Collect(&mut elements).deserialize(deserializer)?;
        Ok(elements)
    }
}

/// Adds an element, or all elements of an array, to the others.
struct Collect<'a>(&'a mut Elements);

impl<'de> DeserializeSeed<'de> for Collect<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Collect<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("numbers, at most 1024 strings, or arrays of them")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> std::result::Result<(), A::Error> {
        while values.next_element_seed(Collect(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> std::result::Result<(), E> {
        self.0.numbers.push(value as f32);
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> std::result::Result<(), E> {
        self.visit_f64(value as f64)
    }

    fn visit_i64<E: Error>(self, value: i64) -> std::result::Result<(), E> {
        self.visit_f64(value as f64)
    }

    fn visit_str<E: Error>(self, value: &str) -> std::result::Result<(), E> {
        if self.0.strings.len() == MAX_STRINGS {
            return Err(E::invalid_length(MAX_STRINGS + 1, &self));
        }
        self.0.strings.push(value.to_owned());
        Ok(())
    }
}

/// The values of `bytes`, f32 in little-endian order.
pub(super) fn floats(bytes: &[u8]) -> Result<Vec<f32>> {
    let (values, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(HttpError::bad_request(format!("{} bytes of FP32, expected a multiple of 4", bytes.len())));
    }
    Ok(values.iter().map(|value| f32::from_le_bytes(*value)).collect())
}

/// The `count` elements of `bytes`, each after its length in 32 bits.
pub(super) fn byte_strings(bytes: &Bytes, count: usize) -> Result<Vec<Bytes>> {
    let wrong = || HttpError::bad_request(format!("{} bytes of BYTES are not {count} elements", bytes.len()));
    let (mut elements, mut rest) = (Vec::new(), bytes.clone());
    while !rest.is_empty() {
        let length = rest.first_chunk::<4>().ok_or_else(wrong)?;
        let end = (u32::from_le_bytes(*length) as usize).checked_add(4).filter(|end| *end <= rest.len());
        let element = rest.split_to(end.ok_or_else(wrong)?);
        if elements.len() == count {
            return Err(wrong());
        }
        elements.push(element.slice(4..));
    }
    if elements.len() == count { Ok(elements) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_may_be_nested_or_flat() {
        for text in ["[1, 2.5, -3]", "[[1], [2.5, [-3]]]", "[[[1, 2.5, -3]]]"] {
            let found: Elements = serde_json::from_str(text).unwrap();
            assert_eq!(found.numbers, [1.0, 2.5, -3.0], "{text}");
        }
        assert!(serde_json::from_str::<Elements>("[true]").is_err());
        assert!(serde_json::from_str::<Elements>(&"[".repeat(100_000)).is_err(), "the depth is bounded");
        assert!(serde_json::from_str::<Elements>(&format!("[{}\"\"]", "\"\",".repeat(MAX_STRINGS))).is_err());
    }

    #[test]
    fn elements_of_bytes_must_fill_their_data() {
        let data = |bytes: &[u8]| byte_strings(&Bytes::copy_from_slice(bytes), 2);
        assert_eq!(data(b"\x01\0\0\0a\0\0\0\0").unwrap(), ["a", ""]);
        for wrong in [&b"\x01\0\0\0a"[..], b"\x01\0\0\0a\0\0\0", b"\x02\0\0\0a", b"\xff\xff\xff\xff", b"", b"\0"] {
            assert!(data(wrong).is_err(), "{wrong:?}");
        }
        assert!(data(&[0; 12]).is_err(), "one element too many");
        assert!(floats(&[0; 5]).is_err());
    }
}
