//! Lines of prose.

/// The widest line, in characters.
pub(crate) const WIDTH: usize = 120;

/// Breaks a paragraph into lines of at most [`WIDTH`] characters, where its words allow that.
pub(crate) fn wrap(paragraph: &str) -> String {
    let mut lines = vec![String::new()];
    for word in paragraph.split_whitespace() {
        let line = lines.last_mut().expect("there is a line from the start");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= WIDTH {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_wide_as_allowed() {
        let words = "word ".repeat(100);
        let lines: Vec<_> = wrap(&words).lines().map(str::len).collect();
        assert_eq!(lines, [119, 119, 119, 119, 19]);
        assert_eq!(wrap(&"x".repeat(200)).len(), 200);
    }
}
