//! The width of prose: Markdown and comments.
//!
//! Tables, pictures, code blocks of Markdown and lines that hold an address cannot be broken, and may be wider.

use std::path::Path;

use anyhow::Result;

use crate::git;
use crate::text::WIDTH;

/// One message for each line that is too wide.
pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for path in git::files(root)? {
        let Some(kind) = Kind::of_file(&path) else { continue };
        let text = std::fs::read_to_string(root.join(&path))?;
        for (number, width) in kind.wide_lines(&text) {
            found.push(format!("{path}:{number}: prose of {width} characters; break the line before {WIDTH}"));
        }
    }
    Ok(found)
}

/// How prose is marked in a file.
#[derive(Clone, Copy)]
enum Kind {
    Markdown,
    /// Comments that begin with one of these.
    Comments(&'static [&'static str]),
}

impl Kind {
    fn of_file(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or(path);
        match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("md") => Some(Self::Markdown),
            Some("rs") => Some(Self::Comments(&["//"])),
            Some("toml" | "yml" | "yaml" | "py") => Some(Self::Comments(&["#"])),
            _ if path == ".ci/run" => Some(Self::Comments(&["#"])),
            _ => None,
        }
    }

    /// Numbers and widths of the lines of prose that are too wide.
    fn wide_lines(self, text: &str) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        let mut in_code = false;
        for (index, line) in text.lines().enumerate() {
            let trimmed = line.trim_start();
            let prose = match self {
                Self::Markdown => {
                    let fence = trimmed.starts_with("```") || trimmed.starts_with("~~~");
                    in_code ^= fence;
                    (!in_code && !fence).then_some(trimmed)
                }
                Self::Comments(marks) => marks.iter().find_map(|mark| trimmed.strip_prefix(mark)),
            };
            let Some(prose) = prose else { continue };
            let is_table = prose.trim_start_matches(['/', '!', ' ']).starts_with('|');
            let is_image = prose.starts_with("![");
            let width = line.chars().count();
            if width > WIDTH && !is_table && !is_image && !line.contains("://") {
                found.push((index + 1, width));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_code_and_addresses_may_be_wide() {
        let wide = "x ".repeat(70);
        let page = format!("{wide}\n\n| {wide} |\n\n```sh\n{wide}\n```\n\n<https://a.example/> {wide}\n{wide}\n");
        assert_eq!(Kind::Markdown.wide_lines(&page), [(1, 140), (10, 140)]);
    }

    #[test]
    fn comments_are_prose_and_code_is_not() {
        let wide = "x ".repeat(70);
        let code = format!("    /// {wide}\nlet text = \"{wide}\";\n//! | {wide} |\n// {wide}\n");
        let rust = Kind::of_file("src/lib.rs").unwrap();
        assert_eq!(rust.wide_lines(&code), [(1, 148), (4, 143)]);
        assert!(Kind::of_file("image.png").is_none());
    }
}
