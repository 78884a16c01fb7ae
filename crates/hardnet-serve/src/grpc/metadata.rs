//! Descriptions of the server and its models.

use super::protocol::model_metadata_response::TensorMetadata;
use super::protocol::{ModelMetadataResponse, ServerMetadataResponse};
use crate::http::infer::{INPUT, Kind, VERSION};
use crate::model::{Model, Target};

/// The server.
pub(super) fn server() -> ServerMetadataResponse {
    ServerMetadataResponse {
        name: "hardnet".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        extensions: vec!["classification".into()],
    }
}

/// A model.
pub(super) fn model(model: &Model, target: Target<'_>) -> ModelMetadataResponse {
    let tensor = |name: &str, datatype: &str, sizes: Vec<i64>| TensorMetadata {
        name: name.into(),
        datatype: datatype.into(),
        // -1 is any number of images.
        shape: [-1].into_iter().chain(sizes).collect(),
    };
    let input = match target.input_shape() {
        Some(sizes) => tensor(INPUT, "FP32", sizes.map(|size| size as i64).into()),
        None => tensor(INPUT, "BYTES", Vec::new()),
    };
    let output = |kind: &Kind| tensor(kind.name(), kind.datatype(), kind.shape(target));
    ModelMetadataResponse {
        name: model.name().into(),
        versions: vec![VERSION.into()],
        platform: "hardnet".into(),
        inputs: vec![input],
        outputs: Kind::all(target).iter().map(output).collect(),
    }
}
