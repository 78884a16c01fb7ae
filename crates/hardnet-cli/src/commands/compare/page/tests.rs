//! Pages of comparisons that never were.

use hardnet_eval::compare::{MatchedRuns, Predictions};
use serde_json::json;

use super::{Content, html};
use crate::commands::compare::report::{CompareReport, short_files};

/// Two runs over images of 30 classes that differ in about every seventh image; every foreign text is `text`.
fn report(images: usize, text: &str) -> CompareReport {
    let run = |shift: usize| {
        let lines = (0..images).map(|image| {
            let label = image % 30;
            let class = if image % 7 == shift { (label + 1) % 30 } else { label };
            let top = json!([{ "index": class, "name": text, "probability": 0.5 }]);
            json!({
                "path": format!("{text}{image}"), "label": label, "top": top, "width": 100 + image, "height": 333,
            })
            .to_string()
        });
        let lines = lines.collect::<Vec<_>>().join("\n");
        Predictions::parse(lines.as_bytes(), format!("{text}{shift}")).unwrap()
    };
    CompareReport::new(&MatchedRuns::new(vec![run(0), run(1), run(2)]).unwrap())
}

fn page(report: &CompareReport, most: usize, has_pictures: bool) -> String {
    let pictures = has_pictures.then(|| {
        let changes = report.comparisons.iter().flat_map(|pair| &pair.changes);
        changes.map(|change| (change.path.clone(), (change.label != Some(3)).then(|| vec![7; 300]))).collect()
    });
    html(&Content { report, files: short_files(report), most, pictures })
}

/// A page asks for nothing: what it shows it holds.
#[test]
fn a_page_is_complete_in_itself() {
    let report = report(300, "image ");
    for page in [page(&report, 10, true), page(&report, 10, false)] {
        for never in ["http:", "https:", "<script", "<link", "url(", "@import", "onload", "<iframe", "NaN"] {
            assert!(!page.contains(never), "{never}");
        }
        assert!(page.contains("</html>"));
    }
}

#[test]
fn a_page_has_as_many_images_as_it_may() {
    let report = report(300, "image ");
    // Two comparisons, two kinds of images in each.
    for most in [0, 1, 10] {
        let page = page(&report, most, true);
        assert_eq!(page.matches("<figure>").count(), 4 * most);
    }
    let all = page(&report, usize::MAX, true);
    let flips = report.comparisons.iter().map(|pair| pair.top1.as_ref().unwrap());
    let flips: usize = flips.map(|top1| top1.only_reference + top1.only_other).sum();
    assert_eq!(all.matches("<figure>").count(), flips);
    assert!(all.contains("the image cannot be read"));
}

#[test]
fn names_are_never_markup() {
    const HOSTILE: &str = "\"'><img src=x onerror=alert(1)></style></title><!--&lt;\u{202e}";
    for has_pictures in [true, false] {
        let [harmless, hostile] = ["small", HOSTILE].map(|text| page(&report(60, text), 10, has_pictures));
        // As many of each character that makes markup: none comes from a name.
        for char in ['<', '>', '"'] {
            assert_eq!(hostile.matches(char).count(), harmless.matches(char).count(), "{char}");
        }
        assert!(!hostile.contains("<!--") && hostile.contains("&lt;img src=x onerror=alert(1)&gt;"));
    }
}
