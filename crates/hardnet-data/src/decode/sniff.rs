//! The format of a file, by its first bytes.

use std::fmt;

use super::ImageFormat;

/// A guess at the content of bytes that are not a readable image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ContentGuess {
    /// No bytes at all.
    Empty,
    /// Nothing but zero bytes: a hole left by an interrupted copy.
    Zeros,
    /// An image in a format that is not read here, by name.
    OtherImage(&'static str),
    /// An archive or compressed file, by name.
    Archive(&'static str),
    /// A web page, such as the error page of a download.
    Html,
    /// The pointer that Git LFS leaves in place of a file.
    LfsPointer,
    /// Some other text.
    Text,
    /// Something else, by its first bytes (zeros where it is shorter).
    Unknown([u8; 4]),
}

impl fmt::Display for ContentGuess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ContentGuess::Empty => f.write_str("the file is empty; fetch it again"),
            ContentGuess::Zeros => f.write_str("the file holds only zero bytes; fetch it again"),
            ContentGuess::OtherImage(name) => write!(f, "it looks like `{name}`; convert it to png"),
            ContentGuess::Archive(name) => write!(f, "it looks like a `{name}` archive; unpack it"),
            ContentGuess::Html => f.write_str("it looks like a web page; fetch the image itself"),
            ContentGuess::LfsPointer => f.write_str("it is a git lfs pointer; run `git lfs pull`"),
            ContentGuess::Text => f.write_str("it looks like text"),
            ContentGuess::Unknown([a, b, c, d]) => write!(f, "it starts with bytes `{a:02x} {b:02x} {c:02x} {d:02x}`"),
        }
    }
}

/// Bytes of a file that the guesses look at.
const HEAD: usize = 512;

/// The format of `bytes`, or what they look like instead.
pub(super) fn format(bytes: &[u8]) -> Result<ImageFormat, ContentGuess> {
    if bytes.starts_with(b"\xff\xd8\xff") {
        Ok(ImageFormat::Jpeg)
    } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        Ok(ImageFormat::Png)
    } else if bytes.starts_with(b"BM") && !is_text(head(bytes)) {
        Ok(ImageFormat::Bmp)
    } else if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
        Ok(ImageFormat::Gif)
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..).is_some_and(|rest| rest.starts_with(b"WEBP")) {
        Ok(ImageFormat::WebP)
    } else if TIFF.iter().any(|magic| bytes.starts_with(magic)) {
        Ok(ImageFormat::Tiff)
    } else if is_pnm(bytes) {
        Ok(ImageFormat::Pnm)
    } else {
        Err(guess(bytes))
    }
}

/// Of both byte orders, with offsets of 32 and of 64 bits.
const TIFF: [&[u8]; 4] = [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"];

/// Whether the first words are those of a portable bitmap, graymap or pixmap and not of a text.
fn is_pnm(bytes: &[u8]) -> bool {
    let Some((&[b'P', b'1'..=b'6', space], rest)) = bytes.split_first_chunk() else { return false };
    let first = rest.iter().find(|byte| !byte.is_ascii_whitespace());
    space.is_ascii_whitespace() && first.is_none_or(|&first| first == b'#' || first.is_ascii_digit())
}

fn head(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(HEAD)]
}

fn guess(bytes: &[u8]) -> ContentGuess {
    let at = |offset: usize, magic: &[u8]| bytes.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    let head = head(bytes);
    if bytes.is_empty() {
        return ContentGuess::Empty;
    }
    if head.iter().all(|&byte| byte == 0) {
        return ContentGuess::Zeros;
    }
    const IMAGES: [(usize, &[u8], &str); 8] = [
        (4, b"ftypavif", "avif"),
        (4, b"ftyphei", "heif"),
        (4, b"ftypmif1", "heif"),
        (0, b"\0\0\0\x0cjP  ", "jpeg 2000"),
        (0, b"\xff\x4f\xff\x51", "jpeg 2000"),
        (0, b"\0\0\0\x0cJXL ", "jpeg xl"),
        (0, b"\0\0\x01\0", "ico"),
        (0, b"8BPS", "psd"),
    ];
    const ARCHIVES: [(usize, &[u8], &str); 7] = [
        (0, b"PK\x03\x04", "zip"),
        (0, b"\x1f\x8b", "gzip"),
        (0, b"BZh", "bzip2"),
        (0, b"\xfd7zXZ\0", "xz"),
        (0, b"\x28\xb5\x2f\xfd", "zstd"),
        (257, b"ustar", "tar"),
        (0, b"%PDF", "pdf"),
    ];
    if let Some((.., name)) = IMAGES.iter().find(|(offset, magic, _)| at(*offset, magic)) {
        return ContentGuess::OtherImage(name);
    }
    if let Some((.., name)) = ARCHIVES.iter().find(|(offset, magic, _)| at(*offset, magic)) {
        return ContentGuess::Archive(name);
    }
    if at(0, b"version https://git-lfs") {
        return ContentGuess::LfsPointer;
    }
    if is_text(head) {
        let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start().to_ascii_lowercase();
        let starts = |prefix: &[u8]| text.starts_with(prefix);
        return if starts(b"<!doctype html") || starts(b"<html") {
            ContentGuess::Html
        } else if starts(b"<svg") || (starts(b"<?xml") && text.windows(4).any(|tag| tag == b"<svg")) {
            ContentGuess::OtherImage("svg")
        } else {
            ContentGuess::Text
        };
    }
    let mut first = [0; 4];
    for (to, from) in first.iter_mut().zip(bytes) {
        *to = *from;
    }
    ContentGuess::Unknown(first)
}

/// Whether `bytes` are UTF-8 (but for a character cut at the end) without control characters other than white space.
fn is_text(bytes: &[u8]) -> bool {
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => match std::str::from_utf8(&bytes[..error.valid_up_to()]) {
            Ok(text) => text,
            Err(_) => return false,
        },
        Err(_) => return false,
    };
    !valid.is_empty() && valid.chars().all(|character| !character.is_control() || character.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_content() {
        assert_eq!(format(b"\xff\xd8\xff\xe0"), Ok(ImageFormat::Jpeg));
        assert_eq!(format(b"\x89PNG\r\n\x1a\n"), Ok(ImageFormat::Png));
        assert_eq!(format(b"BM\x36\0\0\0\0\0"), Ok(ImageFormat::Bmp));
        assert_eq!(format(b"GIF89a\x01\0"), Ok(ImageFormat::Gif));
        assert_eq!(format(b"RIFF\x10\0\0\0WEBPVP8 "), Ok(ImageFormat::WebP));
        assert_eq!(format(b"MM\0*\0\0"), Ok(ImageFormat::Tiff));
        assert_eq!(format(b"P6\n# made by hand\n1 1"), Ok(ImageFormat::Pnm));
        for (bytes, expected) in [
            (&b""[..], ContentGuess::Empty),
            (&[0; 64], ContentGuess::Zeros),
            (b"P5 is a text\n", ContentGuess::Text),
            (b"\0\0\0\x1cftypavif", ContentGuess::OtherImage("avif")),
            (b"<?xml version=\"1.0\"?>\n<svg/>", ContentGuess::OtherImage("svg")),
            (b"PK\x03\x04\x14\0", ContentGuess::Archive("zip")),
            (b"\xef\xbb\xbf\n <!DOCTYPE HTML><p>", ContentGuess::Html),
            (b"version https://git-lfs.github.com/spec/v1\n", ContentGuess::LfsPointer),
            (b"BMW and other words\n", ContentGuess::Text),
            ("Fußnote".as_bytes(), ContentGuess::Text),
            (&"Fuß".as_bytes()[..3], ContentGuess::Text),
            (b"\x89PNG\n\x1a\n", ContentGuess::Unknown(*b"\x89PNG")),
            (b"\xff\xd8", ContentGuess::Unknown([0xff, 0xd8, 0, 0])),
        ] {
            assert_eq!(format(bytes), Err(expected), "{bytes:?}");
        }
    }

    #[test]
    fn tar_is_told_by_its_magic() {
        let mut tar = vec![b'a'; 512];
        tar[100] = 0;
        tar[257..262].copy_from_slice(b"ustar");
        assert_eq!(format(&tar), Err(ContentGuess::Archive("tar")));
    }
}
