//! `--report`: the result as one HTML page.

use std::fmt::Write;

use hardnet_segmentation::{ClassNames, Confusion};
use serde::{Deserialize, Serialize};

use super::PICTURES;
use super::report::{ClassRow, SegmentationReport};
use super::worst::{Picture, Worst};
use crate::page::html::{Text, count, images, name, percent};
use crate::page::{self, tile};

/// The most classes whose confusion is a table.
const TABLE: usize = 24;

/// What the page shows besides the figures: of all images, or of a shard. Field names are API.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PageParts {
    /// Colors of the classes.
    colors: Vec<[u8; 3]>,
    /// The worst images, the worst first.
    pictures: Vec<Picture>,
}

impl PageParts {
    pub(super) fn new(classes: &ClassNames, worst: Worst) -> Self {
        let colors = (0..classes.names.len()).map(|class| classes.palette.color(class as u8)).collect();
        Self { colors, pictures: worst.into_pictures() }
    }

    /// The parts of all shards, in the order of the shards; none without shards.
    pub(crate) fn merged<'a>(shards: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        let mut shards = shards.into_iter().peekable();
        let colors = shards.peek()?.colors.clone();
        let mut worst = Worst::new(PICTURES);
        shards.flat_map(|shard| &shard.pictures).for_each(|picture| worst.keep(picture.clone()));
        Some(Self { colors, pictures: worst.into_pictures() })
    }

    /// The colors of the classes.
    pub(crate) fn colors(&self) -> &[[u8; 3]] {
        &self.colors
    }

    /// The page of `report` as HTML.
    pub(crate) fn html(&self, report: &SegmentationReport, confusion: &Confusion) -> String {
        let sections = [
            summary(report),
            by_class(report, &self.colors),
            matrix(confusion, report),
            worst(&self.pictures),
            settings(report),
        ];
        page::document("Evaluation", &report.model, &lead(report), &sections.concat(), &report.tool)
    }
}

fn share(value: f64, decimals: usize) -> String {
    percent(Some(value).filter(|value| !value.is_nan()), decimals)
}

fn lead(report: &SegmentationReport) -> String {
    let sha256 = report.weights.sha256.get(..12).unwrap_or_default();
    let mut html = format!(
        "<p>{} classes, {} of {}; weights {}, SHA&#8209;256 <code>{sha256}…</code></p>\n",
        count(report.classes.len()),
        images(report.done - report.errors),
        name(&report.data.name()),
        name(&report.weights.path),
    );
    if report.partial {
        let _ = writeln!(
            html,
            "<p class=\"warning\">The run was stopped after {} of {}. The results are for these images.</p>",
            count(report.done),
            images(report.own)
        );
    }
    if report.errors > 0 {
        let of = images(report.errors);
        let _ = writeln!(html, "<p class=\"warning\">{of} could not be read and are not included.</p>");
    }
    html
}

fn summary(report: &SegmentationReport) -> String {
    let figures = report.figures;
    let occur = report.classes.iter().filter(|row| !row.iou.is_nan()).count();
    let speed = report.images_per_second.map_or("–".into(), |speed| format!("{speed:.2}"));
    let pixels = |number: u64| count(number as usize);
    let tiles = [
        tile("Mean IoU", &share(figures.mean_iou, 2), &format!("over {occur} of {} classes", report.classes.len())),
        tile(
            "Pixel accuracy",
            &share(figures.pixel_accuracy, 2),
            &format!("{} of {} pixels", pixels(report.correct), pixels(report.pixels)),
        ),
        tile("Mean accuracy", &share(figures.mean_accuracy, 2), "over the classes that occur"),
        tile("IoU weighted by pixels", &share(figures.frequency_weighted_iou, 2), "each class by its share"),
        tile("Images/s", &speed, &format!("{:.1}&nbsp;s, {} engine", report.seconds.total, report.engine)),
    ];
    format!("<section aria-label=\"Summary\">\n<div class=\"tiles\">\n{}</div>\n</section>\n", tiles.concat())
}

/// A mark in the color of a class.
fn swatch(colors: &[[u8; 3]], class: usize) -> String {
    let [red, green, blue] = colors.get(class).copied().unwrap_or_default();
    format!("<span class=\"swatch\" style=\"--color:rgb({red} {green} {blue})\"></span>")
}

fn by_class(report: &SegmentationReport, colors: &[[u8; 3]]) -> String {
    let bar = |value: f64| match value.is_nan() {
        true => "<td class=\"n\">–</td>".into(),
        false => format!("<td class=\"bar\" style=\"--share:{:.1}%\">{}</td>", 100.0 * value, share(value, 1)),
    };
    let total = report.pixels as f64;
    let row = |row: &ClassRow| {
        format!(
            "<tr><td class=\"n\">{}</td><td>{}{}</td>{}<td class=\"n\">{}</td><td class=\"n wide\">{}</td>\
             <td class=\"n wide\">{}</td></tr>\n",
            row.class,
            swatch(colors, row.class),
            name(&row.name),
            bar(row.iou),
            share(row.accuracy, 1),
            share(row.pixels as f64 / total, 2),
            share(row.predicted as f64 / total, 2),
        )
    };
    let rows: String = report.classes.iter().map(row).collect();
    format!(
        "<section>\n<h2>IoU by class</h2>\n<table>\n<caption>IoU by class</caption>\n\
         <thead><tr><th class=\"n\">#</th><th>Class</th><th class=\"n\">IoU</th><th class=\"n\">Accuracy</th>\
         <th class=\"n wide\">Pixels</th><th class=\"n wide\">Predicted</th></tr></thead>\n<tbody>\n{rows}</tbody>\n\
         </table>\n</section>\n"
    )
}

/// Which classes are taken for which.
fn matrix(confusion: &Confusion, report: &SegmentationReport) -> String {
    let mut html = String::from("<section>\n<h2>Confusion</h2>\n");
    if confusion.classes() <= TABLE {
        html += &table(confusion, &report.classes);
    }
    let totals = confusion.true_pixels();
    let pairs = confusion.most_confused(10);
    if pairs.is_empty() {
        return html + "<p>No pixel was classified wrongly.</p>\n</section>\n";
    }
    html += "<h3>Most confused</h3>\n<table class=\"pairs\">\n<thead><tr><th>Class</th><th>Predicted</th>\
             <th class=\"n\">Pixels</th><th class=\"n\">Of class</th></tr></thead>\n<tbody>\n";
    for (truth, found, pixels) in pairs {
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            name(&report.classes[truth].name),
            name(&report.classes[found].name),
            count(pixels as usize),
            share(pixels as f64 / totals[truth] as f64, 1),
        );
    }
    html + "</tbody>\n</table>\n</section>\n"
}

/// Rows are true classes, columns are predictions.
fn table(confusion: &Confusion, classes: &[ClassRow]) -> String {
    let heading = |class: usize| format!("<span class=\"label\">{}</span> {class}", name(&classes[class].name));
    let mut html = format!(
        "<p>Percent of the pixels of each class (rows) by predicted class (columns).</p>\n\
         <div class=\"sideways\" tabindex=\"0\" role=\"region\" aria-label=\"Confusion matrix\">\n\
         <table class=\"matrix\" style=\"--classes:{}\">\n<thead><tr><td></td>",
        confusion.classes() + 1
    );
    for class in 0..confusion.classes() {
        let _ = write!(html, "<th scope=\"col\">{}</th>", heading(class));
    }
    html += "</tr></thead>\n<tbody>\n";
    for (truth, row) in confusion.rows().enumerate() {
        let _ = write!(html, "<tr><th scope=\"row\">{}</th>", heading(truth));
        let total: u64 = row.iter().sum();
        for (found, &pixels) in row.iter().enumerate() {
            if pixels == 0 {
                html += "<td></td>";
                continue;
            }
            let of_row = pixels as f64 / total as f64;
            // The root lets small shares be seen.
            let shade = of_row.sqrt();
            let kind = if found == truth { "right" } else { "wrong" };
            let full = if shade > 0.6 { " full" } else { "" };
            let _ = write!(
                html,
                "<td class=\"{kind}{full}\" style=\"--shade:{shade:.2}\" title=\"{} as {}: {}\">{}</td>",
                Text(&classes[truth].name),
                Text(&classes[found].name),
                share(of_row, 2),
                if of_row < 0.005 { "·".into() } else { format!("{:.0}", 100.0 * of_row) },
            );
        }
        html += "</tr>\n";
    }
    html + "</tbody>\n</table>\n</div>\n"
}

/// The images with the lowest mean IoU: image, prediction, truth.
fn worst(pictures: &[Picture]) -> String {
    let figure = |picture: &Picture| {
        let part = |png: &[u8], kind: &str| {
            let shown = page::picture(Some(png), &format!("{}: {kind}", picture.name), "");
            format!("<div>{shown}<p>{kind}</p></div>")
        };
        format!(
            "<figure class=\"triple\"><div>{}{}{}</div><figcaption>{}: mean IoU {}, pixel accuracy {}</figcaption></figure>\n",
            part(&picture.image, "image"),
            part(&picture.predicted, "prediction"),
            part(&picture.truth, "truth"),
            name(&picture.name),
            share(picture.mean_iou, 1),
            share(picture.pixel_accuracy, 1),
        )
    };
    let figures: String = pictures.iter().map(figure).collect();
    let body = if figures.is_empty() { "<p>None.</p>\n".into() } else { figures };
    format!(
        "<section>\n<h2>Lowest mean IoU</h2>\n<p>Colors are those of the table above; pixels without a class show the image.</p>\n\
         {body}</section>\n"
    )
}

/// The settings that reproduce the run.
fn settings(report: &SegmentationReport) -> String {
    let preprocessing = &report.preprocessing;
    let seconds = report.seconds;
    let scales: Vec<_> = preprocessing.scales.iter().map(f64::to_string).collect();
    let rows = [
        ("Model", name(&report.model)),
        ("Weights", name(&report.weights.path)),
        ("SHA-256", format!("<code>{}</code>", name(&report.weights.sha256))),
        ("Images", name(&report.data.name())),
        ("Preprocessing", preprocessing.name.as_deref().unwrap_or("custom").into()),
        ("Input", format!("{} ({})", preprocessing.protocol.size, preprocessing.protocol.interpolation)),
        ("Scales; mirrored", format!("{}; {}", scales.join(", "), if preprocessing.flip { "yes" } else { "no" })),
        ("Decoder", name(&preprocessing.decoder)),
        ("Threads; loader threads", format!("{}; {}", report.threads, report.workers)),
        (
            "Seconds",
            format!(
                "{:.1}: {:.1} in the network, {:.1} waiting for images",
                seconds.total, seconds.network, seconds.loading
            ),
        ),
        ("Program", format!("hardnet {} ({})", report.tool.version, report.tool.commit)),
    ];
    let rows: String = rows.iter().map(|(term, value)| format!("<dt>{term}</dt><dd>{value}</dd>\n")).collect();
    format!("<section>\n<h2>Settings</h2>\n<dl>\n{rows}</dl>\n</section>\n")
}
