//! `--per-class`: top-1 and top-5 of every class as CSV.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use hardnet_classifier::Labels;
use hardnet_eval::{Breakdown, Metric, Tally};

use crate::failure::Result;
use crate::output::OutputFile;

/// Names of the columns. They are API.
const HEADER: &str = "class,name,images,top1_correct,top1_percent,top5_correct,top5_percent,predicted,mistaken_for";

/// A table of classes that appears when it is complete.
pub(super) struct PerClass {
    file: OutputFile,
    breakdown: Breakdown,
    tallies: BTreeMap<usize, Tally>,
}

impl PerClass {
    /// Creates the file `path`. An existing file is replaced only with `force`.
    pub(super) fn create(path: &Path, force: bool) -> Result<Self> {
        let file = OutputFile::create(path, force)?;
        Ok(Self { file, breakdown: Breakdown::new(0), tallies: BTreeMap::new() })
    }

    /// Counts an image of class `label`.
    pub(super) fn add(&mut self, index: usize, logits: &[f32], label: usize) {
        self.breakdown.add(index, logits, &label);
        self.tallies.entry(label).or_default().add(index, logits, &label);
    }

    /// Writes a row for each class that has images and gives the file its name.
    pub(super) fn finish(mut self, labels: &Labels) -> Result<()> {
        let mut text = format!("{HEADER}\n");
        for class in self.breakdown.confusion().by_class() {
            let tally = self.tallies.get(&class.class).copied().unwrap_or_default();
            let percent = |share: hardnet_eval::Proportion| format!("{:.2}", share.percent().unwrap_or(0.0));
            let mistaken = class.mistaken_for.map_or(String::new(), |cell| quoted(&labels.name(cell.predicted)));
            text += &format!(
                "{},{},{},{},{},{},{},{},{mistaken}\n",
                class.class,
                quoted(&labels.name(class.class)),
                class.top1.total,
                class.top1.correct,
                percent(class.top1),
                tally.top5().correct,
                percent(tally.top5()),
                class.predicted,
            );
        }
        let mut writer = self.file.writer();
        let written = writer.write_all(text.as_bytes()).and_then(|()| writer.flush());
        drop(writer);
        written.context("cannot write the table of classes")?;
        self.file.finish()
    }
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
