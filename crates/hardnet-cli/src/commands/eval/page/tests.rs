//! Pages of results that never were.

use hardnet_classifier::Labels;
use hardnet_data::Pipeline;
use hardnet_eval::{Breakdown, Metric, Tally};

use super::{Content, PICTURES, Picture, document};
use crate::model::WeightsOrigin;
use crate::report::{self, Data, EvalReport, Seconds};

/// A report on `tally`; every foreign text is `text`.
fn report(tally: &Tally, text: &str) -> EvalReport {
    EvalReport {
        schema_version: 1,
        tool: report::tool(),
        model: text.into(),
        weights: WeightsOrigin { path: text.into(), sha256: "0123456789abcdef".repeat(4), ..WeightsOrigin::default() },
        engine: "native".into(),
        device: "cpu".into(),
        threads: 2,
        workers: 2,
        batch_size: 16,
        data: Data {
            data_dir: text.into(),
            val_list: Some(text.into()),
            labels: Some("indices".into()),
            class_map: None,
            devkit: None,
            tars: None,
            images: tally.top1().total,
        },
        pipeline: Pipeline::pil_bilinear().into(),
        decoder: "decoder".into(),
        exif: hardnet_data::Exif::Ignore,
        oriented: 0,
        top1: tally.top1().into(),
        top5: tally.top5().into(),
        loss: tally.loss(),
        loss_sum: None,
        shard: None,
        errors: 0,
        published: Vec::new(),
        details: None,
        seconds: Seconds { total: 10.0, loading: 1.0, network: 9.0 },
        images_per_second: Some(10.0),
        partial: false,
    }
}

/// The counts of `images` images of `classes` classes by a network that is mostly right and always fairly sure.
fn counts(images: usize, classes: usize) -> (Tally, Breakdown) {
    let (mut tally, mut breakdown) = (Tally::default(), Breakdown::new(PICTURES));
    let mut random = 1u64;
    let mut draw = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below
    };
    let mut logits = vec![0.0; classes];
    for image in 0..images {
        let label = image % classes;
        // Near classes are confused, and some classes more often than others.
        let predicted = if draw(100) < 15 + label % 20 { (label + 1 + draw(12)) % classes } else { label };
        logits.fill(0.0);
        logits[label] = draw(300) as f32 / 100.0;
        logits[predicted] = 3.0 + draw(1200) as f32 / 100.0;
        tally.add(image, &logits, &label);
        breakdown.add(image, &logits, &label);
    }
    (tally, breakdown)
}

fn page(report: &EvalReport, classes: usize, labels: &Labels, breakdown: &Breakdown, name: &str) -> String {
    let picture = |mistake: &_| Picture { mistake: *mistake, name, png: Some(&[7; 30_000]) };
    let pictures = breakdown.mistakes().iter().map(picture).collect();
    document::page(&Content { report, classes, labels, breakdown, pictures })
}

/// The texts between `start` and the next `end`.
fn between<'a>(text: &'a str, start: &str, end: &str) -> Vec<&'a str> {
    text.split(start).skip(1).map(|rest| rest.split(end).next().unwrap()).collect()
}

#[test]
fn a_page_of_imagenet_is_a_few_megabytes() {
    let (tally, breakdown) = counts(50_000, 1000);
    let page = page(&report(&tally, "hardnet68"), 1000, &Labels::guess(1000), &breakdown, "val.JPEG");
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    // One row for each class: the browser's own search finds any.
    assert_eq!(page.matches("class=\"n wide\"").count(), 2 * 1000 + 2);
    assert!(page.contains("<bdi>toilet tissue, toilet paper, bathroom tissue</bdi>"));
    assert!(page.contains("in blocks of 10 classes") && !page.contains("<table class=\"matrix\""));
    assert_eq!(page.matches("<img ").count(), PICTURES);
}

#[test]
fn a_page_of_ten_classes_has_the_whole_matrix() {
    let (tally, breakdown) = counts(1000, 10);
    let page = page(&report(&tally, "small"), 10, &Labels::guess(10), &breakdown, "a.png");
    let matrix = between(&page, "<table class=\"matrix\"", "</table>")[0];
    let cells: usize = between(matrix, "\">", "</td>").iter().filter_map(|cell| cell.parse::<usize>().ok()).sum();
    assert_eq!((cells, matrix.matches("<tr>").count()), (1000, 11));
    let percent = format!("{:.2}&nbsp;%", tally.top1().percent().unwrap());
    assert!(page.contains(&format!("<p class=\"figure\">{percent}</p>")));
}

/// A page asks for nothing: what it shows it holds.
#[test]
fn a_page_is_complete_in_itself() {
    let (tally, breakdown) = counts(100, 10);
    let page = page(&report(&tally, "small"), 10, &Labels::guess(10), &breakdown, "a.png");
    for never in ["http:", "https:", "<script", "<link", "url(", "@import", "onload", "<iframe"] {
        assert!(!page.contains(never), "{never}");
    }
    assert!(between(&page, "src=\"", "\"").iter().all(|address| address.starts_with("data:image/png;base64,")));
}

#[test]
fn names_are_never_markup() {
    const HOSTILE: &str = "\"'><img src=x onerror=alert(1)></style></title><!--&lt;\u{202e}";
    let (tally, breakdown) = counts(100, 10);
    let named = |name: &str| {
        let labels = Labels::new(vec![name.into(); 10]);
        page(&report(&tally, name), 10, &labels, &breakdown, name)
    };
    let (harmless, hostile) = (named("small"), named(HOSTILE));
    // As many of each character that makes markup: none comes from a name.
    for char in ['<', '>', '"'] {
        assert_eq!(hostile.matches(char).count(), harmless.matches(char).count(), "{char}");
    }
    assert!(!hostile.contains("<!--") && !hostile.contains("&lt;!--&lt;"));
    assert!(hostile.contains("&quot;&#39;&gt;&lt;img src=x onerror=alert(1)&gt;"));
}

#[test]
fn a_page_without_images_stands() {
    let (tally, breakdown) = (Tally::default(), Breakdown::new(PICTURES));
    for (classes, labels) in [(10, Labels::guess(10)), (1000, Labels::guess(1000))] {
        let mut report = report(&tally, "small");
        (report.errors, report.partial) = (2, true);
        let page = page(&report, classes, &labels, &breakdown, "");
        assert!(page.contains("2 images could not be read") && page.contains("The run was stopped"));
        assert!(!page.contains("NaN") && page.contains("</html>"));
    }
}

#[test]
fn a_file_that_is_gone_is_said_to_be() {
    let (tally, breakdown) = counts(100, 10);
    let picture = |mistake: &_| Picture { mistake: *mistake, name: "a.png", png: None };
    let pictures = breakdown.mistakes().iter().map(picture).collect();
    let report = report(&tally, "small");
    let content = Content { report: &report, classes: 10, labels: &Labels::guess(10), breakdown: &breakdown, pictures };
    assert!(document::page(&content).contains("can no longer be read") && breakdown.mistakes().len() > 3);
}
