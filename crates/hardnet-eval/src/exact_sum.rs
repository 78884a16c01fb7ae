//! Sums of f64 that do not depend on the order of their terms.
//!
//! A sum in f64 is rounded at each addition, so that the sums of parts of a data set do not add up to the sum of the
//! whole. An [`ExactSum`] rounds nothing: it is one integer, wide enough for all finite f64, as in U. W. Kulisch,
//! "Computer Arithmetic and Validity", 2008.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Words of the integer: 2,098 bits for all finite f64, a sign, and 77 bits for the number of terms.
const WORDS: usize = 34;

/// The integer counts multiples of 2 to this power, the smallest f64 above zero.
const UNIT: i32 = -1074;

/// The exact sum of f64s.
///
/// ```
/// use hardnet_eval::ExactSum;
///
/// let sum = |terms: &[f64]| terms.iter().copied().collect::<ExactSum>();
/// let mut merged = sum(&[1e300, 0.1]);
/// merged.merge(&sum(&[-1e300, 0.2]));
/// assert_eq!(merged, sum(&[0.2, 0.1]));
/// assert_eq!(merged.to_string().parse(), Ok(merged));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExactSum {
    /// In two's complement, the least significant word first.
    words: [u64; WORDS],
    /// The sum of the terms that are infinite or not numbers; 0 without any.
    special: f64,
}

impl Default for ExactSum {
    fn default() -> Self {
        Self { words: [0; WORDS], special: 0.0 }
    }
}

impl ExactSum {
    /// Adds a term.
    pub fn add(&mut self, term: f64) {
        if !term.is_finite() {
            self.special += term;
            return;
        }
        let bits = term.to_bits();
        let (exponent, fraction) = ((bits >> 52 & 0x7ff) as usize, bits & ((1 << 52) - 1));
        let (significand, shift) = if exponent == 0 { (fraction, 0) } else { (fraction | 1 << 52, exponent - 1) };
        let shifted = u128::from(significand) << (shift % 64);
        let (first, parts) = (shift / 64, [shifted as u64, (shifted >> 64) as u64]);
        let mut carry = false;
        for (index, word) in self.words[first..].iter_mut().enumerate() {
            let part = parts.get(index).copied().unwrap_or(0);
            if index >= parts.len() && !carry {
                break;
            }
            let step = if term.is_sign_negative() { u64::borrowing } else { u64::carrying };
            (*word, carry) = step(*word, part, carry);
        }
    }

    /// Adds the terms of `other`.
    pub fn merge(&mut self, other: &Self) {
        let mut carry = false;
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            (*word, carry) = u64::carrying(*word, *other, carry);
        }
        self.special += other.special;
    }

    /// The sum, rounded once: the nearest f64, of two the even one.
    pub fn value(&self) -> f64 {
        if self.special != 0.0 {
            return self.special;
        }
        let (negative, words) = self.magnitude();
        let Some(highest) = (0..64 * WORDS).rev().find(|&bit| has_bit(&words, bit)) else { return 0.0 };
        let shift = highest.saturating_sub(52);
        let significand = (shift..=highest).rev().fold(0, |value, bit| value << 1 | u64::from(has_bit(&words, bit)));
        let half = shift > 0 && has_bit(&words, shift - 1);
        let below = half && (0..shift - 1).any(|bit| has_bit(&words, bit));
        let up = half && (below || significand % 2 == 1);
        // The bits of f64s are in the order of their values, so that a carry out of the significand is right.
        let bits = ((shift as u64) << 52) + significand + u64::from(up);
        let value = f64::from_bits(bits.min(f64::INFINITY.to_bits()));
        if negative { -value } else { value }
    }

    /// The sign and the absolute value of the integer.
    fn magnitude(&self) -> (bool, [u64; WORDS]) {
        let negative = self.words[WORDS - 1] >> 63 == 1;
        let mut words = self.words;
        if negative {
            negate(&mut words);
        }
        (negative, words)
    }
}

fn negate(words: &mut [u64; WORDS]) {
    let mut carry = true;
    for word in words {
        (*word, carry) = u64::carrying(!*word, 0, carry);
    }
}

fn has_bit(words: &[u64; WORDS], bit: usize) -> bool {
    words[bit / 64] >> (bit % 64) & 1 == 1
}

/// Additions of words with carries.
trait Carry: Sized {
    /// The sum of both and `carry`, and whether it was too large.
    fn carrying(self, other: Self, carry: bool) -> (Self, bool);

    /// The difference of both without `borrow`, and whether it was negative.
    fn borrowing(self, other: Self, borrow: bool) -> (Self, bool);
}

impl Carry for u64 {
    fn carrying(self, other: Self, carry: bool) -> (Self, bool) {
        let (sum, first) = self.overflowing_add(other);
        let (sum, second) = sum.overflowing_add(Self::from(carry));
        (sum, first || second)
    }

    fn borrowing(self, other: Self, borrow: bool) -> (Self, bool) {
        let (difference, first) = self.overflowing_sub(other);
        let (difference, second) = difference.overflowing_sub(Self::from(borrow));
        (difference, first || second)
    }
}

impl Extend<f64> for ExactSum {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, terms: I) {
        terms.into_iter().for_each(|term| self.add(term));
    }
}

impl FromIterator<f64> for ExactSum {
    fn from_iter<I: IntoIterator<Item = f64>>(terms: I) -> Self {
        let mut sum = Self::default();
        sum.extend(terms);
        sum
    }
}

/// The sum without loss: a hexadecimal integer times a power of two, such as `0x3p-1`; `inf`, `-inf` or `NaN`.
impl fmt::Display for ExactSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.special != 0.0 {
            return write!(f, "{}", self.special);
        }
        let (negative, words) = self.magnitude();
        let digits: String = words.iter().rev().map(|word| format!("{word:016x}")).collect();
        let digits = digits.trim_start_matches('0');
        if digits.is_empty() {
            return f.write_str("0x0p0");
        }
        let significant = digits.trim_end_matches('0');
        let exponent = UNIT + 4 * (digits.len() - significant.len()) as i32;
        write!(f, "{}0x{significant}p{exponent}", if negative { "-" } else { "" })
    }
}

/// A text that is not a sum as [`ExactSum`] prints it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("expected a sum such as `0x3p-1`")]
#[non_exhaustive]
pub struct ParseSumError;

impl FromStr for ExactSum {
    type Err = ParseSumError;

    fn from_str(text: &str) -> Result<Self, ParseSumError> {
        if let Some(special) = match text {
            "inf" => Some(f64::INFINITY),
            "-inf" => Some(f64::NEG_INFINITY),
            "NaN" => Some(f64::NAN),
            _ => None,
        } {
            return Ok(Self { special, ..Self::default() });
        }
        let (negative, absolute) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
        let (digits, exponent) =
            absolute.strip_prefix("0x").and_then(|text| text.split_once('p')).ok_or(ParseSumError)?;
        let exponent: i32 = exponent.parse().map_err(|_| ParseSumError)?;
        if digits.is_empty() || digits.len() > 16 * WORDS {
            return Err(ParseSumError);
        }
        let mut sum = Self::default();
        let first = i64::from(exponent) - i64::from(UNIT);
        for (place, digit) in digits.bytes().rev().enumerate() {
            let digit = char::from(digit).to_digit(16).ok_or(ParseSumError)?;
            for bit in (0..4).filter(|bit| digit >> bit & 1 == 1) {
                let position = first + 4 * place as i64 + bit;
                // The last bit is the sign.
                let position = usize::try_from(position).ok().filter(|bit| *bit < 64 * WORDS - 1);
                let position = position.ok_or(ParseSumError)?;
                sum.words[position / 64] |= 1 << (position % 64);
            }
        }
        if negative {
            negate(&mut sum.words);
        }
        Ok(sum)
    }
}

impl Serialize for ExactSum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ExactSum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// An f64 without loss for serde's `with`: the [`ExactSum`] of one term. Decimal digits in JSON may be read as a
/// neighbor of what was written.
pub mod exact {
    use super::{Deserialize, Deserializer, ExactSum, Serialize, Serializer};

    /// Writes `value`.
    ///
    /// # Errors
    ///
    /// Those of `serializer`.
    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        [*value].into_iter().collect::<ExactSum>().serialize(serializer)
    }

    /// Reads a value.
    ///
    /// # Errors
    ///
    /// Those of `deserializer`, and of a text that is no sum.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        ExactSum::deserialize(deserializer).map(|sum| sum.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Terms of very different sizes and of both signs, by a linear congruential generator.
    fn terms(count: usize, exponents: u64) -> Vec<f64> {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 11
        };
        let mut term = || {
            let significand = next() as f64 / (1u64 << 53) as f64 - 0.5;
            significand * 2f64.powi((next() % exponents) as i32 - exponents as i32 / 2)
        };
        (0..count).map(|_| term()).collect()
    }

    /// `math.fsum` of Python 3.11, which rounds once, of the same terms:
    ///
    /// ```python
    /// import math
    /// def terms(count, exponents):
    ///     state = 1
    ///     def draw():
    ///         nonlocal state
    ///         state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
    ///         return state >> 11
    ///     def term():
    ///         significand = draw() / 2**53 - 0.5
    ///         return significand * 2.0 ** (draw() % exponents - exponents // 2)
    ///     return [term() for _ in range(count)]
    /// for count, exponents in [(1, 60), (10, 60), (1000, 60), (1000, 4), (1000, 1000), (1000, 2000)]:
    ///     print(repr(math.fsum(terms(count, exponents))))
    /// ```
    #[test]
    fn sums_are_pythons_fsum() {
        let expected = [
            ((1, 60), -629.070472210733),
            ((10, 60), 38075919.852248766),
            ((1000, 60), -29322049.882218618),
            ((1000, 4), -10.138375968436113),
            ((1000, 1000), 1.2304209675624726e+150),
            ((1000, 2000), 2.5221833072222006e+300),
        ];
        for ((count, exponents), expected) in expected {
            let sum: ExactSum = terms(count, exponents).into_iter().collect();
            assert_eq!(sum.value(), expected, "{count} terms of {exponents} exponents");
        }
    }

    #[test]
    fn one_term_is_its_own_sum() {
        let edges = [0.0, 5e-324, f64::MIN_POSITIVE, 1.0 - f64::EPSILON / 2.0, 0.1, 1e300, f64::MAX, f64::MIN, -5e-324];
        for term in edges.into_iter().chain(terms(1000, 1900)) {
            let sum: ExactSum = [term].into_iter().collect();
            assert_eq!((sum.value(), sum.to_string().parse()), (term, Ok(sum)), "{term:e}");
        }
    }

    #[test]
    fn the_order_and_the_parts_do_not_matter() {
        let terms = terms(1000, 1900);
        let whole: ExactSum = terms.iter().copied().collect();
        assert_eq!(whole, terms.iter().rev().copied().collect());
        for parts in [1, 2, 3, 4, 7, 1500] {
            let mut merged = ExactSum::default();
            for part in 0..parts {
                let range = part * terms.len() / parts..(part + 1) * terms.len() / parts;
                let sum: ExactSum = terms[range].iter().copied().collect();
                merged.merge(&sum.to_string().parse().unwrap());
            }
            assert_eq!(merged, whole, "{parts} parts");
        }
    }

    #[test]
    fn halves_are_rounded_to_even_and_large_sums_to_infinity() {
        let sum = |terms: &[f64]| terms.iter().copied().collect::<ExactSum>().value();
        let ulp = f64::EPSILON;
        assert_eq!(sum(&[1.0, ulp / 2.0]), 1.0);
        assert_eq!(sum(&[1.0 + ulp, ulp / 2.0]), 1.0 + 2.0 * ulp);
        assert_eq!(sum(&[1.0, ulp / 2.0, 5e-324]), 1.0 + ulp);
        assert_eq!(sum(&[-1.0, -ulp / 2.0, -5e-324]), -1.0 - ulp);
        assert_eq!(sum(&[2.0 - ulp, ulp / 2.0]), 2.0);
        assert_eq!(sum(&[f64::MAX, f64::MAX]), f64::INFINITY);
        assert_eq!(sum(&[f64::MAX, f64::MAX, f64::MIN]), f64::MAX);
        assert_eq!(sum(&[1.0, f64::INFINITY]), f64::INFINITY);
        assert!(sum(&[f64::NEG_INFINITY, 1.0, f64::INFINITY]).is_nan());
    }

    #[test]
    fn texts_are_short_and_checked() {
        let sum: ExactSum = [1.0, 0.5].into_iter().collect();
        assert_eq!((sum.to_string().as_str(), ExactSum::default().to_string().as_str()), ("0x6p-2", "0x0p0"));
        assert_eq!("-inf".parse::<ExactSum>().unwrap().value(), f64::NEG_INFINITY);
        assert!("NaN".parse::<ExactSum>().unwrap().value().is_nan());
        let wrong =
            ["", "1", "0x", "0xp0", "0x1", "0xgp0", "0x1p", "0x1p-1075", "0x1p1101", "0x1p99999999999", "0x-1p0"];
        for text in wrong {
            assert_eq!(text.parse::<ExactSum>(), Err(ParseSumError), "{text}");
        }
    }
}
