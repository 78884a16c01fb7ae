//! Which classes are taken for which: the matrix where it fits a page, else a picture of it and its largest entries.

use std::fmt::Write;

use hardnet_eval::Confusion;

use super::Content;
use crate::page::html::{Text, count, name, percent};

/// The most classes whose matrix is a table.
const TABLE: usize = 24;

/// The most blocks of classes along a side of the picture.
const BLOCKS: usize = 100;

/// Least shares of a block's images, from faint to full.
const SHADES: [f64; 7] = [0.0, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5];

pub(super) fn section(content: &Content) -> String {
    let confusion = content.breakdown.confusion();
    let matrix = match content.classes {
        0..=TABLE => table(content),
        classes => picture(confusion, classes),
    };
    let pairs = pairs(content, if content.classes > TABLE { 40 } else { 10 });
    format!("<section>\n<h2>Confusion</h2>\n{matrix}{pairs}</section>\n")
}

/// Rows are labels, columns are predictions.
fn table(content: &Content) -> String {
    let confusion = content.breakdown.confusion();
    let mut html = format!(
        "<p>Images of each class (rows) by predicted class (columns); the shade is the fraction of the row.</p>\n\
         <div class=\"sideways\" tabindex=\"0\" role=\"region\" aria-label=\"Confusion matrix\">\n<table class=\"matrix\" style=\"--classes:{}\">\n\
         <thead><tr><td></td>",
        content.classes + 1
    );
    for class in 0..content.classes {
        let _ = write!(html, "<th scope=\"col\">{}</th>", heading(content, class));
    }
    html += "</tr></thead>\n<tbody>\n";
    for label in 0..content.classes {
        let row = content.labels.name(label);
        let _ = write!(html, "<tr><th scope=\"row\">{}</th>", heading(content, label));
        let total: usize = (0..content.classes).map(|predicted| confusion.count(label, predicted)).sum();
        for predicted in 0..content.classes {
            let images = confusion.count(label, predicted);
            if images == 0 {
                html += "<td></td>";
                continue;
            }
            let share = images as f64 / total as f64;
            // The root lets small shares be seen.
            let shade = share.sqrt();
            let kind = if predicted == label { "right" } else { "wrong" };
            let text = if shade > 0.6 { " full" } else { "" };
            let column = content.labels.name(predicted);
            let _ = write!(
                html,
                "<td class=\"{kind}{text}\" style=\"--shade:{shade:.2}\" title=\"{} as {}: {}\">{images}</td>",
                Text(&row),
                Text(&column),
                percent(Some(share), 1)
            );
        }
        html += "</tr>\n";
    }
    html + "</tbody>\n</table>\n</div>\n"
}

/// The matrix in blocks of classes, drawn as one path for each shade.
fn picture(confusion: &Confusion, classes: usize) -> String {
    let block = classes.div_ceil(BLOCKS);
    let side = classes.div_ceil(block);
    let mut images = vec![vec![0usize; side]; side];
    for cell in confusion.cells().filter(|cell| cell.label < classes && cell.predicted < classes) {
        images[cell.label / block][cell.predicted / block] += cell.images;
    }
    let mut paths = [const { String::new() }; SHADES.len()];
    for (y, row) in images.iter().enumerate() {
        let total: usize = row.iter().sum();
        for (x, &images) in row.iter().enumerate().filter(|(_, images)| **images > 0) {
            let share = images as f64 / total as f64;
            let shade = SHADES.iter().rposition(|&least| share >= least).unwrap_or(0);
            let _ = write!(paths[shade], "M{x} {y}h1v1h-1z");
        }
    }
    let opacity = |shade: usize| (shade + 1) as f64 / SHADES.len() as f64;
    let scale = 100.0 / side as f64;
    let mut html = format!(
        "<p>Images by class (rows) and predicted class (columns), {}; the diagonal is correct.</p>\n\
         <figure class=\"picture\">\n<svg viewBox=\"-9 -6 110 107\" role=\"img\" aria-label=\"Confusion matrix\">\n\
         <rect class=\"frame\" width=\"100\" height=\"100\"/>\n<g transform=\"scale({scale})\" class=\"blocks\">\n",
        if block == 1 { "class by class".into() } else { format!("in blocks of {block} classes") },
    );
    for (shade, path) in paths.iter().enumerate().filter(|(_, path)| !path.is_empty()) {
        let _ = writeln!(html, "<path d=\"{path}\" fill-opacity=\"{:.2}\"/>", opacity(shade));
    }
    html += "</g>\n";
    for fifth in 0..5 {
        // A label stands where the block of its class begins.
        let at = fifth * side / 5;
        let (place, class) = (at as f64 * scale, at * block);
        let _ = writeln!(
            html,
            "<text x=\"{place:.1}\" y=\"-1.5\">{class}</text><text x=\"-1.5\" y=\"{:.1}\" class=\"end\">{class}</text>",
            place + 3.0
        );
    }
    html += "</svg>\n<figcaption>Fraction of the row: ";
    for (shade, least) in SHADES.iter().enumerate() {
        let from = if shade == 0 { "less".into() } else { format!("from {}&nbsp;%", least * 100.0) };
        let _ = write!(html, "<span class=\"key\" style=\"--shade:{:.2}\">{from}</span> ", opacity(shade));
    }
    html + "</figcaption>\n</figure>\n"
}

/// The head of a row or column of the table.
fn heading(content: &Content, class: usize) -> String {
    if content.labels.has_names() {
        format!("<span class=\"label\">{}</span> {class}", name(&content.labels.name(class)))
    } else {
        class.to_string()
    }
}

/// The name of a class with its number, which tells the two cranes apart.
fn numbered(content: &Content, class: usize) -> String {
    if !content.labels.has_names() {
        return name(&content.labels.name(class));
    }
    format!("{} <small>{class}</small>", name(&content.short_name(class)))
}

/// The largest entries off the diagonal.
fn pairs(content: &Content, most: usize) -> String {
    let confusion = content.breakdown.confusion();
    let pairs = confusion.most_confused(most);
    if pairs.is_empty() {
        return "<p>All images were classified correctly.</p>\n".into();
    }
    let classes = confusion.by_class();
    let mut rows = String::new();
    for pair in &pairs {
        let of = classes.iter().find(|class| class.class == pair.label).map_or(0, |class| class.top1.total);
        let _ = writeln!(
            rows,
            "<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            numbered(content, pair.label),
            numbered(content, pair.predicted),
            count(pair.images),
            percent(Some(pair.images as f64 / of as f64), 1),
        );
    }
    format!(
        "<h3>Most confused</h3>\n<table class=\"pairs\">\n<thead><tr><th>Class</th><th>Predicted</th><th class=\"n\">Images</th>\
         <th class=\"n\">Of class</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n"
    )
}
