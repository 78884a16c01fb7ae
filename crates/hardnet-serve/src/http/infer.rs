//! `POST /v2/models/{model}/infer`: the Open Inference Protocol with Triton's extensions for binary tensors and
//! classification.
//!
//! The one input, `input`, is FP32 `[n, channels, side, side]`, prepared images, or BYTES `[n]` or `[n, 1]`, image
//! files; in JSON, these are base64. The outputs are `logits` and `probabilities`.

mod outputs;
mod tensor;

use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::HeaderValue;
use serde::Deserialize;
use tokio::time::Instant;

use super::classify::answers;
use super::error::{HttpError, Result};
use super::request_images::from_json;
use super::response::HttpResponse;
use super::{base64_text, whole_number};
use crate::batcher::Input;
use crate::model::{Classes, Model};
pub(crate) use outputs::Kind;
use outputs::Outputs;
use tensor::Elements;

/// The header that says where JSON ends and binary data begins, in requests and responses.
pub(crate) const JSON_LENGTH: &str = "inference-header-content-length";

/// The one version of every model.
pub(crate) const VERSION: &str = "1";

/// Name of the input, as in exported ONNX files.
pub(crate) const INPUT: &str = "input";

/// The most outputs that a request may name.
const MAX_OUTPUTS: usize = 16;

#[derive(Deserialize)]
struct InferRequest {
    id: Option<String>,
    parameters: Option<Parameters>,
    inputs: Vec<InferInput>,
    outputs: Option<Vec<InferOutput>>,
}

/// The parameters that are known, of requests, inputs and outputs; others are ignored.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Parameters {
    #[serde(with = "whole_number", default)]
    binary_data_size: Option<u64>,
    binary_data: Option<bool>,
    binary_data_output: Option<bool>,
    #[serde(with = "whole_number", default)]
    classification: Option<u64>,
    /// Microseconds.
    #[serde(with = "whole_number", default)]
    timeout: Option<u64>,
}

#[derive(Deserialize)]
struct InferInput {
    name: String,
    shape: Vec<u64>,
    datatype: String,
    parameters: Option<Parameters>,
    data: Option<Elements>,
}

#[derive(Deserialize)]
struct InferOutput {
    name: String,
    parameters: Option<Parameters>,
}

/// A request that is read.
pub(crate) struct Inference {
    id: Option<String>,
    images: Vec<Input>,
    outputs: Outputs,
    /// The time that the client grants.
    pub(crate) timeout: Option<Duration>,
}

impl Inference {
    /// Reads the body of a request to `classes`. `json_length` is the value of the header [`JSON_LENGTH`].
    pub(crate) fn read(classes: &Classes, json_length: Option<&HeaderValue>, body: &Bytes) -> Result<Self> {
        let (json, binary) = match json_length {
            None => (body.clone(), Bytes::new()),
            Some(length) => {
                let length = length.to_str().ok().and_then(|length| length.parse().ok());
                let length = length.filter(|length: &usize| *length <= body.len()).ok_or_else(|| {
                    let expected = format!("expected at most {}, the length of the body", body.len());
                    HttpError::bad_request(format!("the header `{JSON_LENGTH}` is wrong, {expected}"))
                })?;
                (body.slice(..length), body.slice(length..))
            }
        };
        // The protocol has one status for what is wrong with a request.
        let request: InferRequest = from_json(&json).map_err(|error| HttpError::bad_request(error.message))?;
        let parameters = request.parameters.unwrap_or_default();
        let outputs = request.outputs.unwrap_or_default();
        if outputs.len() > MAX_OUTPUTS {
            return Err(HttpError::bad_request(format!("{} outputs, expected at most {MAX_OUTPUTS}", outputs.len())));
        }
        let outputs = Outputs::new(classes.labels().len(), &outputs, parameters)?;
        let [input] = &request.inputs[..] else {
            return Err(HttpError::bad_request(format!(
                "{} inputs, expected one, named `{INPUT}`",
                request.inputs.len()
            )));
        };
        let images = images(classes, input, &binary)?;
        let timeout = parameters.timeout.filter(|&timeout| timeout > 0).map(Duration::from_micros);
        Ok(Self { id: request.id, images, outputs, timeout })
    }

    /// Computes it.
    pub(crate) async fn run(self, model: &Model, classes: &Classes, deadline: Instant) -> Result<HttpResponse> {
        let answers = answers(&classes.batcher, self.images, deadline).await?;
        let rows: Vec<Vec<f32>> = answers.into_iter().map(|answer| answer.values).collect();
        self.outputs.response(model.name(), self.id, classes.labels(), &rows)
    }
}

/// The images of the one input, whose data is in JSON or in `binary`.
fn images(classes: &Classes, input: &InferInput, binary: &Bytes) -> Result<Vec<Input>> {
    let bad = |message: String| HttpError::bad_request(format!("the input `{}` {message}", input.name));
    if input.name != INPUT {
        return Err(bad(format!("is unknown, expected `{INPUT}`")));
    }
    let size = input.parameters.unwrap_or_default().binary_data_size;
    let data = match (size, &input.data) {
        (Some(size), None) if size == binary.len() as u64 => None,
        (Some(size), None) => return Err(bad(format!("has {size} bytes, {} follow the JSON", binary.len()))),
        (None, Some(_)) if !binary.is_empty() => return Err(bad(format!("does not use {} bytes", binary.len()))),
        (None, Some(data)) => Some(data),
        (None, None) => return Err(bad("has no data".into())),
        (Some(_), Some(_)) => return Err(bad("has data in JSON and after it".into())),
    };
    let capacity = classes.batcher.capacity();
    let count = |count: u64| match usize::try_from(count) {
        Ok(0) => Err(bad("has no images".into())),
        Ok(count) if count <= capacity => Ok(count),
        _ => Err(HttpError::too_large(format!("{count} images in one request, expected at most {capacity}"))),
    };
    match (input.datatype.as_str(), &input.shape[..]) {
        ("FP32", [images, shape @ ..]) if shape == classes.input_shape().map(|size| size as u64) => {
            let count = count(*images)?;
            let owned;
            let values = match data {
                Some(elements) if !elements.strings.is_empty() => {
                    return Err(bad("has strings, expected numbers".into()));
                }
                Some(elements) => &elements.numbers,
                None => {
                    owned = tensor::floats(binary)?;
                    &owned
                }
            };
            let expected = count * classes.input_shape().iter().product::<usize>();
            if values.len() != expected {
                return Err(bad(format!("has {} values, its shape has {expected}", values.len())));
            }
            Ok(values.chunks_exact(expected / count).map(|image| Input::Tensor(image.to_vec())).collect())
        }
        ("BYTES", [images] | [images, 1]) => {
            let count = count(*images)?;
            let files = match data {
                Some(elements) if !elements.numbers.is_empty() => {
                    return Err(bad("has numbers, expected images as base64".into()));
                }
                Some(elements) if elements.strings.len() != count => {
                    return Err(bad(format!("has {} values, its shape has {count}", elements.strings.len())));
                }
                Some(elements) => {
                    elements.strings.iter().map(|text| base64_text::decode(text)).collect::<Result<Vec<_>>>()?
                }
                None => tensor::byte_strings(binary, count)?,
            };
            Ok(files.into_iter().map(Input::File).collect())
        }
        (datatype, shape) => {
            let [channels, rows, columns] = classes.input_shape();
            Err(bad(format!("is {datatype} {shape:?}, expected FP32 [n, {channels}, {rows}, {columns}] or BYTES [n]")))
        }
    }
}
