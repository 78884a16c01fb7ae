//! Parameters of a URL.

use super::error::{HttpError, Result};

/// The parameters after the question mark, decoded, in their order.
pub(crate) fn parameters(query: Option<&str>) -> Result<Vec<(String, String)>> {
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name, true)?, decode(value, true)?))
        })
        .collect()
}

/// Decodes `%xx`, and in a query the plus sign.
pub(crate) fn decode(text: &str, query: bool) -> Result<String> {
    let malformed = || HttpError::bad_request("the URL is not percent-encoded UTF-8");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
                let (high, low) = (digit().ok_or_else(malformed)?, digit().ok_or_else(malformed)?);
                (high * 16 + low) as u8
            }
            b'+' if query => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_or_refused() {
        let found = parameters(Some("a=%C3%A9+b&flag&&c=1%2B1")).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(found, [pair("a", "é b"), pair("flag", ""), pair("c", "1+1")]);
        assert_eq!(decode("a+b", false).unwrap(), "a+b");
        for text in ["%", "%4", "%zz", "%+1", "%ff"] {
            assert!(decode(text, false).is_err(), "{text}");
        }
    }
}
