//! Whole numbers in JSON, for `#[serde(with = "whole_number", default)]`: `20.0` is one, as JSON Schema defines an
//! integer.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, Unexpected};

/// Reads a whole number from zero on, or none.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else { return Ok(None) };
    if let Some(whole) = number.as_u64() {
        return Ok(Some(whole));
    }
    let value = number.as_f64().unwrap_or(f64::NAN);
    // A number that does not fit 64 bits becomes the largest that does.
    if value >= 0.0 && value.fract() == 0.0 {
        return Ok(Some(value as u64));
    }
    Err(D::Error::invalid_value(Unexpected::Float(value), &"a whole number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct One {
        #[serde(with = "super", default)]
        number: Option<u64>,
    }

    #[test]
    fn whole_numbers_may_be_written_as_fractions() {
        let read = |text: &str| serde_json::from_str::<One>(&format!("{{{text}}}")).map(|one| one.number);
        for (text, number) in [
            ("", None),
            ("\"number\": null", None),
            ("\"number\": 7", Some(7)),
            ("\"number\": 20.0", Some(20)),
            ("\"number\": 18446744073709551615", Some(u64::MAX)),
            ("\"number\": 1e300", Some(u64::MAX)),
        ] {
            assert_eq!(read(text).unwrap(), number, "{text}");
        }
        for text in ["-1", "0.5", "\"1\"", "true", "[1]"] {
            assert!(read(&format!("\"number\": {text}")).is_err(), "{text}");
        }
    }
}
