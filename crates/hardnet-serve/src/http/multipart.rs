//! Bodies of `multipart/form-data`, which are in memory as a whole.

use hyper::body::Bytes;

use super::error::{HttpError, Result};

/// The most parts of a body.
const MAX_PARTS: usize = 1024;

/// A part of a body.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part {
    /// Name of the field.
    pub(crate) name: String,
    /// Whether it is a file.
    pub(crate) is_file: bool,
    pub(crate) content: Bytes,
}

/// The boundary in the content type `multipart/form-data; boundary=...`.
pub(crate) fn boundary(content_type: &str) -> Result<String> {
    let missing = || HttpError::bad_request("the content type has no boundary of 1 to 70 characters");
    let found = attribute(content_type, "boundary").ok_or_else(missing)?;
    if found.is_empty() || found.len() > 70 { Err(missing()) } else { Ok(found) }
}

/// Splits `body` into its parts.
pub(crate) fn parts(body: &Bytes, boundary: &str) -> Result<Vec<Part>> {
    let malformed = |what: &str| HttpError::bad_request(format!("the multipart body is malformed: {what}"));
    let first = format!("--{boundary}");
    let delimiter = format!("\r\n--{boundary}");
    // The first delimiter may follow a preamble, or begin the body.
    let mut at = if body.starts_with(first.as_bytes()) {
        first.len()
    } else {
        find(body, delimiter.as_bytes()).ok_or_else(|| malformed("no boundary"))? + delimiter.len()
    };
    let mut parts = Vec::new();
    loop {
        let rest = &body[at..];
        if rest.starts_with(b"--") {
            return Ok(parts);
        }
        if parts.len() == MAX_PARTS {
            return Err(HttpError::too_large(format!("the multipart body has more than {MAX_PARTS} parts")));
        }
        // Blanks may follow a boundary.
        let line = find(rest, b"\r\n").ok_or_else(|| malformed("it ends after a boundary"))?;
        if !rest[..line].iter().all(|byte| matches!(byte, b' ' | b'\t')) {
            return Err(malformed("text after a boundary"));
        }
        // The line end after the boundary may be that before an empty header.
        let headers_at = at + line;
        let end = find(&body[headers_at..], b"\r\n\r\n").ok_or_else(|| malformed("a part without content"))?;
        let headers = std::str::from_utf8(&body[headers_at..headers_at + end])
            .map_err(|_| malformed("headers that are not UTF-8"))?;
        let start = headers_at + end + 4;
        let length = find(&body[start..], delimiter.as_bytes()).ok_or_else(|| malformed("a part without an end"))?;
        let disposition = headers
            .split("\r\n")
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"))
            .map(|(_, value)| value)
            .ok_or_else(|| malformed("a part without a content disposition"))?;
        let name = attribute(disposition, "name").unwrap_or_default();
        let is_file = attribute(disposition, "filename").is_some() || attribute(disposition, "filename*").is_some();
        parts.push(Part { name, is_file, content: body.slice(start..start + length) });
        at = start + length + delimiter.len();
    }
}

/// The value of `name` among the attributes of a header, `value; name="..."; ...`.
fn attribute(header: &str, name: &str) -> Option<String> {
    let mut rest = header.split_once(';')?.1;
    loop {
        let (found, after) = rest.split_once('=')?;
        let found = found.trim();
        let (value, next) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => {
                let (mut value, mut characters) = (String::new(), quoted.char_indices());
                let end = loop {
                    match characters.next()? {
                        (at, '"') => break at + 1,
                        (_, '\\') => value.push(characters.next()?.1),
                        (_, character) => value.push(character),
                    }
                };
                (value, &quoted[end..])
            }
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        if found.eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = next.split_once(';')?.1;
    }
}

/// Where `needle` begins in `text`. Candidates are found by the first byte, which is rare in image files.
fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(next) = text.get(at..)?.iter().position(|byte| *byte == needle[0]) {
        if text[at + next..].starts_with(needle) {
            return Some(at + next);
        }
        at += next + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(body: &str) -> Result<Vec<(String, bool, String)>> {
        let text = |part: Part| (part.name, part.is_file, String::from_utf8(part.content.to_vec()).unwrap());
        Ok(parts(&Bytes::from(body.to_owned()), "xy")?.into_iter().map(text).collect())
    }

    #[test]
    fn parts_have_names_and_contents_with_line_ends_and_near_boundaries() {
        let body = "preamble\r\n--xy\r\nContent-Disposition: form-data; name=\"topk\"\r\n\r\n3\r\n--xy \r\n\
            Content-Type: image/png\r\ncontent-disposition: form-data; name=image; filename=\"a\\\";b.png\"\r\n\r\n\
            \r\n--x\r\n--\r\n--xy--\r\nepilogue";
        let part = |name: &str, is_file, content: &str| (name.to_owned(), is_file, content.to_owned());
        assert_eq!(split(body).unwrap(), [part("topk", false, "3"), part("image", true, "\r\n--x\r\n--")]);
        assert_eq!(split("--xy--").unwrap(), []);
    }

    #[test]
    fn bodies_that_are_cut_or_damaged_are_refused() {
        let body = "--xy\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--xy--";
        assert!(split(body).is_ok());
        for end in 0..body.len() {
            assert!(split(&body[..end]).is_err(), "cut at {end}");
        }
        for body in ["--xyz\r\n\r\n\r\n--xy--", "--xy\r\nA: b\r\n\r\nc\r\n--xy--", ""] {
            assert!(split(body).is_err(), "{body:?}");
        }
    }

    #[test]
    fn a_boundary_may_be_quoted() {
        for (header, expected) in [
            ("multipart/form-data; boundary=abc", Some("abc")),
            ("multipart/form-data; charset=utf-8; Boundary=\"a b\"", Some("a b")),
            ("multipart/form-data; boundary=", None),
            ("multipart/form-data; boundary=\"a", None),
            ("multipart/form-data", None),
        ] {
            assert_eq!(boundary(header).ok().as_deref(), expected, "{header}");
        }
    }
}
