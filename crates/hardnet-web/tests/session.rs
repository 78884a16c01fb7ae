//! A session gives what a classifier gives.

use hardnet_classifier::Classifier;
use hardnet_data::{Image, encode_png};
use hardnet_web::Session;

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../weights/demo/fashion_mnist/hardnet39ds.safetensors");

fn picture() -> Vec<u8> {
    let samples = (0..28 * 28 * 3_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    encode_png(&Image::from_rgb8(28, 28, samples).unwrap()).unwrap()
}

fn session() -> Session {
    Session::open("demo.safetensors", std::fs::read(DEMO).unwrap(), 1).unwrap()
}

#[test]
fn classes_and_maps_are_those_of_the_classifier() {
    let (mut session, picture) = (session(), picture());
    let opened = session.opened();
    assert_eq!((opened.model.as_str(), opened.classes, opened.size, opened.precision), ("hardnet39ds", 10, 64, "f32"));
    let shown = session.classify(&picture, 3, false).unwrap();
    let classifier = Classifier::builder().threads(1).batch_size(1).activation_maps(true).load(DEMO).unwrap();
    let expected = classifier.classify(picture.as_slice()).unwrap();
    assert_eq!((shown.logits.as_slice(), shown.width, shown.height), (expected.logits(), 28, 28));
    let top: Vec<_> = expected.top(3).into_iter().map(|hit| (hit.index, hit.name, hit.probability)).collect();
    assert_eq!(shown.top.iter().map(|hit| (hit.index, hit.name.clone(), hit.probability)).collect::<Vec<_>>(), top);

    let image = classifier.pipeline().decode_options().decode(&picture).unwrap().image;
    let prepared = classifier.prepare(&image).unwrap();
    assert_eq!(session.logits(&prepared).unwrap(), expected.logits());
    assert!(session.logits(&prepared[1..]).is_err());
    let map = classifier.activation_map(prepared, top[0].0).unwrap();
    let drawn = encode_png(&map.draw(&image, classifier.pipeline().region((28, 28)))).unwrap();
    assert_eq!(session.activation_map(top[0].0).unwrap(), drawn);
}

#[test]
fn errors_are_for_users_and_leave_the_session_as_it_was() {
    let mut session = session();
    assert_eq!(session.activation_map(0).unwrap_err().to_string(), "no image is shown");
    session.classify(&picture(), 1, false).unwrap();
    let map = session.activation_map(0).unwrap();
    assert!(session.classify(&picture()[..60], 1, false).is_err());
    assert_eq!(session.activation_map(0).unwrap(), map);
    assert!(session.activation_map(10).is_err());
    let error = Session::open("x.pth", b"nothing".to_vec(), 1).unwrap_err().to_string();
    assert!(error.contains("`x.pth` is not a readable model file"), "{error}");
}
