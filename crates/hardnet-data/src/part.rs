//! Parts of a text that many things share: the names of 50,000 images in strings of their own take half as much again,
//! in pieces that are never given back.

use std::sync::Arc;

/// Where a part lies in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    length: u32,
}

impl Span {
    /// Appends `part` to `text`; `None` if the text would be 4 GiB long or longer.
    pub(crate) fn push(text: &mut String, part: &str) -> Option<Self> {
        let start = u32::try_from(text.len()).ok()?;
        let length = u32::try_from(part.len()).ok()?;
        start.checked_add(length)?;
        text.push_str(part);
        Some(Self { start, length })
    }

    /// The part, of the text it was appended to.
    pub(crate) fn of(self, text: &str) -> &str {
        &text[self.start as usize..][..self.length as usize]
    }
}

/// A part of a shared text.
#[derive(Clone)]
pub(crate) struct Part {
    text: Arc<String>,
    span: Span,
}

impl Part {
    /// The part `span` of `text`, which it was appended to.
    pub(crate) fn new(text: &Arc<String>, span: Span) -> Self {
        Self { text: Arc::clone(text), span }
    }

    /// A text of its own, at most 4 GiB long; what is longer is cut.
    pub(crate) fn alone(text: String) -> Self {
        let span = Span { start: 0, length: u32::try_from(text.len()).unwrap_or(0) };
        Self { text: Arc::new(text), span }
    }

    /// Becomes the same range of `text`: one that was not complete when this part of it was made.
    pub(crate) fn move_to(&mut self, text: &Arc<String>) {
        self.text = Arc::clone(text);
    }

    pub(crate) fn as_str(&self) -> &str {
        self.span.of(&self.text)
    }

    /// `end` as a part of this text, if this part ends in it.
    pub(crate) fn ending(&self, end: &str) -> Option<Self> {
        let before = u32::try_from(self.as_str().strip_suffix(end)?.len()).ok()?;
        let span = Span { start: self.span.start + before, length: self.span.length - before };
        Some(Self { text: Arc::clone(&self.text), span })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_their_endings_are_those_of_one_text() {
        let mut text = String::new();
        let spans = ["val/\u{e9}.jpg", "", "b.jpg"].map(|part| Span::push(&mut text, part).expect("a short text"));
        let text = Arc::new(text);
        let [first, empty, last] = spans.map(|span| Part::new(&text, span));
        assert_eq!([first.as_str(), empty.as_str(), last.as_str()], ["val/\u{e9}.jpg", "", "b.jpg"]);
        let ending = first.ending("\u{e9}.jpg").expect("an ending");
        assert_eq!((ending.as_str(), Arc::ptr_eq(&ending.text, &text)), ("\u{e9}.jpg", true));
        assert!(first.ending("b.jpg").is_none());
        assert_eq!(Part::alone("alone".into()).ending("alone").expect("the whole").as_str(), "alone");
    }
}
