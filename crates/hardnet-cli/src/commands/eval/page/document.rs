//! The page from head to foot.

use super::html::Text;
use super::{Content, calibration, classes, confusion, mistakes, settings, summary};

const STYLE: &str = include_str!("style.css");

/// The page as HTML.
pub(super) fn page(content: &Content) -> String {
    let report = content.report;
    let model = Text(&report.model);
    let sections = [
        summary::section(content),
        classes::section(content),
        confusion::section(content),
        calibration::section(content),
        mistakes::section(content),
        settings::section(content),
    ]
    .concat();
    let (version, commit) = (report.tool.version, report.tool.commit);
    // The policy forbids whatever the page does not need, should a foreign text ever become markup.
    format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{model}: evaluation</title>
<style>
{STYLE}</style>
</head>
<body>
<header>
<p class="kicker">Evaluation</p>
<h1>{model}</h1>
{}
</header>
<main>
{sections}</main>
<footer>hardnet {version} ({commit})</footer>
</body>
</html>
"#,
        summary::lead(content),
    )
}
