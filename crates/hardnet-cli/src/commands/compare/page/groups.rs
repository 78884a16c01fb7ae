//! Where runs differ: classes, sizes, shapes.

use crate::commands::compare::report::{Class, Counts, Pair, Range, short_name};
use crate::page::html::{count, name, percent};

/// The most classes that are shown at once; more are in a box of their own.
const FEW: usize = 12;

pub(super) fn section(pair: &Pair) -> String {
    let sizes =
        [ranges("Short side, pixels", &pair.short_sides, 0), ranges("Width / height", &pair.aspect_ratios, 2)].concat();
    let sizes = if sizes.is_empty() { sizes } else { format!("<div class=\"pair\">\n{sizes}</div>\n") };
    let classes = classes(pair);
    if classes.is_empty() && sizes.is_empty() {
        return String::new();
    }
    format!(
        "<section>\n<h2>Where they differ</h2>\n<p>Changed: another class. Lost: right in the reference only. Gained: \
         right in the other run only.</p>\n{classes}{sizes}</section>\n"
    )
}

/// The classes with images that become wrong or right.
fn classes(pair: &Pair) -> String {
    let differing = pair.classes.iter().filter(|class| class.counts.only_reference + class.counts.only_other > 0);
    let rows: Vec<_> = differing.map(class).collect();
    if rows.is_empty() {
        return String::new();
    }
    let table = table("Class", &rows.concat());
    let note = match rows.len() {
        1 => "1 class has images that become wrong or right.".into(),
        classes => format!("{} classes have images that become wrong or right.", count(classes)),
    };
    let body = if rows.len() <= FEW {
        table
    } else {
        format!("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Classes\">\n{table}</div>\n")
    };
    format!("<h3>Classes</h3>\n<p>{note}</p>\n{body}")
}

fn class(class: &Class) -> String {
    let label = name(short_name(class.class, &class.name));
    row(&format!("{label} <small>{}</small>", class.class), class.counts)
}

fn ranges(title: &str, ranges: &[Range], decimals: usize) -> String {
    if ranges.is_empty() {
        return String::new();
    }
    let range = |range: &Range| {
        let title = match range.to {
            Some(to) => format!("{:.decimals$} to {to:.decimals$}", range.from),
            None => format!("from {:.decimals$}", range.from),
        };
        row(&title, range.counts)
    };
    let rows: String = ranges.iter().map(range).collect();
    format!("<div><h3>{title}</h3>\n{}</div>\n", table(title, &rows))
}

fn table(title: &str, rows: &str) -> String {
    format!(
        "<table>\n<thead><tr><th>{title}</th><th class=\"n\">Images</th><th class=\"n\">Changed</th>\
         <th class=\"n\">Lost</th><th class=\"n\">Gained</th><th class=\"n wide\">Net</th></tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table>\n"
    )
}

fn row(title: &str, counts: Counts) -> String {
    let share = counts.changed as f64 / counts.images as f64;
    format!(
        "<tr><td>{title}</td><td class=\"n\">{}</td><td class=\"bar\" style=\"--share:{:.1}%\">{}</td>\
         <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n wide\">{}</td></tr>\n",
        count(counts.images),
        100.0 * share,
        percent(Some(share), 1),
        count(counts.only_reference),
        count(counts.only_other),
        format!("{:+}", counts.net()).replace('-', "−"),
    )
}
