//! Descriptions of the server and its models.

use serde_json::{Value, json};

use super::infer::{INPUT, Kind, VERSION};
use crate::model::{Model, Target};

/// `GET /v2`.
pub(crate) fn server() -> Value {
    json!({
        "name": "hardnet",
        "version": env!("CARGO_PKG_VERSION"),
        "extensions": ["binary_tensor_data", "classification", "model_configuration"],
    })
}

/// `GET /v2/models/{model}`.
pub(crate) fn model(model: &Model, target: Target<'_>) -> Value {
    let shape = |sizes: Vec<i64>| [-1].into_iter().chain(sizes).collect::<Vec<_>>();
    let input = match target.input_shape() {
        Some(sizes) => {
            json!({ "name": INPUT, "datatype": "FP32", "shape": shape(sizes.map(|size| size as i64).into()) })
        }
        None => json!({ "name": INPUT, "datatype": "BYTES", "shape": [-1] }),
    };
    let output =
        |kind: &Kind| json!({ "name": kind.name(), "datatype": kind.datatype(), "shape": shape(kind.shape(target)) });
    let outputs: Vec<Value> = Kind::all(target).iter().map(output).collect();
    json!({
        "name": model.name(),
        "versions": [VERSION],
        "platform": "hardnet",
        "inputs": [input],
        "outputs": outputs,
    })
}

/// `GET /v2/models/{model}/config`, Triton's extension.
pub(crate) fn config(model: &Model, target: Target<'_>) -> Value {
    let input = match target.input_shape() {
        Some(sizes) => json!({ "name": INPUT, "data_type": "TYPE_FP32", "dims": sizes }),
        None => json!({ "name": INPUT, "data_type": "TYPE_STRING", "dims": [1] }),
    };
    let output = |kind: &Kind| {
        let data_type = format!("TYPE_{}", kind.datatype());
        json!({ "name": kind.name(), "data_type": data_type, "dims": kind.shape(target) })
    };
    let outputs: Vec<Value> = Kind::all(target).iter().map(output).collect();
    json!({
        "name": model.name(),
        "platform": "hardnet",
        "backend": "hardnet",
        "max_batch_size": target.batcher().capacity(),
        "input": [input],
        "output": outputs,
    })
}
