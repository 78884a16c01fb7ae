//! Comparison of runs: statistics against other programs, and what is said of runs whose differences are known.

use hardnet_eval::compare::{
    Comparison, MatchError, MatchedRuns, Predictions, Verdict, mcnemar_p_value, tango_interval95,
};

/// The rows of a table in `statistics.json`.
fn stored(name: &str) -> Vec<Vec<f64>> {
    let mut tables: serde_json::Value = serde_json::from_str(include_str!("compare/statistics.json")).unwrap();
    serde_json::from_value(tables[name].take()).unwrap()
}

#[test]
fn p_values_are_scipys() {
    let rows = stored("p_values");
    assert!(rows.len() > 20);
    for row in rows {
        let (first, second, expected) = (row[0] as usize, row[1] as usize, row[2]);
        for found in [mcnemar_p_value(first, second), mcnemar_p_value(second, first)] {
            assert!((found - expected).abs() <= 1e-11 * expected, "{first}, {second}: {found}, expected {expected}");
        }
    }
}

#[test]
fn intervals_are_tangos() {
    let rows = stored("intervals");
    assert!(rows.len() > 15);
    for row in rows {
        let [first, second, images] = [row[0], row[1], row[2]].map(|count| count as usize);
        let (low, high) = tango_interval95(first, second, images).unwrap();
        let near = (low - row[3]).abs() < 1e-12 && (high - row[4]).abs() < 1e-12;
        assert!(near, "{first}, {second} of {images}: {low} to {high}, expected {:?}", &row[3..]);
    }
}

/// A line about image `name` of class `label` that a run takes for `class`, with a size if it is given.
fn line(name: &str, label: Option<u32>, class: u32, probability: f32, size: Option<(u32, u32)>) -> String {
    let mut line = serde_json::json!({
        "path": name, "top": [{ "index": class, "name": format!("class {class}"), "probability": probability }],
    });
    if let Some(label) = label {
        (line["label"], line["correct"]) = (label.into(), (label == class).into());
    }
    if let Some((width, height)) = size {
        (line["width"], line["height"]) = (width.into(), height.into());
    }
    line.to_string()
}

fn run(name: &str, lines: &[String]) -> Predictions {
    Predictions::parse(lines.join("\n").as_bytes(), name).unwrap()
}

/// Twelve images of three classes, of which the second run loses two and gains one, and errs differently in another.
fn two_runs() -> MatchedRuns {
    let size = |image: u32| Some(if image < 6 { (500, 375) } else { (200, 400) });
    let lines = |changed: &[(u32, u32, f32)]| -> Vec<_> {
        let class = |image: u32| changed.iter().find(|change| change.0 == image);
        let line = |image: u32| {
            let (class, probability) = class(image).map_or((image % 3, 0.5), |change| (change.1, change.2));
            self::line(&format!("{image}.jpg"), Some(image % 3), class, probability, size(image))
        };
        (0..12).map(line).collect()
    };
    let first = lines(&[(2, 0, 0.9), (5, 1, 0.4)]);
    let mut second = lines(&[(0, 1, 0.6), (3, 2, 0.8), (5, 0, 0.7)]);
    second.reverse();
    MatchedRuns::new(vec![run("a", &first), run("b", &second)]).unwrap()
}

fn names(comparison: &Comparison<'_>, verdict: Verdict) -> Vec<String> {
    comparison.changes_with(verdict).map(|change| change.name.to_owned()).collect()
}

#[test]
fn changes_are_counted_by_what_they_do() {
    let runs = two_runs();
    let comparison = runs.compare(0, 1);
    assert_eq!((comparison.agreement().correct, comparison.agreement().total), (8, 12));
    assert_eq!(runs.agreement(0, 1), comparison.agreement());
    let top1 = comparison.top1();
    assert_eq!((top1.both, top1.only_first, top1.only_second, top1.neither), (8, 2, 1, 1));
    assert_eq!((runs.top1(0).correct, runs.top1(1).correct, runs.labeled()), (10, 9, 12));
    assert_eq!((top1.first(), top1.second()), (runs.top1(0), runs.top1(1)));
    // The surest first.
    assert_eq!(names(&comparison, Verdict::Lost), ["3.jpg", "0.jpg"]);
    assert_eq!(names(&comparison, Verdict::Gained), ["2.jpg"]);
    assert_eq!(names(&comparison, Verdict::BothWrong), ["5.jpg"]);
    assert_eq!(comparison.changes()[0].name, "2.jpg");
    // One class a line is not enough to know the fifth.
    assert_eq!((comparison.top5(), runs.top5(0)), (None, None));
    let back = runs.compare(1, 0);
    assert_eq!((back.top1().only_first, back.top1().only_second), (1, 2));
    assert_eq!(names(&back, Verdict::Gained), ["3.jpg", "0.jpg"]);
}

#[test]
fn groups_say_where_runs_differ() {
    let runs = two_runs();
    let comparison = runs.compare(0, 1);
    let classes: Vec<_> = comparison.by_class().iter().map(|group| (group.class, group.counts.top1.net())).collect();
    assert_eq!(classes, [(0, -2), (2, 1), (1, 0)]);
    let ranges: Vec<_> = comparison
        .by_short_side()
        .iter()
        .map(|group| (group.from, group.to, group.counts.images, group.counts.same))
        .collect();
    assert_eq!(ranges, [(128.0, Some(256.0), 6, 6), (256.0, Some(384.0), 6, 2)]);
    let ratios: Vec<_> = comparison.by_aspect_ratio().iter().map(|group| (group.from, group.counts.images)).collect();
    assert_eq!(ratios, [(0.5, 6), (1.1, 6)]);
    assert_eq!((runs.with_size(), comparison.resized()), (12, 0));
}

#[test]
fn ranges_include_their_lower_end() {
    let sizes = [(1, 1), (127, 500), (128, 128), (5000, 1024), (u32::MAX, 1), (1, u32::MAX)];
    let lines: Vec<_> =
        sizes.iter().enumerate().map(|(n, &size)| line(&n.to_string(), None, 0, 0.5, Some(size))).collect();
    let runs = MatchedRuns::new(vec![run("a", &lines), run("b", &lines)]).unwrap();
    let comparison = runs.compare(0, 1);
    let sides: Vec<_> = comparison.by_short_side().iter().map(|group| (group.from, group.counts.images)).collect();
    assert_eq!(sides, [(0.0, 4), (128.0, 1), (1024.0, 1)]);
    let ratios: Vec<_> = comparison.by_aspect_ratio().iter().map(|group| (group.from, group.counts.images)).collect();
    assert_eq!(ratios, [(0.0, 2), (0.9, 2), (2.0, 2)]);
}

#[test]
fn labels_of_one_run_are_enough() {
    let labeled: Vec<_> = (0..4).map(|n| line(&n.to_string(), Some(n), n, 0.5, None)).collect();
    let unlabeled: Vec<_> = (0..4).map(|n| line(&n.to_string(), None, n.min(2), 0.5, None)).collect();
    let runs = MatchedRuns::new(vec![run("u", &unlabeled), run("l", &labeled)]).unwrap();
    assert_eq!(runs.compare(0, 1).top1().only_second, 1);
    let runs = MatchedRuns::new(vec![run("u", &unlabeled), run("v", &unlabeled[..])]).unwrap();
    let comparison = runs.compare(0, 1);
    assert_eq!((runs.labeled(), comparison.top1().images(), comparison.agreement().correct), (0, 0, 4));
    assert_eq!((comparison.top1().difference(), comparison.by_class().len()), (None, 0));
    assert_eq!((comparison.by_short_side().len(), runs.with_size(), comparison.top5()), (0, 0, None));
}

#[test]
fn runs_of_other_images_are_refused_unless_only_common_ones_count() {
    let lines = |names: &[&str]| names.iter().map(|name| line(name, Some(0), 0, 0.5, None)).collect::<Vec<_>>();
    let runs = |names: &[&str]| vec![run("a.jsonl", &lines(&["x", "y", "z"])), run("b.jsonl", &lines(names))];
    let table: [(&[&str], &str); 3] = [
        (&["z", "x"], "`a.jsonl` and `b.jsonl` are of different images: `y` is only in the first"),
        (&["y", "w", "v"], "2 are only in the first, the first is `x`; 2 are only in the second, the first is `w`"),
        (&["z", "y", "x", "w"], "different images: `w` is only in the second"),
    ];
    for (names, expected) in table {
        let error = MatchedRuns::new(runs(names)).expect_err("other images").to_string();
        assert!(error.contains(expected), "{error}");
    }
    let common = MatchedRuns::common(runs(&["z", "x", "w"])).unwrap();
    assert_eq!((common.images(), common.top1(0).total), (2, 2));
    let error = MatchedRuns::common(runs(&["v", "w"])).expect_err("nothing in common");
    assert_eq!(error.to_string(), "no image is in all 2 files: `a.jsonl` begins with `x`, `b.jsonl` with `v`");
    assert!(matches!(MatchedRuns::new(runs(&["x"])[..1].to_vec()), Err(MatchError::TooFew(1))));
}

#[test]
fn labels_that_differ_are_an_error() {
    let lines = |labels: [u32; 3]| {
        labels.iter().enumerate().map(|(n, &l)| line(&n.to_string(), Some(l), 0, 0.5, None)).collect::<Vec<_>>()
    };
    let runs = vec![run("a", &lines([0, 1, 2])), run("b", &lines([0, 2, 1]))];
    let error = MatchedRuns::new(runs).expect_err("other labels").to_string();
    assert_eq!(error, "`1` has label 1 in `a` and 2 in `b`, and another image differs too");
}

#[test]
fn three_runs_have_three_agreements() {
    let lines = |classes: [u32; 4]| {
        classes.iter().enumerate().map(|(n, &c)| line(&n.to_string(), Some(0), c, 0.5, None)).collect::<Vec<_>>()
    };
    let runs = [[0, 0, 0, 0], [0, 0, 1, 1], [0, 2, 1, 2]].map(|classes| run("r", &lines(classes)));
    let runs = MatchedRuns::new(runs.to_vec()).unwrap();
    let agreement = |a, b| runs.agreement(a, b).correct;
    assert_eq!((agreement(0, 1), agreement(0, 2), agreement(1, 2), agreement(1, 1)), (2, 1, 2, 4));
}
