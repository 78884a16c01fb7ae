//! Top-1 by class.

use hardnet_eval::ClassScore;

use super::Content;
use crate::page::html::{count, name, percent};

/// The most classes whose table is in the order of the classes and without best and worst.
const FEW: usize = 32;

/// Classes among the best and among the worst.
const EXTREMES: usize = 10;

pub(super) fn section(content: &Content) -> String {
    let mut classes = content.breakdown.confusion().by_class();
    let without = content.classes.saturating_sub(classes.len());
    let note = match without {
        0 => String::new(),
        1 => "<p>1 class has no image.</p>\n".into(),
        _ => format!("<p>{} classes have no image.</p>\n", count(without)),
    };
    let body = if classes.is_empty() {
        String::new()
    } else if content.classes <= FEW {
        table(content, &classes, "Top-1 by class")
    } else {
        // Of equal shares, the one of more images is the surer.
        classes.sort_by(|a, b| share(a).total_cmp(&share(b)).then(b.top1.total.cmp(&a.top1.total)));
        let worst = &classes[..EXTREMES.min(classes.len())];
        let mut best = classes.clone();
        best.sort_by(|a, b| share(b).total_cmp(&share(a)).then(b.top1.total.cmp(&a.top1.total)));
        best.truncate(EXTREMES);
        format!(
            "<div class=\"pair\">\n<div><h3>Worst</h3>\n{}</div>\n<div><h3>Best</h3>\n{}</div>\n</div>\n\
             <h3>All, the worst first</h3>\n\
             <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Top-1 of all classes\">\n{}</div>\n",
            short_table(content, worst),
            short_table(content, &best),
            table(content, &classes, "Top-1 of all classes, the worst first"),
        )
    };
    format!("<section>\n<h2>Top-1 by class</h2>\n{note}{body}</section>\n")
}

fn share(class: &ClassScore) -> f64 {
    class.top1.percent().map_or(0.0, |percent| percent / 100.0)
}

fn bar(class: &ClassScore) -> String {
    let share = share(class);
    format!("<td class=\"bar\" style=\"--share:{:.1}%\">{}</td>", 100.0 * share, percent(Some(share), 1))
}

/// Class, images and share.
fn short_table(content: &Content, classes: &[ClassScore]) -> String {
    let row = |class: &ClassScore| {
        let (label, of) = (name(&content.short_name(class.class)), count(class.top1.total));
        format!(
            "<tr><td class=\"n\">{}</td><td>{label}</td><td class=\"n\">{of}</td>{}</tr>\n",
            class.class,
            bar(class)
        )
    };
    let rows: String = classes.iter().map(row).collect();
    format!(
        "<table>\n<thead><tr><th class=\"n\">#</th><th>Class</th><th class=\"n\">Images</th><th class=\"n\">Top-1</th></tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table>\n"
    )
}

/// All that is known of the classes.
fn table(content: &Content, classes: &[ClassScore], caption: &str) -> String {
    let row = |class: &ClassScore| {
        let mistaken = class.mistaken_for.map_or(String::new(), |cell| {
            format!("{} <small>({})</small>", name(&content.short_name(cell.predicted)), count(cell.images))
        });
        format!(
            "<tr><td class=\"n\">{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n wide\">{}</td>{}<td class=\"n wide\">{}</td>\
             <td class=\"wide\">{mistaken}</td></tr>\n",
            class.class,
            name(&content.labels.name(class.class)),
            count(class.top1.total),
            count(class.top1.correct),
            bar(class),
            count(class.predicted),
        )
    };
    let rows: String = classes.iter().map(row).collect();
    format!(
        "<table>\n<caption>{caption}</caption>\n<thead><tr><th class=\"n\">#</th><th>Class</th><th class=\"n\">Images</th>\
         <th class=\"n wide\">Correct</th><th class=\"n\">Top-1</th><th class=\"n wide\">Predicted</th>\
         <th class=\"wide\">Most mistaken for</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n"
    )
}
