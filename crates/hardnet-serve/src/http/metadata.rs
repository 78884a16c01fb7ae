//! Descriptions of the server and its models.

use serde_json::{Value, json};

use super::infer::{INPUT, Kind, VERSION};
use crate::model::{Classes, Model};

/// `GET /v2`.
pub(crate) fn server() -> Value {
    json!({
        "name": "hardnet",
        "version": env!("CARGO_PKG_VERSION"),
        "extensions": ["binary_tensor_data", "classification", "model_configuration"],
    })
}

/// `GET /v2/models/{model}`.
pub(crate) fn model(model: &Model, classes: &Classes) -> Value {
    let [channels, rows, columns] = classes.input_shape();
    let output = |kind: Kind| json!({ "name": kind.name(), "datatype": "FP32", "shape": [-1, classes.labels().len()] });
    json!({
        "name": model.name(),
        "versions": [VERSION],
        "platform": "hardnet",
        "inputs": [{ "name": INPUT, "datatype": "FP32", "shape": [-1, channels, rows, columns] }],
        "outputs": Kind::ALL.map(output),
    })
}

/// `GET /v2/models/{model}/config`, Triton's extension.
pub(crate) fn config(model: &Model, classes: &Classes) -> Value {
    let output =
        |kind: Kind| json!({ "name": kind.name(), "data_type": "TYPE_FP32", "dims": [classes.labels().len()] });
    json!({
        "name": model.name(),
        "platform": "hardnet",
        "backend": "hardnet",
        "max_batch_size": classes.batcher.capacity(),
        "input": [{ "name": INPUT, "data_type": "TYPE_FP32", "dims": classes.input_shape() }],
        "output": Kind::ALL.map(output),
    })
}
