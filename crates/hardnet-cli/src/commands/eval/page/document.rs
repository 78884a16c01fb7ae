//! The page from head to foot.

use super::{Content, calibration, classes, confusion, mistakes, settings, summary};
use crate::page;

/// The page as HTML.
pub(super) fn page(content: &Content) -> String {
    let sections = [
        summary::section(content),
        classes::section(content),
        confusion::section(content),
        calibration::section(content),
        mistakes::section(content),
        settings::section(content),
    ]
    .concat();
    let report = content.report;
    page::document("Evaluation", &report.model, &summary::lead(content), &sections, &report.tool)
}
