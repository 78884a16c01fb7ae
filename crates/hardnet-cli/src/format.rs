//! Numbers as text, and text as numbers.

use std::str::FromStr;

/// A count with its noun, in the plural unless the count is 1.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Parses a whole number from 1.
pub(crate) fn positive<T: FromStr + From<u8> + PartialOrd>(text: &str) -> Result<T, String> {
    let number = text.parse().ok().filter(|number| *number >= T::from(1));
    number.ok_or_else(|| "expected a whole number from 1".into())
}

/// Parses a whole number from 1, as [`positive`] does, of the type that most options have.
pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    positive(text)
}

/// Parses a percentage from 0 to 100. NaN is refused: no accuracy is below it, so every check would pass.
pub(crate) fn percentage(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=100.0).contains(number));
    number.ok_or_else(|| "expected a number from 0 to 100, such as 76.5".into())
}

/// Parses a number above 0 and at most 1.
pub(crate) fn fraction(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| *number > 0.0 && *number <= 1.0);
    number.ok_or_else(|| "expected a number above 0 and at most 1, such as 0.875".into())
}

/// A size in megabytes, such as "70.5 MB".
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
