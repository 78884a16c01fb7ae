//! The images that become wrong or right, the surest changes first.

use hardnet_eval::PredictedClass;

use super::{Content, Pictures};
use crate::commands::compare::report::{Changed, GAINED, LOST, Pair, UNLABELED, short_name};
use crate::page;
use crate::page::html::{count, name, percent};

/// The images of a comparison that are shown, at most `most` of each kind.
pub(super) fn shown(pair: &Pair, most: usize) -> impl Iterator<Item = &Changed> {
    let kind = move |verdict| pair.changes.iter().filter(move |change| change.verdict == verdict).take(most);
    [LOST, GAINED, UNLABELED].into_iter().flat_map(kind)
}

pub(super) fn section(content: &Content, pair: &Pair) -> String {
    let kinds = [(LOST, "Right to wrong"), (GAINED, "Wrong to right"), (UNLABELED, "Another class")];
    let kinds: String = kinds.into_iter().map(|(verdict, title)| kind(content, pair, verdict, title)).collect();
    if kinds.is_empty() { "<section>\n<p>No image becomes wrong or right.</p>\n</section>\n".into() } else { kinds }
}

fn kind(content: &Content, pair: &Pair, verdict: &str, title: &str) -> String {
    let all = pair.changes.iter().filter(|change| change.verdict == verdict).count();
    let few: Vec<_> = shown(pair, content.most).filter(|change| change.verdict == verdict).collect();
    if few.is_empty() {
        return String::new();
    }
    let which = match few.len() {
        shown if shown < all => format!("The {} of {} of which both runs are surest. ", count(shown), count(all)),
        _ => String::new(),
    };
    let body = match &content.pictures {
        Some(pictures) => {
            let figures: String = few.iter().map(|change| figure(change, pictures)).collect();
            format!(
                "<p>{which}Center of the image, and class in the reference and in the other run with its \
                 probability.</p>\n<div class=\"mistakes\">\n{figures}</div>\n"
            )
        }
        None => {
            format!("<p>{which}Class in the reference and in the other run with its probability.</p>\n{}", table(&few))
        }
    };
    format!("<section>\n<h2>{title}</h2>\n{body}</section>\n")
}

fn figure(change: &Changed, pictures: &Pictures) -> String {
    let missing = if pictures.contains_key(&change.path) { "the image cannot be read" } else { "not found" };
    let png = pictures.get(&change.path).and_then(Option::as_deref);
    format!(
        "<figure>{}<figcaption><p>{}</p><p>{}</p><p class=\"file\">{}{}</p></figcaption></figure>\n",
        page::picture(png, &change.path, missing),
        class(change, &change.reference),
        class(change, &change.other),
        name(&change.path),
        size(change).map_or(String::new(), |size| format!(" {size}")),
    )
}

fn table(changes: &[&Changed]) -> String {
    let row = |change: &&Changed| {
        format!(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"n wide\">{}</td></tr>\n",
            name(&change.path),
            class(change, &change.reference),
            class(change, &change.other),
            size(change).unwrap_or("–".into()),
        )
    };
    let rows: String = changes.iter().map(row).collect();
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Images\">\n<table>\n\
         <thead><tr><th>Image</th><th>Reference</th><th>Other run</th><th class=\"n wide\">Size</th></tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table>\n</div>\n"
    )
}

/// A predicted class with its probability, in the color of whether it is right.
fn class(change: &Changed, hit: &PredictedClass) -> String {
    let kind = match change.label {
        Some(label) if label == hit.index => "right",
        Some(_) => "wrong",
        None => "",
    };
    let label = name(short_name(hit.index, &hit.name));
    let probability = percent(Some(f64::from(hit.probability)), 1);
    format!("<span class=\"{kind}\">{label}</span> <span class=\"n\">{probability}</span>")
}

/// Width and height in pixels.
fn size(change: &Changed) -> Option<String> {
    let (width, height) = change.width.zip(change.height)?;
    Some(format!("{width}&nbsp;×&nbsp;{height}"))
}
