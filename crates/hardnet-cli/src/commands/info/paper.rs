//! `hardnet info --paper`: Table 4 of the paper, computed and printed numbers side by side.

use std::fmt::Write;

use hardnet_complexity::paper::{Comparison, HARDNET_85, IMAGE_SIDE, PaperRow, Quantity, TABLE_4, compare};
use hardnet_complexity::rank_correlation;
use serde::Serialize;

use super::Format;
use crate::failure::Result;

/// A row of the table with the computed numbers. Field names are API.
#[derive(Serialize)]
struct ComparedRow {
    model: &'static str,
    /// Name for `hardnet info`; `None` if the paper does not define the network.
    network: Option<&'static str>,
    /// Whether the row is from the paper's table and not from the authors' repository.
    in_table: bool,
    parameters: Figure,
    macs: Figure,
    cio: Figure,
    gpu_ms: Option<f64>,
    nano_ms: Option<f64>,
    top1: f64,
}

/// A computed number and the printed one.
#[derive(Serialize)]
struct Figure {
    computed: Option<u64>,
    /// As printed: parameters and CIO in millions, MACs in billions.
    printed: Option<&'static str>,
    /// Whether the computed figure rounds to the printed one.
    agrees: Option<bool>,
    /// Value by the paper's convention, if it differs.
    as_counted: Option<u64>,
    reasons: Vec<&'static str>,
    #[serde(skip)]
    unit: f64,
}

/// The document. Field names are API.
#[derive(Serialize)]
struct Document {
    schema_version: u32,
    img_size: usize,
    rows: Vec<ComparedRow>,
    rank_correlation_with_gpu_ms: Ranks,
}

/// Spearman's rank correlation of the printed numbers with the printed GPU time, over the rows of the table.
#[derive(Serialize)]
struct Ranks {
    networks: usize,
    parameters: Option<f64>,
    macs: Option<f64>,
    cio: Option<f64>,
}

pub(super) fn text(format: Format) -> Result<String> {
    let mut rows = TABLE_4.iter().map(|row| compared(row, true)).collect::<Result<Vec<_>>>()?;
    rows.push(compared(&HARDNET_85, false)?);
    let document =
        Document { schema_version: 1, img_size: IMAGE_SIDE, rank_correlation_with_gpu_ms: ranks(&rows), rows };
    match format {
        Format::Json => Ok(serde_json::to_string_pretty(&document)?),
        Format::Csv => csv(&document),
        Format::Table => table(&document),
    }
}

fn compared(row: &PaperRow, in_table: bool) -> Result<ComparedRow> {
    Ok(ComparedRow {
        model: row.model,
        network: row.network,
        in_table,
        parameters: figure(row, Quantity::Params, row.params.map(|printed| printed.text))?,
        macs: figure(row, Quantity::Macs, row.macs.map(|printed| printed.text))?,
        cio: figure(row, Quantity::Cio, row.cio.map(|printed| printed.text))?,
        gpu_ms: row.gpu_ms,
        nano_ms: row.nano_ms,
        top1: row.top1,
    })
}

fn figure(row: &PaperRow, quantity: Quantity, printed: Option<&'static str>) -> Result<Figure> {
    let unit = quantity.unit();
    let Some(comparison) = compare(row, quantity)? else {
        return Ok(Figure {
            computed: None,
            printed,
            agrees: None,
            as_counted: None,
            reasons: vec![
                "cannot be computed: the paper does not say where its bottlenecks are, and no code was found",
            ],
            unit,
        });
    };
    let Comparison { computed, as_counted, agrees, printed: found, .. } = comparison;
    let known = found.map_or(&[][..], |printed| printed.reasons);
    Ok(Figure {
        computed: Some(computed),
        printed,
        agrees: printed.map(|_| agrees),
        as_counted: (!known.is_empty()).then_some(as_counted),
        reasons: known.iter().map(|reason| reason.text()).collect(),
        unit,
    })
}

fn ranks(rows: &[ComparedRow]) -> Ranks {
    let rows: Vec<&ComparedRow> = rows.iter().filter(|row| row.in_table).collect();
    let column =
        |value: fn(&ComparedRow) -> Option<f64>| rows.iter().filter_map(|row| value(row)).collect::<Vec<f64>>();
    let ms = column(|row| row.gpu_ms);
    let with_time = |value: fn(&ComparedRow) -> Option<f64>| rank_correlation(&column(value), &ms);
    Ranks {
        networks: ms.len(),
        parameters: with_time(|row| row.parameters.printed?.parse().ok()),
        macs: with_time(|row| row.macs.printed?.parse().ok()),
        cio: with_time(|row| row.cio.printed?.parse().ok()),
    }
}

fn csv(document: &Document) -> Result<String> {
    let mut text = String::from("model,network");
    for name in ["parameters", "macs", "cio"] {
        write!(text, ",{name},{name}_printed,{name}_as_counted")?;
    }
    text.push_str(",gpu_ms,nano_ms,top1\n");
    for row in &document.rows {
        write!(text, "{},{}", row.model, row.network.unwrap_or_default())?;
        let number = |value: Option<u64>| value.map_or(String::new(), |value| value.to_string());
        for figure in [&row.parameters, &row.macs, &row.cio] {
            let printed = figure.printed.unwrap_or_default();
            write!(text, ",{},{printed},{}", number(figure.computed), number(figure.as_counted))?;
        }
        let ms = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
        writeln!(text, ",{},{},{}", ms(row.gpu_ms), ms(row.nano_ms), row.top1)?;
    }
    Ok(text)
}

fn table(document: &Document) -> Result<String> {
    let mut text = format!(
        "Table 4 of the paper, computed | printed, for one image of {IMAGE_SIDE}x{IMAGE_SIDE} pixels\n\n{:<17} {:>20} {:>20} {:>20} {:>8} {:>8} {:>6}\n",
        "network", "parameters M    ", "MACs G    ", "CIO M    ", "GPU ms", "Nano ms", "top-1"
    );
    // Each combination of reasons has one note, numbered in the order of the table.
    let mut notes: Vec<(&Vec<&'static str>, Vec<String>)> = Vec::new();
    for row in &document.rows {
        write!(text, "{:<17}", row.model)?;
        for (name, figure, width) in
            [("parameters", &row.parameters, 21), ("MACs", &row.macs, 21), ("CIO", &row.cio, 21)]
        {
            let computed = figure.computed.map_or("-".into(), |value| format!("{:.3}", value as f64 / figure.unit));
            let printed = figure.printed.unwrap_or("-");
            let mark = if figure.reasons.is_empty() {
                String::new()
            } else {
                let at = notes.iter().position(|(reasons, _)| **reasons == figure.reasons).unwrap_or_else(|| {
                    notes.push((&figure.reasons, vec![]));
                    notes.len() - 1
                });
                if let Some(value) = figure.as_counted {
                    notes[at].1.push(format!("{} {name} {:.3}", row.model, value as f64 / figure.unit));
                } else if notes[at].1.last().map(String::as_str) != Some(row.model) {
                    notes[at].1.push(row.model.into());
                }
                format!("[{}]", at + 1)
            };
            write!(text, " {:>width$}", format!("{computed} | {printed:>4} {mark:<4}"), width = width - 1)?;
        }
        let ms = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.1}"));
        writeln!(text, " {:>8} {:>8} {:>6.1}", ms(row.gpu_ms), ms(row.nano_ms), row.top1)?;
    }
    text.push_str("\nWhy a printed number differs, and its value by that convention (the paper does not state these conventions):\n");
    for (at, (reasons, figures)) in notes.iter().enumerate() {
        writeln!(text, "[{}] {}\n    {}", at + 1, reasons.join(", and "), figures.join("; "))?;
    }
    let Ranks { networks, parameters, macs, cio } = &document.rank_correlation_with_gpu_ms;
    let number = |value: &Option<f64>| value.map_or("-".into(), |value| format!("{value:.2}"));
    writeln!(
        text,
        "\nRank correlation of the printed numbers with the printed GPU time over {networks} networks: CIO {}, MACs {}, parameters {}.",
        number(cio),
        number(macs),
        number(parameters)
    )?;
    text.push_str("GPU: GTX 1080, PyTorch 1.1.0, 1024x1024 pixels. Nano: Jetson Nano, TensorRT, 320x320. HarDNet-85 is in the authors' repository only.\n");
    Ok(text)
}
