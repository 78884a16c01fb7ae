//! `GET /metrics`, in Prometheus's text format.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use super::body::BodyLimits;
use super::connections::Connections;
use crate::batcher::{Batcher, Statistics};
use crate::measures::Histogram;
use crate::model::Model;

/// The content type of the format.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Counts of requests.
#[derive(Debug, Default)]
pub(crate) struct RequestMetrics {
    by_endpoint: Mutex<BTreeMap<&'static str, Endpoint>>,
}

#[derive(Debug)]
struct Endpoint {
    statuses: BTreeMap<u16, u64>,
    seconds: Histogram,
}

impl RequestMetrics {
    /// Counts a request to `endpoint`.
    pub(crate) fn observe(&self, endpoint: &'static str, status: u16, seconds: f64) {
        let mut endpoints = self.by_endpoint.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Endpoint { statuses: BTreeMap::new(), seconds: Histogram::new(Histogram::SECONDS) };
        let endpoint = endpoints.entry(endpoint).or_insert_with(new);
        *endpoint.statuses.entry(status).or_default() += 1;
        endpoint.seconds.observe(seconds);
    }
}

/// Metrics that are written.
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let _ = writeln!(self.0, "{name}{braces} {value}");
    }

    fn histogram(&mut self, name: &str, labels: &str, histogram: &Histogram) {
        let (comma, counts) = (if labels.is_empty() { "" } else { "," }, histogram.cumulative());
        for (bound, count) in histogram.bounds().iter().zip(&counts) {
            self.sample(&format!("{name}_bucket"), &format!("{labels}{comma}le=\"{bound}\""), count);
        }
        let all = counts.last().copied().unwrap_or_default();
        self.sample(&format!("{name}_bucket"), &format!("{labels}{comma}le=\"+Inf\""), all);
        self.sample(&format!("{name}_sum"), labels, histogram.sum());
        self.sample(&format!("{name}_count"), labels, all);
    }
}

/// The text for `models` that are ready.
pub(crate) fn text<'a>(
    requests: &RequestMetrics,
    models: impl Iterator<Item = &'a Model>,
    ready: bool,
    connections: &Connections,
    bodies: &BodyLimits,
) -> String {
    let mut text = Text(String::new());
    text.family("hardnet_ready", "gauge", "Whether all models are loaded and the server is not stopping.");
    text.sample("hardnet_ready", "", u8::from(ready));
    text.family("hardnet_connections", "gauge", "Open connections.");
    text.sample("hardnet_connections", "", connections.len());
    let help = "Silent connections that were closed to make room for others.";
    text.family("hardnet_connections_closed_total", "counter", help);
    text.sample("hardnet_connections_closed_total", "", connections.closed.get());
    text.family(
        "hardnet_body_bytes",
        "gauge",
        "Memory of bodies of requests, and of answers of gRPC that are not sent.",
    );
    text.sample("hardnet_body_bytes", "", bodies.taken());
    let endpoints = requests.by_endpoint.lock().unwrap_or_else(PoisonError::into_inner);
    text.family("hardnet_requests_total", "counter", "Requests by endpoint and status.");
    for (name, endpoint) in endpoints.iter() {
        for (status, count) in &endpoint.statuses {
            text.sample("hardnet_requests_total", &format!("endpoint=\"{name}\",status=\"{status}\""), count);
        }
    }
    text.family("hardnet_request_seconds", "histogram", "Time from a request to its answer.");
    for (name, endpoint) in endpoints.iter() {
        text.histogram("hardnet_request_seconds", &format!("endpoint=\"{name}\""), &endpoint.seconds);
    }
    drop(endpoints);
    let batchers: Vec<(String, &Batcher)> = models
        .flat_map(|model| {
            let labels = |output| format!("model=\"{}\",output=\"{output}\"", escape(model.name()));
            model.batchers().map(move |(output, batcher)| (labels(output), batcher))
        })
        .collect();
    gauges(&mut text, &batchers);
    counts(&mut text, &batchers);
    text.0
}

type Gauge = (&'static str, &'static str, fn(&Batcher) -> f64);

fn gauges(text: &mut Text, batchers: &[(String, &Batcher)]) {
    let gauges: [Gauge; 4] = [
        ("hardnet_queue_images", "Images that are accepted and not answered yet.", |batcher| batcher.images() as f64),
        ("hardnet_queue_capacity", "The most such images.", |batcher| batcher.capacity() as f64),
        ("hardnet_batch_size", "The most images that are computed together.", |batcher| batcher.batch_size() as f64),
        ("hardnet_images_per_second", "Images that can be computed in a second.", Batcher::images_per_second),
    ];
    for (name, help, value) in gauges {
        text.family(name, "gauge", help);
        batchers.iter().for_each(|(labels, batcher)| text.sample(name, labels, value(batcher)));
    }
}

type Stage = (&'static str, &'static str, fn(&Statistics) -> &Histogram);

fn counts(text: &mut Text, batchers: &[(String, &Batcher)]) {
    let histograms: [Stage; 4] = [
        ("hardnet_batch_images", "Images of each batch.", |statistics| &statistics.batch_images),
        ("hardnet_decode_seconds", "Time to decode and prepare an image.", |statistics| &statistics.decode_seconds),
        ("hardnet_wait_seconds", "Time that a prepared image waits.", |statistics| &statistics.wait_seconds),
        ("hardnet_compute_seconds", "Time to compute a batch.", |statistics| &statistics.compute_seconds),
    ];
    for (name, help, histogram) in histograms {
        text.family(name, "histogram", help);
        for (labels, batcher) in batchers {
            text.histogram(name, labels, histogram(batcher.statistics()));
        }
    }
    text.family("hardnet_images_total", "counter", "Images by their outcome.");
    for (labels, batcher) in batchers {
        let statistics = batcher.statistics();
        for (outcome, counter) in [
            ("answered", &statistics.answered),
            ("failed", &statistics.failed),
            ("overloaded", &statistics.overloaded),
            ("expired", &statistics.expired),
            ("cancelled", &statistics.cancelled),
        ] {
            text.sample("hardnet_images_total", &format!("{labels},outcome=\"{outcome}\""), counter.get());
        }
    }
}

/// A label's value.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn requests_are_counted_by_endpoint_and_status() {
        let requests = RequestMetrics::default();
        requests.observe("/classify", 200, 0.02);
        requests.observe("/classify", 200, 0.3);
        requests.observe("/classify", 429, 0.001);
        let text =
            text(&requests, std::iter::empty(), true, &Connections::new(2), &BodyLimits::new(1, Duration::ZERO, 1));
        for line in [
            "hardnet_ready 1",
            "hardnet_connections 0",
            "hardnet_connections_closed_total 0",
            "hardnet_body_bytes 0",
            "hardnet_requests_total{endpoint=\"/classify\",status=\"200\"} 2",
            "hardnet_request_seconds_bucket{endpoint=\"/classify\",le=\"0.001\"} 1",
            "hardnet_request_seconds_bucket{endpoint=\"/classify\",le=\"0.025\"} 2",
            "hardnet_request_seconds_bucket{endpoint=\"/classify\",le=\"+Inf\"} 3",
            "hardnet_request_seconds_count{endpoint=\"/classify\"} 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert_eq!(escape("a\"\\\n"), "a\\\"\\\\\\n");
    }
}
