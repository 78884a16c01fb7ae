//! `hardnet bench`: what it reports, never how fast it is.

use std::fs;
use std::path::Path;

use crate::support::Folder;

#[test]
fn a_network_is_measured_and_compared_with_the_reference() {
    let folder = Folder::new();
    let report = folder.run("bench hardnet39ds --img-size 64 --iters 3 --threads 1 --json").exits(0).json();
    let latency = &report["latency_ms"];
    let [min, median, p95] = ["min", "median", "p95"].map(|name| latency[name].as_f64().unwrap());
    assert!(0.0 < min && min <= median && median <= p95, "{report:#}");
    for name in ["images_per_second", "peak_rss_mib", "plan_mib"] {
        assert!(report[name].as_f64().unwrap() > 0.0, "{name}: {report:#}");
    }
    assert!(report["max_logit_difference"].as_f64().unwrap() < 2e-4, "{report:#}");
}

/// `docs/performance.md` is made of the tables beside it.
#[test]
fn the_page_shows_the_tables_that_are_there() {
    let folder = Folder::new();
    folder.run("bench --page").exits(2).says("run this at the root of the project");
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    fs::create_dir_all(folder.path("docs/performance")).unwrap();
    for entry in fs::read_dir(docs.join("performance")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path("docs/performance").join(path.file_name().unwrap())).unwrap();
    }
    folder.run("bench --page").exits(0);
    let made = fs::read_to_string(folder.path("docs/performance.md")).unwrap();
    assert!(
        made == fs::read_to_string(docs.join("performance.md")).unwrap(),
        "docs/performance.md is not what `hardnet bench --page` writes"
    );
}
