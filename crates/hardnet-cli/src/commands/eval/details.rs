//! The data in a shard's result from which `hardnet merge` writes the table of classes and the report.

use hardnet_classifier::Labels;
use serde::{Deserialize, Serialize};

use super::page::PageParts;
use super::per_class::ClassCounts;
use crate::report::EvalReport;

/// The most classes that a result is believed to have.
const MAX_CLASSES: usize = 1 << 20;

/// The data that a shard stores for `--per-class` and `--report`. Field names are API.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Details {
    /// Name of the pipeline, which files of several have in their names.
    pub(crate) pipeline: String,
    /// Number of classes.
    classes: usize,
    /// Their names, unless they are those that their number suggests.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    names: Option<Vec<String>>,
    /// Of `--per-class`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) per_class: Option<ClassCounts>,
    /// Of `--report`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) page: Option<PageParts>,
}

impl Details {
    pub(super) fn new(
        pipeline: &str,
        labels: &Labels,
        per_class: Option<ClassCounts>,
        page: Option<PageParts>,
    ) -> Self {
        let is_listed = labels.has_names() && !labels.is_imagenet();
        let names = is_listed.then(|| (0..labels.len()).map(|class| labels.name(class).into_owned()).collect());
        Self { pipeline: pipeline.into(), classes: labels.len(), names, per_class, page }
    }

    /// The names of the classes.
    pub(crate) fn labels(&self) -> Labels {
        self.names.clone().map_or_else(|| Labels::guess(self.classes), Labels::new)
    }

    /// Whether the counts are those of `report`, which is of a shard.
    pub(crate) fn are_of(&self, report: &EvalReport) -> bool {
        let named = self.names.as_ref().is_none_or(|names| names.len() == self.classes);
        named
            && (1..=MAX_CLASSES).contains(&self.classes)
            && self.per_class.as_ref().is_none_or(|counts| counts.are_of(report, self.classes))
            && self.page.as_ref().is_none_or(|page| page.is_of(report, self.classes))
    }
}
