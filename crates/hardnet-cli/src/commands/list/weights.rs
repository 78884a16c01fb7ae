//! `hardnet list --weights`.

use hardnet_weights::{PublishedAccuracy, PublishedMiou, RegistryEntry, registry};
use serde::Serialize;

use crate::failure::{Exit, Result};
use crate::format::megabytes;
use crate::printer::Printer;
use crate::weights::cached;

/// A set of published weights. Field names are API.
#[derive(Serialize)]
struct WeightsRow {
    tag: &'static str,
    model: &'static str,
    classes: usize,
    tensor_bytes: u64,
    #[serde(rename = "licence")]
    license: &'static str,
    pipeline: &'static str,
    /// Dataset of the accuracies.
    images: &'static str,
    published: Vec<Accuracy>,
    /// Of segmentation networks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    published_miou: Vec<Miou>,
    sources: Vec<Source>,
    /// Whether the program embeds them.
    bundled: bool,
    /// Path of the cached file.
    cached: Option<String>,
    /// How the file was verified when it was downloaded.
    check: Option<&'static str>,
}

#[derive(Serialize)]
struct Accuracy {
    top1: f64,
    top5: Option<f64>,
    /// The pipeline that measures it again; "in the file" for the one in the file's metadata.
    pipeline: &'static str,
    preprocessing: &'static str,
    source: &'static str,
}

#[derive(Serialize)]
struct Miou {
    miou: f64,
    /// The preprocessing that measures it again.
    pipeline: &'static str,
    preprocessing: &'static str,
    source: &'static str,
}

#[derive(Serialize)]
struct Source {
    address: &'static str,
    hash: Option<String>,
    tried: bool,
}

pub(crate) fn run(json: bool, printer: &Printer) -> Result<Exit> {
    let rows: Vec<WeightsRow> = registry().iter().map(row).collect();
    if json {
        printer.json(&rows)?;
        return Ok(Exit::Success);
    }
    printer
        .line("tag                                    size   published top-1   by pipeline    license       cached")?;
    for row in &rows {
        let top1 = row.published.iter().map(|accuracy| (format!("{:.2} %", accuracy.top1), accuracy.pipeline));
        let miou =
            row.published_miou.iter().map(|published| (format!("{:.2} % mIoU", published.miou), published.pipeline));
        let mut published = top1.chain(miou);
        let (top1, pipeline) = published.next().unwrap_or(("-".into(), "-"));
        let size = megabytes(row.tensor_bytes);
        let cached = match (&row.cached, row.check) {
            _ if row.bundled => "bundled",
            (Some(_), Some(check)) => check,
            _ if row.sources.is_empty() => "no public source",
            _ => "-",
        };
        let license = row.license;
        printer
            .line(format_args!("{:<34} {size:>8} {top1:>17}   {pipeline:<12}   {license:<12}  {cached}", row.tag))?;
        for (top1, pipeline) in published {
            printer.line(format_args!("{:43} {top1:>17}   {pipeline}", ""))?;
        }
    }
    printer.note(
        "\nPublished top-1: ImageNet validation set; Fashion-MNIST test set for the bundled weights; mean IoU on Cityscapes for segmentation. --json adds top-5, preprocessing and sources; `hardnet eval --pipeline published` measures them again.",
    );
    Ok(Exit::Success)
}

fn row(entry: &'static RegistryEntry) -> WeightsRow {
    let (cached, check) = cached(entry).unzip();
    let accuracy = |published: &'static PublishedAccuracy| Accuracy {
        top1: published.top1,
        top5: published.top5,
        pipeline: published.pipeline.as_str(),
        preprocessing: &published.preprocessing,
        source: &published.source,
    };
    let miou = |published: &'static PublishedMiou| Miou {
        miou: published.miou,
        pipeline: published.pipeline.as_str(),
        preprocessing: &published.preprocessing,
        source: &published.source,
    };
    let sources = entry.sources.iter().map(|source| Source {
        address: &source.url,
        hash: source.hash.as_ref().map(ToString::to_string),
        tried: source.tried,
    });
    WeightsRow {
        tag: &entry.tag,
        model: &entry.config,
        classes: entry.classes,
        tensor_bytes: entry.size,
        license: &entry.license,
        pipeline: entry.pipeline.as_str(),
        images: &entry.images,
        published: entry.published.iter().map(accuracy).collect(),
        published_miou: entry.published_miou.iter().map(miou).collect(),
        sources: sources.collect(),
        bundled: entry.bundled,
        cached: cached.map(|path| path.display().to_string()),
        check: check.flatten(),
    }
}

#[cfg(test)]
mod tests {
    use hardnet_data::Pipeline;
    use hardnet_weights::RegisteredPipeline;

    use super::*;

    #[test]
    fn every_entry_names_a_pipeline_that_can_be_run() {
        for entry in registry() {
            let of_published = entry.published.iter().map(|accuracy| &accuracy.pipeline);
            for pipeline in of_published.chain([&entry.pipeline]) {
                match pipeline {
                    RegisteredPipeline::Named(name) => {
                        let names = Pipeline::NAMES.iter().chain(&["fchardnet", "paddleseg"]);
                        assert!(names.copied().any(|known| known == name), "{}", entry.tag)
                    }
                    other => assert!(entry.bundled && *other == RegisteredPipeline::InFile, "{}", entry.tag),
                }
            }
        }
    }
}
