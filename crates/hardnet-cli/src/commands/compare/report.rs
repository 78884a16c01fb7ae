//! The result of a comparison, as JSON and for the table and the page.

use std::path::Path;

use hardnet_data::imagenet;
use hardnet_eval::compare::{
    Change, Choice, ClassGroup, Comparison, GroupCounts, MatchedRuns, PairedCounts, Predictions, RangeGroup, Verdict,
};
use hardnet_eval::{PredictedClass, RunRecord, ToolRecord};
use serde::Serialize;

use super::settings::{self, Setting};
use crate::format::counted;
use crate::report::{self, Share};

/// Output of `hardnet compare --json`. Field names are API.
#[derive(Debug, Serialize)]
pub(super) struct CompareReport {
    pub(super) schema_version: u32,
    pub(super) tool: ToolRecord,
    /// Images compared: those that all files have.
    pub(super) images: usize,
    /// Those of them that have a label.
    pub(super) labeled: usize,
    /// Those of them whose size is known.
    pub(super) with_size: usize,
    /// The files in the order of the command line. The first is the reference.
    pub(super) runs: Vec<Run>,
    /// Images with the same class in two runs, in the order of the runs.
    pub(super) agreement: Vec<Vec<usize>>,
    /// Each other run against the reference.
    pub(super) comparisons: Vec<Pair>,
    pub(super) notes: Vec<String>,
}

/// A file of predictions.
#[derive(Debug, Serialize)]
pub(super) struct Run {
    pub(super) file: String,
    /// Images in the file.
    pub(super) images: usize,
    pub(super) top1: Option<Share>,
    /// None unless the file has five classes for each image.
    pub(super) top5: Option<Share>,
    /// Weights and settings, if the file has them.
    pub(super) run: Option<RunRecord>,
}

/// A run against the reference.
#[derive(Debug, Serialize)]
pub(super) struct Pair {
    pub(super) reference: String,
    pub(super) file: String,
    /// Images with the same class.
    pub(super) agreement: Share,
    pub(super) top1: Option<Paired>,
    pub(super) top5: Option<Paired>,
    /// Images with different wrong classes.
    pub(super) both_wrong: usize,
    /// The settings that differ.
    pub(super) settings: Vec<Setting>,
    /// Classes, those first whose accuracy differs by most images.
    pub(super) classes: Vec<Class>,
    pub(super) short_sides: Vec<Range>,
    /// By width over height.
    pub(super) aspect_ratios: Vec<Range>,
    /// Images with different classes, those first of which both runs are surest.
    pub(super) changes: Vec<Changed>,
}

/// Labeled images by which of two runs is right.
#[derive(Debug, Serialize)]
pub(super) struct Paired {
    pub(super) both: usize,
    pub(super) only_reference: usize,
    pub(super) only_other: usize,
    pub(super) neither: usize,
    /// Percentage of the other run less that of the reference.
    pub(super) difference: f64,
    /// 95 % interval of the difference, by Tango's score.
    pub(super) ci95: (f64, f64),
    /// Of McNemar's exact test, two-sided.
    pub(super) p_value: f64,
}

/// The images of a group.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Counts {
    pub(super) images: usize,
    /// Those with different classes.
    pub(super) changed: usize,
    pub(super) only_reference: usize,
    pub(super) only_other: usize,
}

/// A class with its images.
#[derive(Debug, Serialize)]
pub(super) struct Class {
    pub(super) class: usize,
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) counts: Counts,
}

/// The images of a range of sizes, with its lower end and without the upper.
#[derive(Debug, Serialize)]
pub(super) struct Range {
    pub(super) from: f64,
    pub(super) to: Option<f64>,
    #[serde(flatten)]
    pub(super) counts: Counts,
}

/// An image with different classes.
#[derive(Debug, Serialize)]
pub(super) struct Changed {
    pub(super) path: String,
    pub(super) label: Option<usize>,
    /// Name of the label.
    pub(super) name: Option<String>,
    /// `lost`, `gained`, `both wrong` or `unlabeled`.
    pub(super) verdict: &'static str,
    pub(super) reference: PredictedClass,
    pub(super) other: PredictedClass,
    pub(super) width: Option<u32>,
    pub(super) height: Option<u32>,
}

/// Verdicts as they are written.
pub(super) const LOST: &str = "lost";
pub(super) const GAINED: &str = "gained";
pub(super) const UNLABELED: &str = "unlabeled";

impl CompareReport {
    pub(super) fn new(runs: &MatchedRuns) -> Self {
        let numbers = 0..runs.runs().len();
        let run = |number: usize| {
            let file = &runs.runs()[number];
            let top1 = runs.top1(number);
            Run {
                file: name(file),
                images: file.images().len(),
                top1: (top1.total > 0).then(|| top1.into()),
                top5: runs.top5(number).filter(|top5| top5.total > 0).map(Into::into),
                run: file.run().cloned(),
            }
        };
        let agreements = |first: usize| numbers.clone().map(|second| runs.agreement(first, second).correct).collect();
        let comparisons: Vec<_> = numbers.clone().skip(1).map(|other| runs.compare(0, other)).collect();
        Self {
            schema_version: 1,
            tool: report::tool(),
            images: runs.images(),
            labeled: runs.labeled(),
            with_size: runs.with_size(),
            agreement: numbers.clone().map(agreements).collect(),
            notes: notes(runs, &comparisons),
            comparisons: comparisons.iter().zip(1..).map(|(comparison, other)| pair(runs, comparison, other)).collect(),
            runs: numbers.map(run).collect(),
        }
    }
}

fn pair(runs: &MatchedRuns, comparison: &Comparison<'_>, other: usize) -> Pair {
    let [reference, file] = [0, other].map(|run| &runs.runs()[run]);
    let settings = reference.run().zip(file.run()).map(|(reference, other)| settings::differing(reference, other));
    let class = |group: &ClassGroup| Class {
        class: group.class,
        name: class_name(runs, group.class),
        counts: group.counts.into(),
    };
    let ranges = |groups: Vec<RangeGroup>| {
        let range = |group: RangeGroup| Range { from: group.from, to: group.to, counts: group.counts.into() };
        groups.into_iter().map(range).collect()
    };
    Pair {
        reference: name(reference),
        file: name(file),
        agreement: comparison.agreement().into(),
        top1: Paired::new(comparison.top1()),
        top5: comparison.top5().and_then(Paired::new),
        both_wrong: comparison.changes_with(Verdict::BothWrong).count(),
        settings: settings.unwrap_or_default(),
        classes: comparison.by_class().iter().map(class).collect(),
        short_sides: ranges(comparison.by_short_side()),
        aspect_ratios: ranges(comparison.by_aspect_ratio()),
        changes: comparison.changes().iter().map(|change| changed(runs, change)).collect(),
    }
}

fn changed(runs: &MatchedRuns, change: &Change<'_>) -> Changed {
    let hit = |choice: Choice| {
        let index = choice.class as usize;
        PredictedClass::new(index, class_name(runs, index), choice.probability)
    };
    let label = change.label.map(|label| label as usize);
    let (width, height) = change.size.unzip();
    Changed {
        path: change.name.into(),
        label,
        name: label.map(|label| class_name(runs, label)),
        verdict: match change.verdict() {
            Verdict::Lost => LOST,
            Verdict::Gained => GAINED,
            Verdict::BothWrong => "both wrong",
            Verdict::Unlabeled => UNLABELED,
        },
        reference: hit(change.first),
        other: hit(change.second),
        width,
        height,
    }
}

impl Paired {
    /// None without images.
    fn new(counts: PairedCounts) -> Option<Self> {
        let (difference, (low, high)) = counts.difference().zip(counts.interval95())?;
        let PairedCounts { both, only_first, only_second, neither, .. } = counts;
        Some(Self {
            both,
            only_reference: only_first,
            only_other: only_second,
            neither,
            difference: 100.0 * difference,
            ci95: (100.0 * low, 100.0 * high),
            p_value: counts.p_value(),
        })
    }
}

impl Counts {
    /// How many more images the other run gets right.
    pub(super) fn net(self) -> i64 {
        self.only_other as i64 - self.only_reference as i64
    }
}

impl From<GroupCounts> for Counts {
    fn from(counts: GroupCounts) -> Self {
        Self {
            images: counts.images,
            changed: counts.images - counts.same,
            only_reference: counts.top1.only_first,
            only_other: counts.top1.only_second,
        }
    }
}

/// Notes for the reader of the result.
fn notes(runs: &MatchedRuns, comparisons: &[Comparison<'_>]) -> Vec<String> {
    let mut notes = Vec::new();
    for run in runs.runs() {
        let (file, left_out) = (name(run), run.images().len() - runs.images());
        if left_out > 0 {
            notes.push(format!("{} of `{file}` left out, which other files do not have", counted(left_out, "image")));
        }
        if run.run().is_none() {
            notes.push(format!("`{file}` does not say which weights and settings it was made with"));
        }
        if run.has_other_runs() {
            notes.push(format!("`{file}` has lines of several runs; the settings are those of its first line"));
        }
    }
    let reference = &runs.runs()[0];
    for (other, comparison) in runs.runs()[1..].iter().zip(comparisons) {
        let files = format!("`{}` and `{}`", name(reference), name(other));
        if let Some((first, second)) = reference.run().zip(other.run()) {
            if first.weights.sha256 != second.weights.sha256 {
                notes.push(format!("{files} are of different weights"));
            }
            if (&first.data.data_dir, &first.data.list) != (&second.data.data_dir, &second.data.list) {
                let [first, second] = [first, second].map(data);
                notes.push(format!("{files} are of different data: {first}, and {second}"));
            }
        }
        if comparison.resized() > 0 {
            let images = counted(comparison.resized(), "image");
            let (first, second) = (name(reference), name(other));
            notes.push(format!(
                "{images} of another size in `{second}` than in `{first}`, as if only one run applied EXIF orientation"
            ));
        }
    }
    match (runs.labeled(), runs.images()) {
        (0, _) => notes.push("no image has a label, so accuracies are not compared".into()),
        (labeled, images) if labeled < images => {
            notes.push(format!("{labeled} of {images} images have a label; accuracies are of these"));
        }
        _ => {}
    }
    match (runs.with_size(), runs.images()) {
        (0, _) => notes.push("no file has sizes of images, so differences by size are not known".into()),
        (known, images) if known < images => notes.push(format!("{known} of {images} images have a known size")),
        _ => {}
    }
    notes
}

/// Folder and list of a run.
fn data(run: &RunRecord) -> String {
    let given = [&run.data.data_dir, &run.data.list].into_iter().flatten();
    let given: Vec<_> = given.map(|path| format!("`{path}`")).collect();
    if given.is_empty() { "single images".into() } else { given.join(" with ") }
}

fn name(run: &Predictions) -> String {
    run.path().display().to_string()
}

fn class_name(runs: &MatchedRuns, class: usize) -> String {
    runs.class_name(class).map_or_else(|| format!("class {class}"), Into::into)
}

/// A class's name without the synonyms that ImageNet's names have.
pub(super) fn short_name(class: usize, name: &str) -> &str {
    let is_imagenets = imagenet::classes().get(class).is_some_and(|class| class.name == name);
    name.split_once(", ").filter(|_| is_imagenets).map_or(name, |(first, _)| first)
}

/// The names of the files that tell them apart: without folders, if they differ.
pub(super) fn short_files(report: &CompareReport) -> Vec<String> {
    let file = |run: &Run| Path::new(&run.file).file_name().map(|name| name.to_string_lossy().into_owned());
    let short: Option<Vec<_>> = report.runs.iter().map(file).collect();
    let mut unique = short.clone().unwrap_or_default();
    unique.sort();
    unique.dedup();
    match short {
        Some(short) if unique.len() == short.len() => short,
        _ => report.runs.iter().map(|run| run.file.clone()).collect(),
    }
}

/// A p-value for people.
pub(super) fn p_value(p: f64) -> String {
    match p {
        0.0 => "p < 1e-307".into(),
        p if p < 0.001 => format!("p = {p:.1e}"),
        p => format!("p = {p:.3}"),
    }
}
