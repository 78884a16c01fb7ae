//! More requests than can be answered, and clients that do not wait.

use std::time::{Duration, Instant};

use hardnet_data::{Image, encode_png};

use crate::client::{Connection, request, send};
use crate::{Fixture, batches, file, metrics, options};

const PNG: &[(&str, &str)] = &[("content-type", "image/png")];

/// An image that takes long to decode.
fn large() -> Vec<u8> {
    encode_png(&Image::from_rgb8(4000, 3000, vec![9; 4000 * 3000 * 3]).unwrap()).unwrap()
}

/// The value of a line of the metrics.
fn metric(fixture: &Fixture, line: &str) -> f64 {
    let text = metrics(fixture);
    let value = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("{line} in {text}")).parse().unwrap()
}

fn images(fixture: &Fixture, outcome: &str) -> f64 {
    let labels = "model=\"clothing\",output=\"classes\"";
    metric(fixture, &format!("hardnet_images_total{{{labels},outcome=\"{outcome}\"}}"))
}

#[test]
fn overload_is_answered_with_429_and_the_rest_is_computed() {
    let fixture = Fixture::new(&options());
    let image = large();
    // The queue holds 16 images.
    let mut connections: Vec<Connection> = (0..40).map(|_| Connection::open(fixture.address())).collect();
    connections.iter_mut().for_each(|connection| connection.write(&request("POST", "/classify", PNG, &image)).unwrap());
    let (mut answered, mut refused) = (0, 0);
    for response in connections.iter_mut().map(|connection| connection.read().unwrap()) {
        match response.status {
            200 => answered += 1,
            429 => {
                refused += 1;
                assert!(response.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
            }
            status => panic!("{status}: {}", response.error()),
        }
    }
    assert!(answered >= 16 && refused >= 1, "{answered} answered, {refused} refused");
    assert_eq!(images(&fixture, "answered"), f64::from(answered));
    assert_eq!(images(&fixture, "overloaded"), f64::from(refused));
    assert_eq!(send(fixture.address(), "POST", "/classify", PNG, &file(1)).status, 200);
}

#[test]
fn an_image_that_would_be_refused_is_not_read() {
    let fixture = Fixture::with_batches(&options(), &batches().capacity(1));
    let image = large();
    let infer = "/v2/models/clothing/infer";
    for (path, content_type) in [("/classify", "image/png"), (infer, "application/json")] {
        let attempt = || {
            let mut busy = Connection::open(fixture.address());
            busy.write(&request("POST", "/classify", PNG, &image)).unwrap();
            let queued = || metric(&fixture, "hardnet_queue_images{model=\"clothing\",output=\"classes\"}");
            let start = Instant::now();
            while queued() < 1.0 && start.elapsed() < Duration::from_secs(1) {}
            let mut asking = Connection::open(fixture.address());
            let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: {content_type}\r\n");
            asking.write(format!("{head}content-length: 9\r\nexpect: 100-continue\r\n\r\n").as_bytes()).unwrap();
            let status = asking.read().unwrap().status;
            assert!(matches!(status, 100 | 429), "{status}");
            assert_eq!(busy.read().unwrap().status, 200);
            status == 429
        };
        // The image may have been answered before the other came.
        assert!((0..10).any(|_| attempt()), "{path}");
    }
}

#[test]
fn requests_whose_clients_are_gone_are_not_computed() {
    let fixture = Fixture::new(&options());
    let image = large();
    let mut connections: Vec<Connection> = (0..12).map(|_| Connection::open(fixture.address())).collect();
    connections.iter_mut().for_each(|connection| connection.write(&request("POST", "/classify", PNG, &image)).unwrap());
    let start = Instant::now();
    let queued = || metric(&fixture, "hardnet_queue_images{model=\"clothing\",output=\"classes\"}");
    while queued() < 8.0 {
        assert!(start.elapsed() < Duration::from_secs(20), "the images are accepted");
    }
    drop(connections);
    let ended = || ["answered", "cancelled"].map(|outcome| images(&fixture, outcome));
    while ended().iter().sum::<f64>() < 12.0 && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let [answered, cancelled] = ended();
    // A request that came with the end of its connection may not have been read at all.
    assert!(cancelled >= 4.0 && answered <= 6.0, "{answered} answered, {cancelled} cancelled");
    let gone = fixture.records.0.lock().unwrap().iter().filter(|record| record["status"] == 499).count();
    assert!(gone >= 4, "{gone} records");
}

#[test]
fn a_client_may_ask_for_an_earlier_deadline() {
    let fixture = Fixture::new(&options());
    let start = Instant::now();
    let response = send(fixture.address(), "POST", "/classify?timeout_ms=1", PNG, &large());
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")), "{response:?}");
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(send(fixture.address(), "POST", "/classify?timeout_ms=60000", PNG, &file(1)).status, 200);
}
