//! Bytes as text, by RFC 4648, section 4: in pages, and with serde in results.

use serde::{Deserialize, Deserializer, Serializer, de::Error};

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The text of `bytes`.
pub(crate) fn text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) & 63;
            text.push(if digit > group.len() { '=' } else { char::from(DIGITS[value as usize]) });
        }
    }
    text
}

/// The bytes of `text`; `None` if it is not what [`text`](self::text) writes.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in text.as_bytes().chunks(4) {
        let digits = group.iter().rposition(|&digit| digit != b'=')? + 1;
        let mut bits = 0_u32;
        for digit in &group[..digits] {
            bits = bits << 6 | DIGITS.iter().position(|known| known == digit)? as u32;
        }
        bits <<= 6 * (4 - digits);
        bytes.extend(&bits.to_be_bytes()[1..digits.max(1)]);
    }
    // Another text of the same bytes has digits too few, or bits too many.
    (self::text(&bytes) == text).then_some(bytes)
}

/// Writes `bytes` with serde.
pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(bytes))
}

/// Reads bytes with serde.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    bytes(&text).ok_or_else(|| D::Error::custom("expected bytes in base64"))
}

/// Bytes that may be missing, for serde.
pub(crate) mod optional {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    /// Writes `bytes`, or null.
    pub(crate) fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        bytes.as_deref().map(super::text).serialize(serializer)
    }

    /// Reads bytes, or null.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        let bytes = |text: String| super::bytes(&text).ok_or_else(|| D::Error::custom("expected bytes in base64"));
        text.map(bytes).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::{bytes, text};

    #[test]
    fn texts_are_those_of_the_rfc() {
        // RFC 4648, section 10; the last by Python's base64.b64encode.
        let cases: [(&[u8], &str); 8] = [
            (b"", ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg=="),
            (b"fooba", "Zm9vYmE="),
            (b"foobar", "Zm9vYmFy"),
            (&[0xFB, 0xFF, 0xFE], "+//+"),
        ];
        for (expected, encoded) in cases {
            assert_eq!((text(expected).as_str(), bytes(encoded).as_deref()), (encoded, Some(expected)));
        }
        for wrong in ["Z", "Zg", "Zg=", "Zh==", "Zm9=", "====", "Zm9v=", "Zm9v Zg==", "Z===", "Zm-v", "é", "=Zg="] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }
}
