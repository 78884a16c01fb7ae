//! Slices of a string that many values share.
//!
//! The names of 50,000 images in strings of their own take half as much memory again, in small blocks that leave the
//! heap fragmented.

use std::sync::Arc;

/// The range of a slice in a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    length: u32,
}

impl Span {
    /// Appends `slice` to `text`; `None` if the text would be 4 GiB long or longer.
    pub(crate) fn push(text: &mut String, slice: &str) -> Option<Self> {
        let start = u32::try_from(text.len()).ok()?;
        let length = u32::try_from(slice.len()).ok()?;
        start.checked_add(length)?;
        text.push_str(slice);
        Some(Self { start, length })
    }

    /// The slice of `text`, which it was appended to.
    pub(crate) fn slice(self, text: &str) -> &str {
        &text[self.start as usize..][..self.length as usize]
    }
}

/// A slice of a shared string.
#[derive(Clone)]
pub(crate) struct SharedStr {
    text: Arc<String>,
    span: Span,
}

impl SharedStr {
    /// The slice `span` of `text`, which it was appended to.
    pub(crate) fn new(text: &Arc<String>, span: Span) -> Self {
        Self { text: Arc::clone(text), span }
    }

    /// Becomes the same range of `text`, which was not complete when this slice of it was made.
    pub(crate) fn rebase(&mut self, text: &Arc<String>) {
        self.text = Arc::clone(text);
    }

    pub(crate) fn as_str(&self) -> &str {
        self.span.slice(&self.text)
    }

    /// `end` as a slice of the same string, if this slice ends with it.
    pub(crate) fn suffix(&self, end: &str) -> Option<Self> {
        let before = u32::try_from(self.as_str().strip_suffix(end)?.len()).ok()?;
        let span = Span { start: self.span.start + before, length: self.span.length - before };
        Some(Self { text: Arc::clone(&self.text), span })
    }
}

impl From<String> for SharedStr {
    /// A string of its own, shorter than 4 GiB; a longer one becomes empty.
    fn from(text: String) -> Self {
        let span = Span { start: 0, length: u32::try_from(text.len()).unwrap_or(0) };
        Self { text: Arc::new(text), span }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_and_their_suffixes_share_one_string() {
        let mut text = String::new();
        let spans = ["val/\u{e9}.jpg", "", "b.jpg"].map(|slice| Span::push(&mut text, slice).expect("a short text"));
        let text = Arc::new(text);
        let [first, empty, last] = spans.map(|span| SharedStr::new(&text, span));
        assert_eq!([first.as_str(), empty.as_str(), last.as_str()], ["val/\u{e9}.jpg", "", "b.jpg"]);
        let ending = first.suffix("\u{e9}.jpg").expect("an ending");
        assert_eq!((ending.as_str(), Arc::ptr_eq(&ending.text, &text)), ("\u{e9}.jpg", true));
        assert!(first.suffix("b.jpg").is_none());
        assert_eq!(SharedStr::from("alone".to_owned()).suffix("alone").expect("the whole").as_str(), "alone");
    }
}
