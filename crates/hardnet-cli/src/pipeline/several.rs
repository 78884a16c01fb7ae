//! Several pipelines for one pass over the images: `eval --pipeline a,b` and `eval --pipeline published`.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use hardnet_data::Pipeline;
use hardnet_model::Config;
use hardnet_segmentation::Protocol;
use hardnet_weights::{PublishedAccuracy, RegisteredPipeline, RegistryEntry};

use super::{GIVEN, PipelineChanges, announce, default_pipeline, named, names, own_name};
use crate::failure::{Failure, Result};
use crate::printer::Printer;

/// Stands for the pipelines of all published accuracies of the weights.
const PUBLISHED: &str = "published";

/// Options of the preprocessing by one pipeline or several.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Preprocessing")]
pub(crate) struct PipelinesArgs {
    /// Preprocessing pipelines, several of them separated by commas: pil-bilinear (PyTorch), pil-bicubic (the Paddle
    /// notebook), paddleclas, paddle-cv2 (the notebook's other backend), or published, which stands for those of the
    /// weights' published accuracies and compares with these; for segmentation networks fchardnet or paddleseg
    /// [default: from the weights]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = PossibleValuesParser::new(all_names()))]
    pipeline: Vec<String>,
    #[command(flatten)]
    changes: PipelineChanges,
}

/// A pipeline of an evaluation.
#[derive(Clone, Debug)]
pub(crate) struct ChosenPipeline {
    /// Name as it was given, or that of a published accuracy.
    pub(crate) name: String,
    pub(crate) pipeline: Pipeline,
    /// The accuracies that were published for it.
    pub(crate) published: Vec<&'static PublishedAccuracy>,
}

/// The path of a file of the pipeline `name`, of several: `path` with the name before its extension.
pub(crate) fn path_of_pipeline(name: &str, path: &Path) -> PathBuf {
    let name = name.replace(' ', "-");
    match path.extension() {
        Some(extension) => {
            let mut ending = std::ffi::OsString::from(name + ".");
            ending.push(extension);
            path.with_extension(ending)
        }
        None => path.with_extension(name),
    }
}

/// The pipelines chosen so far, each with the reasons for it.
#[derive(Default)]
struct Choice(Vec<(ChosenPipeline, Vec<&'static str>)>);

impl Choice {
    /// Adds a pipeline, or returns the one that is the same.
    fn add(&mut self, name: &str, pipeline: Pipeline, reasons: Vec<&'static str>) -> (bool, &mut ChosenPipeline) {
        let known = self.0.iter().position(|(chosen, _)| chosen.pipeline == pipeline);
        let index = known.unwrap_or_else(|| {
            self.0.push((ChosenPipeline { name: name.into(), pipeline, published: Vec::new() }, reasons));
            self.0.len() - 1
        });
        (known.is_none(), &mut self.0[index].0)
    }
}

impl PipelinesArgs {
    /// The name of the only pipeline, for a segmentation network; `None` without one.
    pub(crate) fn single_name(&self) -> Result<Option<&str>> {
        if let Some(option) = self.changes.first_given() {
            return Err(Failure::message(format!("{option} is for classifiers"))
                .hint("pass --input-size WIDTHxHEIGHT for another size"));
        }
        match &self.pipeline[..] {
            [] => Ok(None),
            [name] => Ok(Some(name)),
            _ => Err(Failure::message("segmentation networks are evaluated with one pipeline at a time")),
        }
    }

    /// Whether results are compared with published ones.
    pub(crate) fn asks_for_published(&self) -> bool {
        self.pipeline.iter().any(|name| name == PUBLISHED)
    }

    /// Chooses the pipelines, at least one, and prints each choice with its reasons. `of_file` is the pipeline in the
    /// weights file, `weights` its name and `entry` what the registry says of these weights, if it knows them.
    pub(crate) fn resolve(
        &self,
        config: &Config,
        of_file: Option<&serde_json::Value>,
        (weights, entry): (&str, Option<&'static RegistryEntry>),
        printer: &Printer,
    ) -> Result<Vec<ChosenPipeline>> {
        let mut choice = Choice::default();
        if self.pipeline.is_empty() {
            let (pipeline, why) = default_pipeline(Some(config), of_file)?;
            let (pipeline, reasons) = self.changes.apply(pipeline, why)?;
            choice.add(pipeline.name().unwrap_or("custom"), pipeline.clone(), reasons);
        }
        for name in &self.pipeline {
            if name == PUBLISHED {
                self.add_published(&mut choice, config, of_file, (weights, entry))?;
                continue;
            }
            let (pipeline, reasons) = self.changes.apply(named(name)?, GIVEN)?;
            let (is_new, same) = choice.add(name, pipeline, reasons);
            if !is_new && same.published.is_empty() {
                let name = if same.name == *name { "twice".into() } else { format!("again, as `{name}`") };
                return Err(Failure::message(format!("`--pipeline` names `{}` {name}", same.name)));
            }
        }
        for (chosen, reasons) in &choice.0 {
            // One pipeline is told as in the other commands.
            let name = if choice.0.len() > 1 { chosen.name.as_str() } else { own_name(&chosen.pipeline) };
            announce(name, &chosen.pipeline, reasons, printer);
        }
        let chosen: Vec<_> = choice.0.into_iter().map(|(chosen, _)| chosen).collect();
        check_sizes(&chosen)?;
        if of_file.is_some() && self.changes.img_size.is_none() {
            let (own, side) = (default_pipeline(Some(config), of_file)?.0.crop, chosen[0].pipeline.crop);
            if own != side {
                printer.warn(format_args!(
                    "the weights were made for images of {own} pixels, not of {side}; pass --img-size {own} to keep that \
                     size"
                ));
            }
        }
        Ok(chosen)
    }

    /// Adds the pipelines of all published accuracies of the weights.
    fn add_published(
        &self,
        choice: &mut Choice,
        config: &Config,
        of_file: Option<&serde_json::Value>,
        (weights, entry): (&str, Option<&'static RegistryEntry>),
    ) -> Result<()> {
        if let Some(option) = self.changes.first_given() {
            return Err(Failure::message(format!(
                "`{option}` changes the pipelines that accuracies were published for"
            ))
            .hint(format!("drop {option}, or name the pipelines: --pipeline pil-bilinear,paddleclas")));
        }
        let rows = entry.map_or(&[][..], |entry| &entry.published);
        if rows.is_empty() {
            return Err(Failure::message(format!("no published accuracies are known of `{weights}`")).hint(
                "pass --weights with a tag listed by `hardnet list --weights`, or name the pipelines: --pipeline \
                 pil-bilinear,paddleclas",
            ));
        }
        for accuracy in rows {
            let pipeline = match &accuracy.pipeline {
                RegisteredPipeline::Named(name) => name.parse()?,
                _ => default_pipeline(Some(config), of_file)?.0,
            };
            choice.add(accuracy.pipeline.as_str(), pipeline, vec![PUBLISHED]).1.published.push(accuracy);
        }
        Ok(())
    }
}

/// Returns an error if pipelines make images of different sizes, as a network is built for one.
fn check_sizes(chosen: &[ChosenPipeline]) -> Result<()> {
    let first = &chosen[0];
    match chosen.iter().find(|other| other.pipeline.crop != first.pipeline.crop) {
        Some(other) => Err(Failure::message(format!(
            "the pipelines make images of different sizes: `{}` of {} pixels, `{}` of {}",
            first.name, first.pipeline.crop, other.name, other.pipeline.crop
        ))
        .hint("pass --img-size, or evaluate with one after the other")),
        None => Ok(()),
    }
}

/// The names of pipelines and what else can be given.
fn all_names() -> impl Iterator<Item = PossibleValue> {
    names().chain([PUBLISHED].into_iter().chain(Protocol::NAMES).map(PossibleValue::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_the_name_of_the_pipeline_before_their_extension() {
        for (path, expected) in [
            ("a/p.jsonl", "a/p.paddleclas.jsonl"),
            ("p.tar.jsonl", "p.tar.paddleclas.jsonl"),
            ("p", "p.paddleclas"),
            ("a.b/p", "a.b/p.paddleclas"),
        ] {
            assert_eq!(path_of_pipeline("paddleclas", Path::new(path)), Path::new(expected));
        }
        assert_eq!(path_of_pipeline("in the file", Path::new("p.csv")), Path::new("p.in-the-file.csv"));
    }
}
