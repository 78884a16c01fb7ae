//! The files of the page, for servers that send it.

/// A file of the page.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PageFile {
    /// Its path below that of the page; empty for the page itself.
    pub path: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// Its content.
    pub content: &'static str,
}

/// The page for a server that computes: its classifier asks the server that sent it (`page/server.js`).
pub const SERVER_PAGE: [PageFile; 4] = [
    PageFile { path: "", content_type: "text/html; charset=utf-8", content: include_str!("../page/index.html") },
    PageFile { path: "style.css", content_type: "text/css; charset=utf-8", content: include_str!("../page/style.css") },
    PageFile { path: "app.js", content_type: JAVASCRIPT, content: include_str!("../page/app.js") },
    PageFile { path: "classifier.js", content_type: JAVASCRIPT, content: include_str!("../page/server.js") },
];

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
