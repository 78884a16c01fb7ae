//! `--report`: the result as one self-contained HTML page.

use std::fmt::Write as _;
use std::io::Write;

use anyhow::Context;

use super::report::{Layer, Measured, QuantizeReport};
use crate::failure::Result;
use crate::output::OutputFile;
use crate::page::html::{Text, count, name, percent};
use crate::page::{document, tile};

pub(super) fn write(mut file: OutputFile, report: &QuantizeReport) -> Result<()> {
    let page = html(report);
    let mut writer = file.writer();
    writer.write_all(page.as_bytes()).and_then(|()| writer.flush()).context("cannot write the page")?;
    drop(writer);
    file.finish()
}

/// The page from head to foot.
fn html(report: &QuantizeReport) -> String {
    let sha256 = report.sha256.get(..12).unwrap_or_default();
    let lead = format!(
        "<p>{} classes; weights {}, SHA&#8209;256 <code>{sha256}…</code></p>",
        count(report.classes),
        name(&report.weights)
    );
    let mut sections = summary(report);
    if report.layers.iter().any(|layer| layer.report.weights_db.is_some() || layer.map_db.is_some()) {
        sections += &chart(report);
    }
    sections += &layers(report);
    sections += &settings(report);
    document("Quantization", &format!("{} in 8-bit integers", report.model), &lead, &sections, &report.tool)
}

fn summary(report: &QuantizeReport) -> String {
    let share = report.bytes as f64 / report.source_bytes.max(1) as f64;
    let of = format!("{} of {} bytes", count(report.bytes), count(report.source_bytes));
    let mut tiles = tile("Size", &percent(Some(share), 0), &of);
    if let Some(measured) = &report.agreement {
        let of = format!("{} of {} images", count(measured.same_class), count(measured.images));
        tiles += &tile("Same class as f32", &percent(measured.same_class_percent.map(|p| p / 100.0), 2), &of);
        let most = format!("nats in the mean<br>{:.3} at most", measured.greatest_kl);
        tiles += &tile("Divergence", &measured.mean_kl.map_or("–".into(), |kl| format!("{kl:.5}")), &most);
        tiles += &tile("Logits", &decibels(measured.logits_db), "signal to noise");
    }
    if let Some(pixels) = &report.pixels {
        let of = format!("pixels of {} images<br>{:.2} % in the worst", count(pixels.images), pixels.least_percent);
        tiles += &tile("Same class as f32", &percent(Some(pixels.percent() / 100.0), 2), &of);
    }
    if let Some((layer, worst)) = report.worst() {
        let note = format!("rounded weights of<br>{}", name(&layer.report.name));
        tiles += &tile("Worst layer", &decibels(Some(worst)), &note);
    }
    let errors = report.agreement.as_ref().map_or(0, |measured| measured.errors);
    let errors = report.pixels.as_ref().map_or(errors, |pixels| pixels.errors);
    let warning = match errors {
        0 => String::new(),
        errors => {
            format!("<p class=\"warning\">{} images could not be read and are not included.</p>\n", count(errors))
        }
    };
    format!("<section aria-label=\"Summary\">\n<div class=\"tiles\">\n{tiles}</div>\n{warning}</section>\n")
}

fn decibels(value: Option<f64>) -> String {
    value.map_or("–".into(), |value| format!("{value:.1}&nbsp;dB"))
}

/// Width, height and margins of the chart.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 44.0;
const BOTTOM: f64 = 30.0;
const TOP: f64 = 12.0;

/// Signal to noise by layer.
fn chart(report: &QuantizeReport) -> String {
    let values = |of: fn(&Layer) -> Option<f64>| {
        report.layers.iter().map(of).enumerate().filter_map(|(at, value)| Some((at, value?))).collect::<Vec<_>>()
    };
    let (weights, maps) = (values(|layer| layer.report.weights_db), values(|layer| layer.map_db));
    let all = || weights.iter().chain(&maps).map(|(_, value)| *value);
    let most = (all().fold(10.0_f64, f64::max) / 10.0).ceil() * 10.0;
    let least = (all().fold(0.0_f64, f64::min) / 10.0).floor() * 10.0;
    let x = |at: usize| LEFT + (WIDTH - LEFT - 10.0) * (at as f64 + 0.5) / report.layers.len().max(1) as f64;
    let y = |value: f64| TOP + (HEIGHT - TOP - BOTTOM) * (most - value) / (most - least);
    let mut svg = String::new();
    let mut level = least;
    while level <= most {
        let at = y(level);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{level:.0}</text>",
            LEFT - 6.0,
            at + 4.0
        );
        level += 10.0;
    }
    for (class, points) in [("right", &weights), ("wrong", &maps)] {
        for &(at, value) in points {
            let layer = Text(&report.layers[at].report.name);
            let _ = write!(
                svg,
                "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"><title>{layer}: {value:.1} dB</title></circle>",
                x(at),
                y(value)
            );
        }
    }
    let _ = write!(
        svg,
        "<text x=\"{LEFT}\" y=\"{0}\">first layer</text><text class=\"end\" x=\"{WIDTH}\" y=\"{0}\">last layer</text>",
        HEIGHT - 8.0
    );
    let maps = match &report.agreement {
        Some(Measured { images_with_maps, .. }) => format!(
            "; <span class=\"wrong\">maps</span>, with the errors of all layers before, on {} images",
            count(*images_with_maps)
        ),
        None => String::new(),
    };
    format!(
        "<section>\n<h2>Signal to noise by layer</h2>\n<figure class=\"chart\">\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         role=\"img\" aria-label=\"Signal to noise in dB by layer\">{svg}</svg>\n<figcaption>In dB: <span \
         class=\"right\">rounded weights</span> alone, as expected{maps}. 6&nbsp;dB are one bit.</figcaption>\n</figure>\n\
         </section>\n"
    )
}

fn layers(report: &QuantizeReport) -> String {
    let rows: String = report.layers.iter().map(row).collect();
    format!(
        "<section>\n<h2>Layers</h2>\n<p>Range: the least and the greatest value that a channel of the map is meant to \
         hold. Spread: the widest range of a channel over the narrowest. Cut off: weights beyond their scale.</p>\n\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Layers\">\n<table>\n\
         <thead><tr><th>Layer</th><th class=\"wide\">Operation</th><th class=\"n wide\">Range</th>\
         <th class=\"n wide\">Spread</th><th class=\"n wide\">Zero</th><th class=\"n wide\">Cut off</th>\
         <th class=\"n\">Weights, dB</th><th class=\"n\">Map, dB</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n\
         </div>\n</section>\n"
    )
}

fn row(layer: &Layer) -> String {
    let Layer { report, map_db } = layer;
    let number = |value: Option<f64>| value.map_or("–".into(), |value| format!("{value:.1}"));
    let cut_off = match (report.integer, report.clipped) {
        (false, _) => "f32".into(),
        (true, 0) => "0".into(),
        (true, clipped) => format!("{} of {}", count(clipped), count(report.weights)),
    };
    let [low, high] = report.range.map(|value| format!("{value:.2}").replace('-', "−"));
    format!(
        "<tr><td>{}</td><td class=\"wide\">{}</td><td class=\"n wide\">{low} to {high}</td><td class=\"n wide\">{:.1}</td>\
         <td class=\"n wide\">{}</td><td class=\"n wide\">{cut_off}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n",
        name(&report.name),
        name(&report.op),
        report.spread,
        report.zero_point,
        number(report.weights_db),
        number(*map_db),
    )
}

fn settings(report: &QuantizeReport) -> String {
    let mut rows = vec![
        ("Model", format!("{}, {} classes", name(&report.model), count(report.classes))),
        ("Weights", name(&report.weights)),
        ("SHA-256", format!("<code>{}</code>", name(&report.sha256))),
        ("Ranges", name(&report.method)),
        ("Images measured", count(report.calibration_images)),
        ("Equalization", if report.equalized { "on" } else { "off" }.into()),
    ];
    if let Some(measured) = &report.agreement {
        rows.push(("Images compared", format!("{} of {}", count(measured.images), name(&measured.path))));
    }
    rows.push(("Written", name(&report.written)));
    let rows: String = rows.iter().map(|(term, value)| format!("<dt>{term}</dt><dd>{value}</dd>\n")).collect();
    format!("<section>\n<h2>Settings</h2>\n<dl>\n{rows}</dl>\n</section>\n")
}
