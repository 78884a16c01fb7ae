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

#[test]
fn images_have_the_size_in_the_weights_file_unless_an_option_gives_another() {
    let folder = Folder::new();
    folder.small_weights();
    let side = |options: &str| {
        let arguments =
            format!("bench --weights small.safetensors --iters 1 --threads 1 --no-reference --json {options}");
        folder.run(&arguments).exits(0).json()["img_size"].as_u64().unwrap()
    };
    assert_eq!([side(""), side("--pipeline pil-bicubic"), side("--img-size 32")], [24, 224, 32]);
}
