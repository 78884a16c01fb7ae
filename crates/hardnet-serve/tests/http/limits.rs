//! Limits on what a client may send, and how slowly.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hardnet_data::{Image, encode_png};
use serde_json::json;

use crate::client::{Connection, request, send};
use crate::{Fixture, file, metrics, options};

#[test]
fn each_refusal_has_its_status() {
    let fixture = Fixture::new(&options().max_body(4096));
    let address = fixture.address();
    let post = |headers: &[(&str, &str)], body: &[u8]| send(address, "POST", "/classify", headers, body).status;
    assert_eq!(post(&[("content-type", "image/png")], &[0; 4097]), 413);
    assert_eq!(post(&[("content-type", "text/plain")], b"hello"), 415);
    assert_eq!(post(&[("content-encoding", "gzip")], b"hello"), 415);
    assert_eq!(post(&[("content-type", "image/png")], b"hello"), 422);
    assert_eq!(post(&[], b""), 422);
    assert_eq!(send(address, "POST", "/classify?topk=0", &[], b"hello").status, 422);
    assert_eq!(send(address, "POST", "/classify?topk=x", &[], b"hello").status, 422);
    assert_eq!(send(address, "POST", "/classify?topk=%", &[], b"hello").status, 400);
    assert_eq!(send(address, "POST", "/classify?model=x", &[], b"hello").status, 404);
    assert_eq!(send(address, "GET", "/nothing", &[], b"").status, 404);
    let method = send(address, "GET", "/classify", &[], b"");
    assert_eq!((method.status, method.header("allow")), (405, Some("POST")));
    // Length is checked where none is announced.
    let mut connection = Connection::open(address);
    let chunk = format!("800\r\n{}\r\n", "x".repeat(0x800)).repeat(3);
    let head = "POST /classify HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    connection.write(format!("{head}{chunk}0\r\n\r\n").as_bytes()).unwrap();
    assert_eq!(connection.read().unwrap().status, 413);
}

#[test]
fn a_refusal_is_read_by_a_client_that_sends_first() {
    let fixture = Fixture::new(&options().max_body(1 << 20));
    // A connection that is closed with data unread may lose its answer.
    for _ in 0..20 {
        let mut connection = Connection::open(fixture.address());
        let _ = connection.write(&request("POST", "/nothing", &[], &vec![0; 1 << 19]));
        assert_eq!(connection.read().expect("an answer").status, 404);
    }
}

#[test]
fn headers_are_bounded_in_length_and_time() {
    let fixture = Fixture::new(&options().header_timeout(Duration::from_millis(200)));
    let mut connection = Connection::open(fixture.address());
    let _ =
        connection.write(format!("GET /v2 HTTP/1.1\r\nhost: a\r\nlong: {}\r\n\r\n", "x".repeat(100_000)).as_bytes());
    assert_eq!(connection.read().map(|response| response.status), Some(431));
    for begin in ["", "GET /v2 HTTP/1.1\r\nhos"] {
        let start = Instant::now();
        let mut connection = Connection::open(fixture.address());
        connection.write(begin.as_bytes()).unwrap();
        let status = connection.read().map(|response| response.status);
        assert!(matches!(status, None | Some(408)), "{status:?}");
        assert!(start.elapsed() < Duration::from_secs(10), "{begin:?}: {:?}", start.elapsed());
    }
    // So is the time between two requests.
    let mut connection = Connection::open(fixture.address());
    assert_eq!(connection.send("GET", "/v2", &[], b"").status, 200);
    let start = Instant::now();
    assert!(connection.read().is_none());
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_body_is_bounded_in_time() {
    let fixture = Fixture::new(&options().body_timeout(Duration::from_millis(200)));
    let mut connection = Connection::open(fixture.address());
    connection.write(b"POST /classify HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nabc").unwrap();
    assert_eq!(connection.read().unwrap().status, 408);
}

#[test]
fn bodies_in_memory_are_bounded_together() {
    let fixture = Fixture::new(&options().max_body(1 << 20).max_body_memory(1 << 20));
    // A length that is announced takes nothing.
    let head = b"POST /classify HTTP/1.1\r\nhost: a\r\ncontent-type: image/png\r\ncontent-length: 1048576\r\n\r\n";
    let mut slow: Vec<Connection> = (0..8).map(|_| Connection::open(fixture.address())).collect();
    slow.iter_mut().for_each(|connection| connection.write(head).unwrap());
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(send(fixture.address(), "POST", "/classify", &[], &file(1)).status, 200);
    let wait_until_taken = |bytes: &str| {
        let (line, start) = (format!("hardnet_body_bytes {bytes}"), Instant::now());
        while !metrics(&fixture).lines().any(|found| found == line) {
            assert!(start.elapsed() < Duration::from_secs(20), "{line} in\n{}", metrics(&fixture));
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    wait_until_taken("0");
    slow[0].write(&vec![0; (1 << 20) - 1]).unwrap();
    wait_until_taken("1048576");
    let refused = send(fixture.address(), "POST", "/classify", &[("content-type", "image/png")], &file(1));
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    drop(slow);
    wait_until_taken("0");
    assert_eq!(send(fixture.address(), "POST", "/classify", &[], &file(1)).status, 200);
}

#[test]
fn silent_connections_make_room_for_others() {
    for begin in [
        "",
        "GET /v2 HTTP/1.1\r\nhos",
        "POST /classify HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nabc",
        "GET /v2 HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        let fixture = Fixture::new(&options().max_connections(4));
        let start = Instant::now();
        let mut open: Vec<Connection> = (0..4).map(|_| Connection::open(fixture.address())).collect();
        for connection in &mut open {
            connection.write(begin.as_bytes()).unwrap();
            if begin.ends_with("\r\n\r\n") {
                assert_eq!(connection.read().unwrap().status, 200);
            }
        }
        // The server reads these bytes before it accepts others; otherwise, the others would be silent longest.
        std::thread::sleep(Duration::from_millis(100));
        // The first is not the one that is silent longest.
        if begin.is_empty() {
            assert_eq!(open[0].send("GET", "/v2", &[], b"").status, 200);
        }
        let mut others: Vec<Connection> = (0..3).map(|_| Connection::open(fixture.address())).collect();
        for other in &mut others {
            assert_eq!(other.send("GET", "/v2", &[], b"").status, 200, "{begin:?}");
        }
        if begin.is_empty() {
            assert_eq!(open[0].send("GET", "/v2", &[], b"").status, 200);
            assert!(open[1..].iter_mut().all(|connection| connection.read().is_none()));
        }
        let text = String::from_utf8(others[2].send("GET", "/metrics", &[], b"").body).unwrap();
        for line in ["hardnet_connections 4", "hardnet_connections_closed_total 3"] {
            assert!(text.lines().any(|found| found == line), "{begin:?}: {line} in\n{text}");
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{begin:?}");
    }
}

#[test]
fn who_waits_for_an_answer_does_not_make_room() {
    let image = encode_png(&Image::from_rgb8(2000, 2000, vec![0; 2000 * 2000 * 3]).unwrap()).unwrap();
    let body = json!({ "images": vec![STANDARD.encode(image); 16] }).to_string();
    let seen = (0..5).any(|_| {
        let fixture = Fixture::new(&options().max_connections(1));
        let mut asking = Connection::open(fixture.address());
        let headers = [("content-type", "application/json")];
        asking.write(&request("POST", "/classify", &headers, body.as_bytes())).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        let mut others: Vec<Connection> = (0..4).map(|_| Connection::open(fixture.address())).collect();
        others[3].write(&request("GET", "/v2", &[], b"")).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        let before = fixture.records.0.lock().unwrap().is_empty();
        assert_eq!(asking.read().expect("an answer").status, 200);
        // Those that waited come after it.
        assert_eq!(others[3].read().expect("an answer").status, 200);
        before
    });
    assert!(seen, "others come while an answer is computed");
}

#[test]
fn who_does_not_read_is_closed() {
    let time = Duration::from_millis(100);
    let fixture = Fixture::loading(&options().header_timeout(time).body_timeout(time));
    let mut deaf = Connection::open(fixture.address());
    let requests = request("GET", "/openapi.json", &[], b"").repeat(1000);
    let _ = deaf.write(&requests);
    let start = Instant::now();
    while !metrics(&fixture).lines().any(|line| line == "hardnet_connections 1") {
        assert!(start.elapsed() < Duration::from_secs(20), "it is still open");
        std::thread::sleep(time);
    }
}

#[test]
fn bytes_that_are_not_a_request_are_refused() {
    let fixture = Fixture::new(&options());
    for bytes in [&b"\x16\x03\x01\x02\0\x01\0"[..], b"hello\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\0\0\0\0\r\n\r\n"] {
        let mut connection = Connection::open(fixture.address());
        let _ = connection.write(bytes);
        let status = connection.read().map(|response| response.status);
        assert!(matches!(status, None | Some(400 | 505)), "{bytes:?}: {status:?}");
    }
    assert_eq!(send(fixture.address(), "GET", "/v2", &[], b"").status, 200);
}

#[test]
fn options_may_be_as_large_as_numbers_are() {
    let mut options = options().timeout(Duration::MAX).header_timeout(Duration::MAX).body_timeout(Duration::MAX);
    options = options.max_connections(usize::MAX).max_body(usize::MAX).max_body_memory(usize::MAX);
    let fixture = Fixture::new(&options);
    assert_eq!(send(fixture.address(), "POST", "/classify", &[], &file(1)).status, 200);
    for number in [u64::MAX.to_string(), "9".repeat(30)] {
        let path = format!("/classify?timeout_ms={number}&topk={number}");
        assert_eq!(send(fixture.address(), "POST", &path, &[], &file(1)).status, 200);
    }
}

#[test]
fn a_connection_that_sends_bytes_is_not_the_one_silent_longest() {
    let fixture = Fixture::new(&options().max_connections(4));
    let mut open: Vec<Connection> = (0..4).map(|_| Connection::open(fixture.address())).collect();
    std::thread::sleep(Duration::from_millis(100));
    open[0].write(b"GET /v2 HTTP/1.1\r\nhos").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let mut others: Vec<Connection> = (0..3).map(|_| Connection::open(fixture.address())).collect();
    assert!(others.iter_mut().all(|other| other.send("GET", "/v2", &[], b"").status == 200));
    open[0].write(b"t: a\r\n\r\n").unwrap();
    assert_eq!(open[0].read().expect("it is still open").status, 200);
}
