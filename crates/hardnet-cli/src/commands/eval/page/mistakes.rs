//! The mistakes that the network was surest of.

use super::{Content, Picture};
use crate::page;
use crate::page::html::{name, percent};

pub(super) fn section(content: &Content) -> String {
    let body = if content.pictures.is_empty() {
        "<p>None.</p>\n".into()
    } else {
        let figures: String = content.pictures.iter().map(|picture| figure(content, picture)).collect();
        format!(
            "<p>Input of the network, predicted class with its probability, and label with its probability.</p>\n\
             <div class=\"mistakes\">\n{figures}</div>\n"
        )
    };
    format!("<section>\n<h2>Most confident mistakes</h2>\n{body}</section>\n")
}

fn figure(content: &Content, picture: &Picture) -> String {
    let Picture { mistake, name: file, png } = picture;
    let image = page::picture(*png, file, "the image can no longer be read");
    let line = |kind: &str, class: usize, probability: f64| {
        let label = name(&content.short_name(class));
        format!("<span class=\"{kind}\">{label}</span> <span class=\"n\">{}</span>", percent(Some(probability), 1))
    };
    format!(
        "<figure>{image}<figcaption><p>{}</p><p>{}</p><p class=\"file\">{}</p></figcaption></figure>\n",
        line("wrong", mistake.predicted, mistake.confidence),
        line("right", mistake.label, mistake.of_label),
        name(file),
    )
}
