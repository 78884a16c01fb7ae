//! The server over loopback.

mod client;
#[cfg(feature = "grpc")]
mod grpc;
mod infer;
mod limits;
mod load;
mod page;
mod segment;
mod stop;
#[cfg(feature = "tls")]
mod tls;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client::{Connection, send};
use hardnet_classifier::{Classifier, EmbedOptions, open_weights};
use hardnet_data::{Image, encode_png};
use hardnet_serve::{BatcherOptions, Log, Model, RequestRecord, Server, ServerOptions, Workers};
use serde_json::{Value, json};

const DEMO: &str = "hardnet39ds.fashion_mnist";

/// Keeps the records as JSON.
#[derive(Default)]
struct Records(Mutex<Vec<Value>>);

impl Log for Records {
    fn request(&self, record: &RequestRecord<'_>) {
        self.0.lock().unwrap().push(serde_json::to_value(record).unwrap());
    }
}

struct Fixture {
    server: Server,
    records: Arc<Records>,
    classifier: Classifier,
}

fn options() -> ServerOptions {
    ServerOptions::default().grace(Duration::from_millis(50)).threads(1)
}

fn batches() -> BatcherOptions {
    BatcherOptions::default().batch_size(4).capacity(16)
}

impl Fixture {
    /// A server that is ready.
    fn new(options: &ServerOptions) -> Self {
        Self::with_batches(options, &batches())
    }

    /// The same, with batches of the test.
    fn with_batches(options: &ServerOptions, batches: &BatcherOptions) -> Self {
        let fixture = Self::loading(options);
        fixture.make_ready(batches);
        fixture
    }

    /// Adds the model.
    fn make_ready(&self, batches: &BatcherOptions) {
        let workers = Arc::new(Workers::new(1).unwrap());
        let weights = open_weights(DEMO, &Default::default()).unwrap();
        let builder = || Classifier::builder().threads(1).batch_invariant(true);
        let embedder = builder().embedder(weights, &EmbedOptions::default()).unwrap();
        let model = Model::new("clothing").classifier(self.classifier.clone(), &workers, batches).unwrap();
        self.server.add(model.embedder(embedder, &workers, batches).unwrap());
    }

    /// A server without its model.
    fn loading(options: &ServerOptions) -> Self {
        let records = Arc::new(Records::default());
        let server = Server::start(([127, 0, 0, 1], 0).into(), ["clothing"], options, records.clone()).unwrap();
        let builder = Classifier::builder().threads(1).batch_invariant(true).activation_maps(true);
        let classifier = builder.from_pretrained(DEMO).unwrap();
        Self { server, records, classifier }
    }

    fn address(&self) -> SocketAddr {
        self.server.address()
    }
}

fn metrics(fixture: &Fixture) -> String {
    String::from_utf8(send(fixture.address(), "GET", "/metrics", &[], b"").body).unwrap()
}

/// An image as a file; `seed` tells images apart.
fn file(seed: u8) -> Vec<u8> {
    let samples = (0..30 * 28 * 3).map(|at: u32| (at * 7 + at * at * u32::from(seed) / 50) as u8).collect();
    encode_png(&Image::from_rgb8(30, 28, samples).unwrap()).unwrap()
}

/// The logits of an image of a response, which are f32.
fn floats(values: &Value) -> Vec<f32> {
    values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect()
}

#[test]
fn an_image_is_classified_from_a_body_a_form_and_json() {
    let fixture = Fixture::new(&options());
    let (image, address) = (file(1), fixture.address());
    let expected = fixture.classifier.classify(&image).unwrap();
    let form = [
        b"--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n\r\n",
        &image[..],
        b"\r\n--b--\r\n",
    ]
    .concat();
    let text = json!({ "image": STANDARD.encode(&image) }).to_string();
    let mut connection = Connection::open(address);
    for (content_type, body) in [
        ("image/png", &image),
        ("application/octet-stream", &image),
        ("multipart/form-data; boundary=b", &form),
        ("application/json", &text.into_bytes()),
    ] {
        let response = connection.send("POST", "/classify?topk=3&logits=true", &[("content-type", content_type)], body);
        assert_eq!(response.status, 200, "{content_type}: {response:?}");
        let found = response.json();
        assert_eq!(found["model"], "clothing");
        let found = &found["images"][0];
        assert_eq!(floats(&found["logits"]), expected.logits(), "{content_type}");
        let top = found["top"].as_array().unwrap();
        assert_eq!(top.len(), 3);
        for (found, expected) in top.iter().zip(expected.top(3)) {
            assert_eq!((&found["index"], &found["name"]), (&json!(expected.index), &json!(expected.name)));
            assert_eq!(found["probability"].as_f64().unwrap() as f32, expected.probability);
        }
        assert_eq!((&found["width"], &found["height"]), (&json!(30), &json!(28)));
    }
}

#[test]
fn several_images_of_a_request_have_answers_in_their_order() {
    let fixture = Fixture::new(&options());
    let images: Vec<String> = (1..6).map(|seed| STANDARD.encode(file(seed))).collect();
    let body = json!({ "images": images, "logits": true, "topk": 1 }).to_string();
    let response =
        send(fixture.address(), "POST", "/classify", &[("content-type", "application/json")], body.as_bytes());
    let found = response.json();
    assert_eq!(found["images"].as_array().unwrap().len(), 5);
    for (seed, image) in (1..6).zip(found["images"].as_array().unwrap()) {
        assert_eq!(floats(&image["logits"]), fixture.classifier.classify(file(seed)).unwrap().logits());
    }
}

#[test]
fn an_image_is_embedded() {
    let fixture = Fixture::new(&options());
    let response = send(fixture.address(), "POST", "/embed", &[("content-type", "image/png")], &file(1));
    let found = response.json();
    let weights = open_weights(DEMO, &Default::default()).unwrap();
    let embedder = Classifier::builder().threads(1).embedder(weights, &EmbedOptions::default()).unwrap();
    assert_eq!(found["shape"], json!(embedder.shape()));
    assert_eq!(floats(&found["images"][0]["embedding"]), embedder.embed(file(1)).unwrap());
}

#[test]
fn a_server_is_live_before_it_is_ready() {
    let fixture = Fixture::loading(&options());
    let get = |path: &str| send(fixture.address(), "GET", path, &[], b"");
    assert_eq!(get("/v2/health/live").status, 200);
    let ready = get("/v2/health/ready");
    assert_eq!((ready.status, ready.json()), (503, json!({ "ready": false, "live": true })));
    assert_eq!(get("/v2/models/clothing/ready").status, 503);
    assert_eq!(get("/v2/models/other/ready").status, 404);
    let refused = send(fixture.address(), "POST", "/classify", &[("content-type", "image/png")], &file(1));
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));

    let workers = Arc::new(Workers::new(1).unwrap());
    let model = Model::new("clothing").classifier(fixture.classifier.clone(), &workers, &BatcherOptions::default());
    fixture.server.add(model.unwrap());
    let ready = get("/v2/health/ready");
    assert_eq!((ready.status, ready.json()), (200, json!({ "ready": true, "live": true })));
    assert_eq!(get("/v2/models/clothing/ready").status, 200);
    assert_eq!(get("/v2/models/clothing/versions/1/ready").status, 200);
}

#[test]
fn a_request_is_logged_and_counted_without_its_image() {
    let fixture = Fixture::new(&options());
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [("content-type", "image/png"), ("x-request-id", "mine"), ("traceparent", trace)];
    let response = send(fixture.address(), "POST", "/classify?topk=1", &headers, &file(1));
    assert_eq!(response.header("x-request-id"), Some("mine"));
    let other = send(fixture.address(), "POST", "/classify", &[("content-type", "image/png")], b"no image");
    assert_eq!(other.status, 422);
    assert!(other.header("x-request-id").is_some_and(|id| id.len() > 16));
    let text = metrics(&fixture);
    for line in [
        "hardnet_requests_total{endpoint=\"/classify\",status=\"200\"} 1",
        "hardnet_requests_total{endpoint=\"/classify\",status=\"422\"} 1",
        "hardnet_images_total{model=\"clothing\",output=\"classes\",outcome=\"answered\"} 1",
        "hardnet_images_total{model=\"clothing\",output=\"classes\",outcome=\"failed\"} 1",
        "hardnet_decode_seconds_count{model=\"clothing\",output=\"classes\"} 2",
        "hardnet_queue_images{model=\"clothing\",output=\"classes\"} 0",
        "hardnet_ready 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    let records = fixture.records.0.lock().unwrap();
    let first = &records[0];
    assert_eq!(
        (&first["request_id"], &first["trace_id"], &first["parent_id"]),
        (&json!("mine"), &json!("4bf92f3577b34da6a3ce929d0e0e4736"), &json!("00f067aa0ba902b7"))
    );
    assert_eq!(
        (&first["method"], &first["path"], &first["status"]),
        (&json!("POST"), &json!("/classify"), &json!(200))
    );
    assert_eq!(first.get("error"), None);
    assert!(records[1]["error"].as_str().unwrap().contains("not an image"), "{}", records[1]);
}

#[test]
fn a_server_with_a_key_answers_those_who_have_it() {
    let fixture = Fixture::new(&options().api_key("secret"));
    let get = |path: &str, key: &str| send(fixture.address(), "GET", path, &[("authorization", key)], b"").status;
    assert_eq!(get("/v2", "Bearer secret"), 200);
    assert_eq!(get("/v2", "bearer secret"), 200);
    for key in ["Bearer wrong", "Bearer secrets", "secret", "Basic secret", ""] {
        assert_eq!(get("/v2", key), 401, "{key}");
    }
    assert_eq!((get("/v2/health/live", ""), get("/v2/health/ready", "")), (200, 200));
    let refused = send(fixture.address(), "POST", "/classify", &[], &file(1));
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")));
}
