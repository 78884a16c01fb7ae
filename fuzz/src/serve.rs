//! The readers of the server's requests.

use std::sync::{Arc, OnceLock};

use hardnet_classifier::Classifier;
use hardnet_graph::Config;
use hardnet_params::Metadata;
use hardnet_params::synthetic::Synthetic;
use hardnet_serve::{BatcherOptions, Model, Workers, fuzzing};

/// A network of a few layers for images of 8x8.
const NETWORK: &str = r#"
in_channels = 3
activation = "relu6"
downsample = "max_pool"
depthwise = false
blocks = [{ layers = 4, growth = 4, multiplier = 1.7, dropout = 0.5, transition = 8, downsample = true }]
[stem]
convs = [{ channels = 4, kernel = 3, stride = 2 }]
padding = "symmetric"
[head]
classes = 3
dropout = 0.1
"#;

/// Values of a prepared image.
const VALUES: usize = 3 * 8 * 8;

/// Images of a request, at most.
const CAPACITY: usize = 8;

fn model() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| {
        let metadata = Metadata::new(Config::from_toml(NETWORK).expect("a network"));
        let builder = Classifier::builder().threads(1).image_size(8).batch_invariant(true);
        let classifier = builder.from_parameters(&metadata, &Synthetic).expect("a classifier");
        let workers = Arc::new(Workers::new(1).expect("a thread"));
        let options = BatcherOptions::default().capacity(CAPACITY).batch_size(1);
        Model::new("model").classifier(classifier, &workers, &options).expect("a model")
    })
}

/// Reads a request: `i`, a line with its content type, and its body; `u` and a URL; `v`, a line with the header before
/// binary tensors, and a body of the Open Inference Protocol; or `g` and a message of gRPC. Images are not longer than
/// their request, or are tensors of the network.
pub fn serve(bytes: &[u8]) -> bool {
    let Some((kind, rest)) = bytes.split_first() else { return false };
    let (line, body) = match rest.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&rest[..end], &rest[end + 1..]),
        None => (rest, &b""[..]),
    };
    let line = || std::str::from_utf8(line).ok();
    let (read, protocol) = match kind {
        b'i' => (line().map(|content_type| fuzzing::image_request(content_type, body)), false),
        b'u' => (std::str::from_utf8(rest).ok().map(fuzzing::url), false),
        b'v' => {
            let header = || line().map(|line| Some(line).filter(|line| !line.is_empty()));
            (header().map(|header| fuzzing::inference(model(), header, body)), true)
        }
        b'g' => (Some(fuzzing::call(model(), rest)), true),
        _ => (None, false),
    };
    match read {
        None => false,
        Some(Ok(images)) => {
            let files: usize = images.iter().filter(|&&length| !protocol || length != 4 * VALUES).sum();
            assert!(files <= bytes.len(), "images of {files} bytes in {} bytes", bytes.len());
            assert!(!protocol || (1..=CAPACITY).contains(&images.len()), "{} images", images.len());
            true
        }
        Some(Err((status, message))) => {
            assert!((400..500).contains(&status), "{status}: {message}");
            let is_line = !message.is_empty() && message.len() < 4096 && !message.contains(char::is_control);
            assert!(is_line, "not a line of less than 4096 bytes: {message:?}");
            false
        }
    }
}
