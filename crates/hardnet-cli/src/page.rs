//! HTML pages, complete in themselves: no scripts and no external files.
//!
//! [`document`] is the frame of every page, and `style.css` has the classes that its sections use. All foreign text
//! (names of files and classes, paths) passes through [`html`], which escapes it.

pub(crate) mod html;
pub(crate) mod thumbnails;

use hardnet_eval::ToolRecord;
use html::Text;

const STYLE: &str = include_str!("page/style.css");

/// A page from head to foot. `title` is foreign text; `lead`, which stands below it, and `sections` are HTML.
pub(crate) fn document(kind: &str, title: &str, lead: &str, sections: &str, tool: &ToolRecord) -> String {
    let title = Text(title);
    let ToolRecord { version, commit, .. } = tool;
    // The policy forbids whatever the page does not need, should a foreign text ever become markup.
    format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{title}: {}</title>
<style>
{STYLE}</style>
</head>
<body>
<header>
<p class="kicker">{kind}</p>
<h1>{title}</h1>
{lead}
</header>
<main>
{sections}</main>
<footer>hardnet {version} ({commit})</footer>
</body>
</html>
"#,
        kind.to_lowercase()
    )
}

/// A figure with its title and a note; `figure` and `note` are HTML.
pub(crate) fn tile(title: &str, figure: &str, note: &str) -> String {
    format!("<div><h2>{title}</h2><p class=\"figure\">{figure}</p><p class=\"note\">{note}</p></div>\n")
}

/// The picture of an image file, or where it would be and why it is not; `png` is the picture.
pub(crate) fn picture(png: Option<&[u8]>, name: &str, missing: &str) -> String {
    match png {
        Some(png) => format!("<img src=\"{}\" alt=\"{}\">", html::png_address(png), Text(name)),
        None => format!("<div class=\"gone\">{missing}</div>"),
    }
}
