//! Descriptions of the server and its models.

use super::protocol::model_metadata_response::TensorMetadata;
use super::protocol::{ModelMetadataResponse, ServerMetadataResponse};
use crate::http::infer::{INPUT, Kind, VERSION};
use crate::model::{Classes, Model};

/// The server.
pub(super) fn server() -> ServerMetadataResponse {
    ServerMetadataResponse {
        name: "hardnet".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        extensions: vec!["classification".into()],
    }
}

/// A model that classifies.
pub(super) fn model(model: &Model, classes: &Classes) -> ModelMetadataResponse {
    let tensor = |name: &str, sizes: &[usize]| TensorMetadata {
        name: name.into(),
        datatype: "FP32".into(),
        // -1 is any number of images. Sizes are far below the largest number.
        shape: [-1].into_iter().chain(sizes.iter().map(|&size| size as i64)).collect(),
    };
    ModelMetadataResponse {
        name: model.name().into(),
        versions: vec![VERSION.into()],
        platform: "hardnet".into(),
        inputs: vec![tensor(INPUT, &classes.input_shape())],
        outputs: Kind::ALL.map(|kind| tensor(kind.name(), &[classes.labels().len()])).into(),
    }
}
