//! `--shard`: one process of several that share the images, and what a shard says of itself for `hardnet merge`.

use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use clap::Args;
use hardnet_base::sha256;
use hardnet_data::{Launcher, LauncherError, Sample, Shard, WebDataset};
use hardnet_eval::RunRecord;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Result};
use crate::model::{ModelArgs, WeightsOrigin};
use crate::printer::Printer;
use crate::tars::Stream;

/// Bytes of names that are digested together.
const TOGETHER: usize = 1 << 20;

/// Options of a shard.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct ShardArgs {
    /// Compute part K of N of the images, K from 0; `hardnet merge` makes one result of all parts. `auto` takes both
    /// numbers from the launcher: Slurm, torchrun, Open MPI, MPICH; `auto/N` also from a Kubernetes Indexed Job
    #[arg(long, value_name = "K/N")]
    shard: Option<ShardChoice>,
}

/// `--shard`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ShardChoice {
    Given(Shard),
    /// By the variables of a launcher, or of all, with the number of shards if it is given.
    Launched(Option<Launcher>, Option<usize>),
}

/// The images of this process.
pub(crate) struct Part {
    pub(crate) samples: Arc<Vec<Sample>>,
    /// Number of images of all processes together.
    pub(crate) total: usize,
    pub(crate) shard: Option<ShardRecord>,
    /// Images that are not known before they are read.
    pub(crate) stream: Option<Stream>,
}

/// A shard and all that its numbers depend on, besides what a result says in any case. Field names are API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ShardRecord {
    /// The number of the shard, from 0.
    pub(crate) index: usize,
    /// The number of shards.
    pub(crate) count: usize,
    /// Number of tar files, if the images are in those of webdataset.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) tars: Option<usize>,
    /// Its first image, or tar file, as a number from 0 among those of all shards.
    pub(crate) first: usize,
    /// The image, or tar file, after its last one.
    pub(crate) end: usize,
    /// SHA-256 of the names and labels of all images, in their order; or of the names of the tar files.
    pub(crate) images_sha256: String,
    pub(crate) settings: ShardSettings,
}

/// Settings that change results in their last bits, or their form.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ShardSettings {
    pub(crate) engine: String,
    pub(crate) device: String,
    pub(crate) isa: String,
    pub(crate) batch_size: usize,
    pub(crate) batch_invariant: bool,
    /// `--precision`, if it is given.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) precision: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) weights_entry: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub(crate) weights_prefix: String,
    /// The form of the output, in words.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub(crate) output: String,
    /// SHA-256 of the names of the classes.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub(crate) classes_sha256: String,
}

/// The last line of a shard's JSON lines, and the file next to its array. Field names are API.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ShardEnd {
    pub(crate) shard: ShardRecord,
    /// Lines before this one, or rows of the array.
    pub(crate) rows: usize,
    /// Images that could not be read and have none.
    pub(crate) errors: usize,
    /// Extents of a row of the array.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) shape: Option<Vec<usize>>,
    /// Whether rows of the array have labels.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) labeled: Option<bool>,
    /// Whether the run was stopped before its last image.
    pub(crate) partial: bool,
    pub(crate) run: RunRecord,
}

impl ShardArgs {
    /// The shard of this process, if there are several.
    pub(crate) fn resolve(&self) -> Result<Option<Shard>> {
        let Some(choice) = self.shard else { return Ok(None) };
        match choice {
            ShardChoice::Given(shard) => Ok(Some(shard)),
            ShardChoice::Launched(launcher, count) => {
                let variable = |name: &str| crate::knobs::launcher_variable(name);
                let found = match launcher {
                    Some(launcher) => launcher.shard(variable, count),
                    None => Launcher::detect(variable, count),
                };
                found.map(Some).map_err(with_remedy)
            }
        }
    }
}

/// Adds what to pass instead.
fn with_remedy(error: LauncherError) -> Failure {
    let hint = match &error {
        LauncherError::NoSize { .. } => "pass it: --shard auto/N".into(),
        LauncherError::OneJob { id } => {
            format!("to run a shard again, pass its number and theirs: --shard {id}/N; or `scontrol requeue` the job")
        }
        LauncherError::Contradiction { .. } => {
            let names = Launcher::ALL.map(Launcher::name).join(", ");
            format!("name the launcher that counts: --shard LAUNCHER with one of {names}; or pass --shard K/N")
        }
        _ => "pass the number of this shard and theirs: --shard K/N, with K from 0".into(),
    };
    Failure::from(error).hint(hint)
}

impl FromStr for ShardChoice {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (name, count) = text.split_once('/').map_or((text, None), |(name, count)| (name, Some(count)));
        let launcher = match name {
            "auto" => None,
            name => match name.parse::<Launcher>() {
                Ok(launcher) => Some(launcher),
                Err(launchers) if count.is_none() => {
                    return Err(format!(
                        "expected K/N such as 0/4, auto, auto/N or the name of a launcher: {launchers}"
                    ));
                }
                Err(_) => {
                    return text.parse().map(Self::Given).map_err(|error: hardnet_data::ShardError| error.to_string());
                }
            },
        };
        let number = |text: &str| text.parse().ok().filter(|count| *count > 0);
        match count {
            None => Ok(Self::Launched(launcher, None)),
            Some(text) => match number(text) {
                Some(count) => Ok(Self::Launched(launcher, Some(count))),
                None => Err(format!("`{text}` is not a number of shards, expected at least 1")),
            },
        }
    }
}

impl Part {
    /// The images of `shard`, or all of them without one; `settings` are what its numbers depend on.
    pub(crate) fn new(
        samples: Vec<Sample>,
        shard: Option<Shard>,
        settings: impl FnOnce() -> Result<ShardSettings>,
        printer: &Printer,
    ) -> Result<Self> {
        let total = samples.len();
        let Some(shard) = shard else {
            return Ok(Self { samples: Arc::new(samples), total, shard: None, stream: None });
        };
        let record = ShardRecord::new(shard, &samples, settings()?);
        record.tell(total, printer);
        let own = samples[record.first..record.end].to_vec();
        Ok(Self { samples: Arc::new(own), total, shard: Some(record), stream: None })
    }

    /// The tar files of `shard`, or all of them without one.
    pub(crate) fn of_tars(
        dataset: WebDataset,
        shard: Option<Shard>,
        settings: impl FnOnce() -> Result<ShardSettings>,
        printer: &Printer,
    ) -> Result<Self> {
        let (stream, shard) = Stream::of_shard(dataset, shard, settings, printer)?;
        Ok(Self { samples: Arc::default(), total: 0, shard, stream: Some(stream) })
    }
}

impl ShardRecord {
    /// Whether it may have so many images; that of tar files is not known before.
    pub(crate) fn has_images(&self, images: Option<usize>) -> bool {
        images.is_some() && (self.tars.is_some() || images == self.end.checked_sub(self.first))
    }

    /// The record of `shard` of `samples`.
    pub(crate) fn new(shard: Shard, samples: &[Sample], settings: ShardSettings) -> Self {
        let label = |sample: &Sample| sample.label().map_or(String::new(), |label| label.to_string());
        Self::of_names(shard, samples.iter().map(|sample| format!("{}\t{}", sample.name(), label(sample))), settings)
    }

    /// The record of `shard` of tar files with these names, which has those of the range `own`.
    pub(crate) fn of_tars(
        shard: Shard,
        names: impl ExactSizeIterator<Item = String>,
        own: &Range<usize>,
        settings: ShardSettings,
    ) -> Self {
        Self {
            index: shard.index(),
            count: shard.count(),
            tars: Some(names.len()),
            first: own.start,
            end: own.end,
            images_sha256: digest(names.map(|name| name + "\n")),
            settings,
        }
    }

    /// The record of `shard` of the images with these names.
    pub(crate) fn of_names(
        shard: Shard,
        names: impl ExactSizeIterator<Item = String>,
        settings: ShardSettings,
    ) -> Self {
        // The logits of an image may depend on the size of its batch, unless they are asked not to.
        let unit = if settings.batch_invariant { 1 } else { settings.batch_size };
        let range = shard.range(names.len(), unit);
        Self {
            index: shard.index(),
            count: shard.count(),
            tars: None,
            first: range.start,
            end: range.end,
            images_sha256: digest(names.map(|name| name + "\n")),
            settings,
        }
    }

    /// Says which of `total` images they are.
    pub(crate) fn tell(&self, total: usize, printer: &Printer) {
        let Self { index, count, first, end, .. } = self;
        printer.note(format_args!("shard {index}/{count}: {} of {total} images, from number {first}", end - first));
    }
}

impl ShardSettings {
    /// The settings of the options of a model, whose output has the form `output` and whose classes have these names.
    pub(crate) fn new(
        args: &ModelArgs,
        weights: &WeightsOrigin,
        (engine, device): (&str, &str),
        batch_size: usize,
        output: String,
        classes: impl IntoIterator<Item = String>,
    ) -> Result<Self> {
        Ok(Self {
            engine: engine.into(),
            device: device.into(),
            isa: crate::knobs::isa()?.to_string(),
            batch_size,
            // Only the native engine can.
            batch_invariant: args.batch_invariant() && engine == "native",
            precision: args.precision().map(|precision| precision.to_string()),
            weights_entry: weights.wrapper.clone(),
            weights_prefix: weights.prefix.clone(),
            output,
            classes_sha256: digest(classes.into_iter().map(|name| name + "\n")),
        })
    }
}

/// SHA-256 of texts, some of them at a time.
fn digest(texts: impl IntoIterator<Item = String>) -> String {
    let mut bytes = Vec::new();
    for text in texts {
        bytes.extend(text.into_bytes());
        if bytes.len() >= TOGETHER {
            bytes = sha256(&bytes).into_bytes();
        }
    }
    sha256(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_given_or_launched() {
        let launched = |launcher, count| Ok(ShardChoice::Launched(launcher, count));
        let cases = [
            ("1/4", Ok(ShardChoice::Given(Shard::new(1, 4).unwrap()))),
            ("auto", launched(None, None)),
            ("auto/4", launched(None, Some(4))),
            ("open-mpi", launched(Some(Launcher::OpenMpi), None)),
            ("kubernetes/3", launched(Some(Launcher::Kubernetes), Some(3))),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse(), expected, "{text}");
        }
        for (text, message) in [
            ("4/4", "numbered from 0 to 3"),
            ("auto/0", "`0` is not a number of shards"),
            ("auto/x", "`x` is not a number of shards"),
            ("4", "expected K/N such as 0/4, auto, auto/N or the name of a launcher: one of slurm-array"),
            ("pbs/4", "`pbs/4` is not a shard"),
        ] {
            let error = text.parse::<ShardChoice>().unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn the_digest_is_of_all_texts_in_their_order() {
        let texts = |count: usize| (0..count).map(|number| number.to_string());
        assert_eq!(digest(texts(10)), sha256(b"0123456789"));
        let many = digest(texts(300_000));
        assert_ne!(many, digest(texts(300_001)));
        assert_eq!(many, digest(texts(300_000)));
    }
}
