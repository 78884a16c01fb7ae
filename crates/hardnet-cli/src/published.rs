//! Published accuracies of weights, next to measured ones.

use std::borrow::Cow;

use hardnet_eval::{Proportion, Tally};
use hardnet_weights::{PublishedAccuracy, RegistryEntry};
use serde::{Deserialize, Serialize};

use crate::printer::Printer;

/// A published accuracy, and how far the measured one is from it. Field names are API.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Comparison {
    /// Published, in percent.
    pub(crate) top1: f64,
    pub(crate) top5: Option<f64>,
    /// Measured minus published, in percentage points.
    pub(crate) top1_difference: Option<f64>,
    pub(crate) top5_difference: Option<f64>,
    /// Who published it, and where.
    pub(crate) source: Cow<'static, str>,
}

/// Compares what was counted with what was published.
pub(crate) fn comparisons(published: &[&'static PublishedAccuracy], tally: &Tally) -> Vec<Comparison> {
    let comparison = |published: &&'static PublishedAccuracy| {
        compared((published.top1, published.top5), published.source.as_str().into(), tally)
    };
    published.iter().map(comparison).collect()
}

/// Compares what was counted with a published top-1 and top-5 in percent.
pub(crate) fn compared((top1, top5): (f64, Option<f64>), source: Cow<'static, str>, tally: &Tally) -> Comparison {
    // Published numbers have two digits after the point, so measured ones are compared with as many.
    let rounded = |percent: f64| (percent * 100.0).round() / 100.0;
    let difference =
        |measured: Proportion, published: f64| measured.percent().map(|percent| rounded(rounded(percent) - published));
    Comparison {
        top1,
        top5,
        top1_difference: difference(tally.top1(), top1),
        top5_difference: top5.and_then(|top5| difference(tally.top5(), top5)),
        source,
    }
}

/// Prints the published accuracies of registered weights.
pub(crate) fn tell(entry: &RegistryEntry, printer: &Printer) {
    for PublishedAccuracy { top1, top5, pipeline, source, .. } in &entry.published {
        let top5 = top5.map_or(String::new(), |top5| format!(", top-5 {top5:.2} %"));
        printer.note(format_args!("published: top-1 {top1:.2} %{top5}, pipeline {pipeline} ({source})"));
    }
}

#[cfg(test)]
mod tests {
    use hardnet_eval::Metric;

    use super::*;

    #[test]
    fn differences_are_of_the_printed_digits() {
        let mut tally = Tally::default();
        for image in 0..3 {
            tally.add(image, &[1.0, 0.0], &usize::from(image == 2));
        }
        let entry = hardnet_weights::find("hardnet68.notebook_in1k").unwrap();
        let published: Vec<_> = entry.published.iter().collect();
        // 66.67 - 76.05
        let compared = &comparisons(&published, &tally)[0];
        assert_eq!((compared.top1, compared.top1_difference), (76.05, Some(-9.38)));
        assert_eq!((compared.top5, compared.top5_difference), (None, None));
        assert_eq!(comparisons(&published, &Tally::default())[0].top1_difference, None);
    }
}
