//! The page, and the maps that it shows.

use hardnet_data::{DecodeLimits, decode, encode_png};

use super::client::{Connection, send};
use super::{Fixture, file, options};

#[test]
fn a_server_sends_its_page_even_where_it_has_a_key() {
    let fixture = Fixture::new(&options().api_key("key"));
    let mut connection = Connection::open(fixture.address());
    for (path, content_type, part) in [
        ("/", "text/html; charset=utf-8", "<h1>HarDNet</h1>"),
        ("/style.css", "text/css; charset=utf-8", "body"),
        ("/app.js", "text/javascript; charset=utf-8", "import { Classifier } from \"./classifier.js\""),
        ("/classifier.js", "text/javascript; charset=utf-8", "export class Classifier"),
    ] {
        let response = connection.send("GET", path, &[], &[]);
        assert_eq!((response.status, response.header("content-type")), (200, Some(content_type)), "{path}");
        assert!(String::from_utf8(response.body).unwrap().contains(part), "{path}");
    }
    assert_eq!(connection.send("GET", "/worker.js", &[], &[]).status, 404);
    assert_eq!(connection.send("POST", "/", &[], &[]).status, 405);
    assert_eq!(connection.send("POST", "/activation-map?class=1", &[], &file(1)).status, 401);
}

#[test]
fn an_activation_map_is_drawn_as_by_the_classifier() {
    let fixture = Fixture::new(&options());
    let image = file(1);
    let decoded = decode(&image, &DecodeLimits::default()).unwrap().image;
    let prepared = fixture.classifier.prepare(&decoded).unwrap();
    let map = fixture.classifier.activation_map(prepared, 7).unwrap();
    let region = fixture.classifier.pipeline().region((30, 28));
    let expected = encode_png(&map.draw(&decoded, region)).unwrap();
    let response = send(fixture.address(), "POST", "/activation-map?class=7&model=clothing", &[], &image);
    assert_eq!((response.status, response.header("content-type")), (200, Some("image/png")));
    assert!(response.body == expected, "another picture");

    for (query, body, message) in [
        ("class=10", &image[..], "expected a number below 10"),
        ("", &image, "`class` is missing"),
        ("class=-1", &image, "`class` is missing or not a class"),
        ("class=1", b"not an image", "not"),
    ] {
        let response = send(fixture.address(), "POST", &format!("/activation-map?{query}"), &[], body);
        assert_eq!(response.status, 422, "{query}");
        assert!(response.error().contains(message), "{query}: {}", response.error());
    }
}
