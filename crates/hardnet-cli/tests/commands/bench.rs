//! `hardnet bench`: what it reports, never how fast it is.

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
