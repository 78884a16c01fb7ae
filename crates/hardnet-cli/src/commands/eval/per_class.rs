//! `--per-class`: top-1 and top-5 of every class as CSV.

use std::collections::BTreeMap;

use hardnet_classifier::Labels;
use hardnet_eval::{Breakdown, Confusion, Metric, Proportion, Tally};
use serde::{Deserialize, Serialize};

use crate::report::EvalReport;

/// Names of the columns. They are API.
const HEADER: &str = "class,name,images,top1_correct,top1_percent,top5_correct,top5_percent,predicted,mistaken_for";

/// Counts images by class.
pub(super) struct PerClass {
    breakdown: Breakdown,
    tallies: BTreeMap<usize, Tally>,
}

/// Numbers of images by class. Field names are API.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ClassCounts {
    /// Label, prediction and number of images.
    confusion: Confusion,
    /// Images of each class whose class is among the five most probable.
    top5: BTreeMap<usize, usize>,
}

impl PerClass {
    pub(super) fn new() -> Self {
        Self { breakdown: Breakdown::new(0), tallies: BTreeMap::new() }
    }

    /// Counts an image of class `label`.
    pub(super) fn add(&mut self, index: usize, logits: &[f32], label: usize) {
        self.breakdown.add(index, logits, &label);
        self.tallies.entry(label).or_default().add(index, logits, &label);
    }

    pub(super) fn counts(&self) -> ClassCounts {
        let top5 = self.tallies.iter().map(|(&class, tally)| (class, tally.top5().correct)).collect();
        ClassCounts { confusion: self.breakdown.confusion().clone(), top5 }
    }
}

impl ClassCounts {
    /// Adds the counts of `other`.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.confusion.merge(&other.confusion);
        other.top5.iter().for_each(|(&class, &correct)| *self.top5.entry(class).or_default() += correct);
    }

    /// Whether they are those of `report`, of classes below `classes`.
    pub(crate) fn are_of(&self, report: &EvalReport, classes: usize) -> bool {
        let top5 = self.top5.values().try_fold(0, |sum: usize, &correct| sum.checked_add(correct));
        is_of(&self.confusion, report, classes)
            && top5 == Some(report.top5.correct)
            && self.top5.keys().all(|class| *class < classes)
    }

    /// A row for each class that has images.
    pub(crate) fn table(&self, labels: &Labels) -> String {
        let mut text = format!("{HEADER}\n");
        let percent = |share: Proportion| format!("{:.2}", share.percent().unwrap_or(0.0));
        for class in self.confusion.by_class() {
            let top5 = Proportion::new(self.top5.get(&class.class).copied().unwrap_or(0), class.top1.total);
            let mistaken = class.mistaken_for.map_or(String::new(), |cell| quoted(&labels.name(cell.predicted)));
            text += &format!(
                "{},{},{},{},{},{},{},{},{mistaken}\n",
                class.class,
                quoted(&labels.name(class.class)),
                class.top1.total,
                class.top1.correct,
                percent(class.top1),
                top5.correct,
                percent(top5),
                class.predicted,
            );
        }
        text
    }
}

/// Whether `confusion` has the counts of `report`, and classes below `classes` only.
pub(super) fn is_of(confusion: &Confusion, report: &EvalReport, classes: usize) -> bool {
    let (mut images, mut correct) = (0_usize, 0_usize);
    for cell in confusion.cells() {
        let Some(sum) = images.checked_add(cell.images).filter(|_| cell.label.max(cell.predicted) < classes) else {
            return false;
        };
        images = sum;
        correct += if cell.label == cell.predicted { cell.images } else { 0 };
    }
    (images, correct) == (report.top1.total, report.top1.correct)
}

/// A field of a CSV file, in quotes if it needs them (RFC 4180).
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn fields_are_quoted_as_rfc_4180_says() {
        let cases =
            [("shoe", "shoe"), ("tench, Tinca tinca", "\"tench, Tinca tinca\""), ("a \"b\"", "\"a \"\"b\"\"\"")];
        for (text, field) in cases {
            assert_eq!(quoted(text), field);
        }
    }
}
