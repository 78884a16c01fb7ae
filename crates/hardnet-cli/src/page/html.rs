//! Text and numbers as HTML.

pub(crate) mod base64;

use std::fmt::{self, Display, Write};

/// The most characters of a foreign text that a page shows.
const MAX_CHARS: usize = 200;

/// A foreign text, such as a file's name or a label: harmless in an element and in a quoted attribute, and of bounded
/// length.
///
/// Control characters show as U+FFFD, since HTML has no way to write them.
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, char) in self.0.chars().enumerate() {
            if number == MAX_CHARS {
                return f.write_char('…');
            }
            match char {
                '&' => f.write_str("&amp;"),
                '<' => f.write_str("&lt;"),
                '>' => f.write_str("&gt;"),
                '"' => f.write_str("&quot;"),
                '\'' => f.write_str("&#39;"),
                char if char.is_control() => f.write_char(char::REPLACEMENT_CHARACTER),
                char => f.write_char(char),
            }?;
        }
        Ok(())
    }
}

/// The same as an element of its own, so that marks of writing direction in it do not reach the text around it.
pub(crate) fn name(text: &str) -> String {
    format!("<bdi>{}</bdi>", Text(text))
}

/// A number with a comma between thousands.
pub(crate) fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 image`, `2 images`.
pub(crate) fn images(number: usize) -> String {
    format!("{} image{}", count(number), if number == 1 { "" } else { "s" })
}

/// A share of 0 to 1 in percent with `decimals` digits; a dash if there is none.
pub(crate) fn percent(share: Option<f64>, decimals: usize) -> String {
    share.map_or("–".into(), |share| format!("{:.decimals$}&nbsp;%", 100.0 * share))
}

/// An address that holds a PNG itself.
pub(super) fn png_address(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", base64::text(png))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_is_harmless() {
        let hostile = "\"><script>alert('&amp;')</script>\u{0}\u{1b}[31m\n\u{85}";
        let expected =
            "&quot;&gt;&lt;script&gt;alert(&#39;&amp;amp;&#39;)&lt;/script&gt;\u{fffd}\u{fffd}[31m\u{fffd}\u{fffd}";
        assert_eq!(Text(hostile).to_string(), expected);
        assert_eq!(name("\u{202e}a"), "<bdi>\u{202e}a</bdi>");
        let long = Text(&"é".repeat(201)).to_string();
        assert_eq!((long.chars().count(), long.ends_with("é…")), (201, true));
        assert!(!Text(&"é".repeat(200)).to_string().ends_with('…'));
    }

    #[test]
    fn thousands_are_grouped() {
        let found = [0, 7, 999, 1000, 50_000, 1_281_167].map(count);
        assert_eq!(found, ["0", "7", "999", "1,000", "50,000", "1,281,167"]);
        assert_eq!([images(1), images(0), images(1000)], ["1 image", "0 images", "1,000 images"]);
    }

    #[test]
    fn shares_are_percentages() {
        assert_eq!(percent(Some(0.934_56), 2), "93.46&nbsp;%");
        assert_eq!(percent(None, 2), "–");
    }
}
