//! Text of foreign origin, made fit for a message.

/// At most 80 characters of `text`, fit for a terminal: [`excerpt_of`] with the length of messages.
pub fn excerpt(text: &str) -> String {
    excerpt_of(text, 80)
}

/// At most `max_chars` characters of `text` on one line, followed by `…` if there are more.
///
/// Tabs become blanks and other control characters are escaped, so that a hostile file cannot drive the terminal that
/// an error message is printed on.
pub fn excerpt_of(text: &str, max_chars: usize) -> String {
    let mut excerpt = String::new();
    for (position, c) in text.chars().enumerate() {
        if position == max_chars {
            excerpt.push('…');
            break;
        }
        match c {
            '\t' => excerpt.push(' '),
            c if c.is_control() => excerpt.extend(c.escape_default()),
            c => excerpt.push(c),
        }
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::excerpt;

    #[test]
    fn long_text_is_cut_and_control_characters_are_escaped() {
        let table = [
            ("", "".to_owned()),
            ("a b\tc", "a b c".to_owned()),
            ("\u{1b}[2J\r\n\u{9b}", "\\u{1b}[2J\\r\\n\\u{9b}".to_owned()),
            (&"\u{e9}".repeat(80), "\u{e9}".repeat(80)),
            (&"\u{e9}".repeat(81), "\u{e9}".repeat(80) + "\u{2026}"),
        ];
        for (text, expected) in table {
            assert_eq!(excerpt(text), expected, "{text:?}");
        }
    }
}
