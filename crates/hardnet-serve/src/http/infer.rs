//! `POST /v2/models/{model}/infer`: the Open Inference Protocol with Triton's extensions for binary tensors and
//! classification.
//!
//! The one input, `input`, is FP32 `[n, channels, side, side]`, prepared images, or BYTES `[n]` or `[n, 1]`, image
//! files; in JSON, these are base64. The outputs are `logits` and `probabilities`, or the `classes`
//! of pixels, UINT8 `[n, rows, columns]`.

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
use crate::model::{Model, Target};
#[cfg(feature = "grpc")]
pub(crate) use outputs::Values;
pub(crate) use outputs::{Kind, Output, Outputs, Wish};
use tensor::Elements;

/// The header that says where JSON ends and binary data begins, in requests and responses.
pub(crate) const JSON_LENGTH: &str = "inference-header-content-length";

/// The one version of every model.
pub(crate) const VERSION: &str = "1";

/// Name of the input, as in exported ONNX files.
pub(crate) const INPUT: &str = "input";

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

/// A request that is read, in either encoding.
pub(crate) struct Inference {
    pub(crate) id: Option<String>,
    pub(crate) images: Vec<Input>,
    pub(crate) outputs: Outputs,
    /// The time that the client grants.
    pub(crate) timeout: Option<Duration>,
}

/// The one input of a request.
pub(crate) struct Tensor<'a> {
    pub(crate) name: &'a str,
    pub(crate) datatype: &'a str,
    pub(crate) shape: &'a [u64],
    pub(crate) data: Data<'a>,
}

/// The elements of an input in row-major order.
pub(crate) enum Data<'a> {
    Floats(&'a [f32]),
    /// Image files as base64, and the body that has them.
    Texts(&'a [String], &'a Bytes),
    /// Image files.
    #[cfg(feature = "grpc")]
    Files(&'a [Bytes]),
    /// Bytes in the order of the datatype.
    Raw(&'a Bytes),
}

impl Inference {
    /// Reads the body of a request to `target`. `json_length` is the value of the header [`JSON_LENGTH`].
    pub(crate) fn read(target: Target<'_>, json_length: Option<&HeaderValue>, body: &Bytes) -> Result<Self> {
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
        let all_binary = parameters.binary_data_output.unwrap_or(false);
        let wishes: Vec<Wish<'_>> = request.outputs.iter().flatten().map(|output| output.wish(all_binary)).collect();
        let outputs = Outputs::new(target, &wishes, all_binary)?;
        let [input] = &request.inputs[..] else { return Err(one_input(request.inputs.len())) };
        let images = images(target, &input.tensor(&json, &binary)?)?;
        let timeout = parameters.timeout.filter(|&timeout| timeout > 0).map(Duration::from_micros);
        Ok(Self { id: request.id, images, outputs, timeout })
    }

    /// Computes it and answers over HTTP.
    pub(crate) async fn run(self, model: &Model, target: Target<'_>, deadline: Instant) -> Result<HttpResponse> {
        let (id, outputs) = self.compute(target, deadline).await?;
        outputs::response(model.name(), id, outputs)
    }

    /// Computes it.
    pub(crate) async fn compute(self, target: Target<'_>, deadline: Instant) -> Result<(Option<String>, Vec<Output>)> {
        let answers = answers(target.batcher(), self.images, deadline).await?;
        Ok((self.id, self.outputs.values(target, &answers)?))
    }
}

/// The error of a request with `count` inputs.
pub(crate) fn one_input(count: usize) -> HttpError {
    HttpError::bad_request(format!("{count} inputs, expected one, named `{INPUT}`"))
}

/// The error of the input called `name`.
pub(crate) fn bad_input(name: &str, message: impl std::fmt::Display) -> HttpError {
    HttpError::bad_request(format!("the input `{name}` {message}"))
}

impl InferOutput {
    fn wish(&self, all_binary: bool) -> Wish<'_> {
        let parameters = self.parameters.unwrap_or_default();
        Wish {
            name: &self.name,
            binary: parameters.binary_data.unwrap_or(all_binary),
            classification: parameters.classification,
        }
    }
}

impl InferInput {
    /// The tensor, whose data is in `json` or in `binary`.
    fn tensor<'a>(&'a self, json: &'a Bytes, binary: &'a Bytes) -> Result<Tensor<'a>> {
        let bad = |message: String| bad_input(&self.name, message);
        let size = self.parameters.unwrap_or_default().binary_data_size;
        let data = match (size, &self.data) {
            (Some(size), None) if size == binary.len() as u64 => Data::Raw(binary),
            (Some(size), None) => return Err(bad(format!("has {size} bytes, {} follow the JSON", binary.len()))),
            (None, Some(_)) if !binary.is_empty() => return Err(bad(format!("does not use {} bytes", binary.len()))),
            (None, Some(elements)) => match (&elements.numbers[..], &elements.strings[..]) {
                ([_, ..], [_, ..]) => return Err(bad("has numbers and strings".into())),
                (numbers, []) if self.datatype == "FP32" => Data::Floats(numbers),
                ([], strings) => Data::Texts(strings, json),
                (numbers, []) => Data::Floats(numbers),
            },
            (None, None) => return Err(bad("has no data".into())),
            (Some(_), Some(_)) => return Err(bad("has data in JSON and after it".into())),
        };
        Ok(Tensor { name: &self.name, datatype: &self.datatype, shape: &self.shape, data })
    }
}

/// The images of an input.
pub(crate) fn images(target: Target<'_>, input: &Tensor<'_>) -> Result<Vec<Input>> {
    let bad = |message: String| bad_input(input.name, message);
    if input.name != INPUT {
        return Err(bad(format!("is unknown, expected `{INPUT}`")));
    }
    let capacity = target.batcher().capacity();
    let count = |count: u64| match usize::try_from(count) {
        Ok(0) => Err(bad("has no images".into())),
        Ok(count) if count <= capacity => Ok(count),
        _ => Err(HttpError::too_large(format!("{count} images in one request, expected at most {capacity}"))),
    };
    let sizes = target.input_shape();
    let expected_shape = sizes.map(|sizes| sizes.map(|size| size as u64));
    match (input.datatype, input.shape) {
        ("FP32", [images, shape @ ..]) if expected_shape.is_some_and(|expected| shape == expected) => {
            let count = count(*images)?;
            let owned;
            let values = match input.data {
                Data::Floats(values) => values,
                Data::Raw(bytes) => {
                    owned = tensor::floats(bytes)?;
                    &owned
                }
                _ => return Err(bad("has strings, expected numbers".into())),
            };
            let length: usize = sizes.iter().flatten().product();
            if count.checked_mul(length) != Some(values.len()) {
                return Err(bad(format!("has {} values, expected {count} times {length}", values.len())));
            }
            Ok(values.chunks_exact(length).map(|image| Input::Tensor(image.to_vec())).collect())
        }
        ("BYTES", [images] | [images, 1]) => {
            let count = count(*images)?;
            let files = match input.data {
                Data::Floats(_) => return Err(bad("has numbers, expected images".into())),
                Data::Texts(texts, body) if texts.len() == count => {
                    texts.iter().map(|text| base64_text::decode(text, body)).collect::<Result<Vec<_>>>()?
                }
                #[cfg(feature = "grpc")]
                Data::Files(files) if files.len() == count => files.to_vec(),
                Data::Raw(bytes) => tensor::byte_strings(bytes, count)?,
                Data::Texts(..) => return Err(bad(format!("does not have {count} values, as its shape says"))),
                #[cfg(feature = "grpc")]
                Data::Files(_) => return Err(bad(format!("does not have {count} values, as its shape says"))),
            };
            Ok(files.into_iter().map(Input::File).collect())
        }
        (datatype, shape) => {
            let prepared = sizes.map_or(String::new(), |[channels, rows, columns]| {
                format!("FP32 [n, {channels}, {rows}, {columns}] or ")
            });
            Err(bad(format!("is {datatype} {shape:?}, expected {prepared}BYTES [n]")))
        }
    }
}
