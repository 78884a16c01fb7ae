//! SVG documents of plots: a page with a title, text, lines, marks of series, and axes.
//!
//! Each page has a background of its own, light or dark as the reader's system prefers.

mod axis;

use std::fmt::{Display, Write};

pub use axis::{Axis, columns, number, range, rows};

/// Colors and fonts. Classes `f0` and on fill, `l0` and on draw lines; both schemes keep a contrast of 4.5 to the
/// background for text.
const STYLE: &str = "\
text{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;font-size:13px;fill:#1f2328}
.title{font-size:16px;font-weight:600}.note{fill:#59636e}.small{font-size:12px}
.end{text-anchor:end}.middle{text-anchor:middle}
.page{fill:#ffffff}.band{fill:#f0f3f6}.grid{stroke:#d8dee4}.axis{stroke:#818b98}.faint{fill:#d0d7de}.halo{stroke:#ffffff}
.f0{fill:#0969da}.f1{fill:#bc4c00}.f2{fill:#1a7f37}.f3{fill:#8250df}.f4{fill:#9a6700}.f5{fill:#cf222e}.f6{fill:#59636e}
.l0{stroke:#0969da}.l1{stroke:#bc4c00}.l2{stroke:#1a7f37}.l3{stroke:#8250df}.l4{stroke:#9a6700}.l5{stroke:#cf222e}.l6{stroke:#59636e}
.l0,.l1,.l2,.l3,.l4,.l5,.l6{fill:none;stroke-width:1.75}.dashed{stroke-dasharray:5 4}.area{opacity:.25}
@media (prefers-color-scheme:dark){
text{fill:#f0f6fc}.note{fill:#9198a1}
.page{fill:#0d1117}.band{fill:#161b22}.grid{stroke:#2f353d}.axis{stroke:#656c76}.faint{fill:#3d444d}.halo{stroke:#0d1117}
.f0{fill:#58a6ff}.f1{fill:#f0883e}.f2{fill:#3fb950}.f3{fill:#bc8cff}.f4{fill:#d29922}.f5{fill:#ff7b72}.f6{fill:#9198a1}
.l0{stroke:#58a6ff}.l1{stroke:#f0883e}.l2{stroke:#3fb950}.l3{stroke:#bc8cff}.l4{stroke:#d29922}.l5{stroke:#ff7b72}.l6{stroke:#9198a1}
}";

/// Number of series that differ in color and mark.
pub const COLORS: usize = 7;

/// An SVG document under construction; coordinates are in pixels from the upper left corner.
#[derive(Debug)]
pub struct Svg {
    width: f64,
    height: f64,
    title: String,
    body: String,
}

impl Svg {
    /// A page of `width` times `height` pixels; `title` stands on top, and is what a screen reader says of the page.
    pub fn new(width: f64, height: f64, title: impl Into<String>) -> Self {
        let mut svg = Self { width, height, title: title.into(), body: String::new() };
        svg.rect((0.0, 0.0), (width, height), "page");
        let title = svg.title.clone();
        svg.text((16.0, 26.0), "title", title);
        svg
    }

    /// A line of text whose baseline starts at `at`; with the class `end` it ends there, with `middle` it is centered.
    pub fn text(&mut self, at: (f64, f64), class: &str, text: impl Display) {
        let text = escape(&text.to_string());
        self.push(format_args!(
            "<text x=\"{}\" y=\"{}\" class=\"{class}\">{text}</text>",
            coordinate(at.0),
            coordinate(at.1)
        ));
    }

    /// Text that reads upwards, centered at `at`.
    pub fn upwards(&mut self, at: (f64, f64), text: impl Display) {
        let ((x, y), text) = (at, escape(&text.to_string()));
        let (x, y) = (coordinate(x), coordinate(y));
        self.push(format_args!(
            "<text x=\"{x}\" y=\"{y}\" class=\"middle\" transform=\"rotate(-90 {x} {y})\">{text}</text>"
        ));
    }

    /// A straight line.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        self.push(format_args!(
            "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" class=\"{class}\"/>",
            coordinate(from.0),
            coordinate(from.1),
            coordinate(to.0),
            coordinate(to.1)
        ));
    }

    /// A rectangle by its upper left corner and its size.
    pub fn rect(&mut self, at: (f64, f64), size: (f64, f64), class: &str) {
        self.push(format_args!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" class=\"{class}\"/>",
            coordinate(at.0),
            coordinate(at.1),
            coordinate(size.0),
            coordinate(size.1)
        ));
    }

    /// A path by its commands.
    pub fn path(&mut self, commands: &str, class: &str) {
        self.push(format_args!("<path d=\"{commands}\" class=\"{class}\"/>"));
    }

    /// One of several shapes around `at`, so that series differ by more than their color.
    pub fn mark(&mut self, at: (f64, f64), series: usize) {
        let (x, y) = at;
        let series = series % COLORS;
        let class = format!("f{series}");
        let shape = match series {
            0 => "m-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0",
            1 => "m-4.5-4.5h9v9h-9z",
            2 => "m0-6l5.5 9.5h-11z",
            3 => "m0-6l6 6l-6 6l-6-6z",
            4 => "m0 6l5.5-9.5h-11z",
            5 => "m-2-5.5h4v3.5h3.5v4h-3.5v3.5h-4v-3.5h-3.5v-4h3.5z",
            _ => "m-6-3h12v6h-12z",
        };
        self.path(&format!("M{} {}{shape}", coordinate(x), coordinate(y)), &class);
    }

    /// The text of the document.
    pub fn finish(self) -> String {
        let Self { width, height, title, body } = self;
        let (width, height, title) = (coordinate(width), coordinate(height), escape(&title));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n{body}</svg>\n"
        )
    }

    fn push(&mut self, element: std::fmt::Arguments<'_>) {
        writeln!(self.body, "{element}").expect("a String takes everything");
    }
}

/// A coordinate as text, to a tenth of a pixel.
pub fn coordinate(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), String::from)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_text() {
        let mut svg = Svg::new(10.0, 10.0, "a<b>&\"c\"");
        svg.text((1.0, 2.0), "note", "</text><script>");
        let text = svg.finish();
        assert!(text.contains("<title>a&lt;b&gt;&amp;&quot;c&quot;</title>"), "{text}");
        assert!(!text.contains("<script>"), "{text}");
    }
}
