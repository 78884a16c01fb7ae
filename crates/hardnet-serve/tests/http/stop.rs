//! A stop under load.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::client::{Connection, request};
use crate::{Fixture, file, options};

#[test]
fn a_stop_under_load_loses_no_request_that_was_sent() {
    let fixture = Fixture::new(&options().grace(Duration::from_millis(200)));
    let (address, image) = (fixture.address(), file(3));
    let (stopping, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (image, stopping, answered) = (&image, &stopping, &answered);
            scope.spawn(move || {
                let mut connection = Connection::open(address);
                loop {
                    connection.write(&request("POST", "/classify", &[("content-type", "image/png")], image)).unwrap();
                    let response = connection.read().expect("a request that was sent is answered");
                    assert_eq!(response.status, 200, "{response:?}");
                    answered.fetch_add(1, Ordering::Relaxed);
                    if response.header("connection") == Some("close") {
                        assert!(stopping.load(Ordering::SeqCst));
                        return;
                    }
                }
            });
        }
        std::thread::sleep(Duration::from_millis(300));
        stopping.store(true, Ordering::SeqCst);
        fixture.server.stop();
    });
    assert!(answered.load(Ordering::Relaxed) > 8);
    assert!(std::net::TcpStream::connect(address).is_err(), "nobody listens any more");
}
