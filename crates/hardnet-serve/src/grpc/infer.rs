//! `ModelInfer`: the messages of requests and responses.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::body::Bytes;
use prost::Message;

use super::bounds;
use super::protocol::infer_parameter::ParameterChoice;
use super::protocol::model_infer_response::InferOutputTensor;
use super::protocol::{InferParameter, InferTensorContents, ModelInferRequest, ModelInferResponse};
use crate::http::error::{HttpError, Result};
use crate::http::infer::{
    Data, Inference, Output, Outputs, Tensor, VERSION, Values, Wish, bad_input, images, one_input,
};
use crate::model::{Model, Target};

type Parameters = BTreeMap<String, InferParameter>;

/// A message that is read, but for what depends on its model.
pub(crate) struct Request(ModelInferRequest);

impl Request {
    /// Decodes `message`.
    pub(crate) fn decode(message: Bytes) -> Result<Self> {
        bounds::check(&message)?;
        let malformed = |error| HttpError::bad_request(format!("the message is not of the protocol: {error}"));
        Ok(Self(ModelInferRequest::decode(message).map_err(malformed)?))
    }

    /// Name and version of the model.
    pub(super) fn model(&self) -> (&str, &str) {
        (&self.0.model_name, &self.0.model_version)
    }

    /// Whether tensors come as bytes. They are then answered so.
    pub(super) fn is_raw(&self) -> bool {
        !self.0.raw_input_contents.is_empty()
    }

    /// Reads tensors and outputs for `target`.
    pub(crate) fn read(self, target: Target<'_>) -> Result<Inference> {
        let request = self.0;
        let wishes = request.outputs.iter().map(|output| {
            let classification = whole(&output.parameters, "classification")?;
            Ok(Wish { name: &output.name, binary: true, classification })
        });
        let outputs = Outputs::new(target, &wishes.collect::<Result<Vec<_>>>()?, true)?;
        let [input] = &request.inputs[..] else { return Err(one_input(request.inputs.len())) };
        let bad = |message: &str| bad_input(&input.name, message);
        let sizes = input.shape.iter().map(|&size| u64::try_from(size).map_err(|_| bad("has a negative size")));
        let shape: Vec<u64> = sizes.collect::<Result<_>>()?;
        let data = match (&request.raw_input_contents[..], &input.contents) {
            ([raw], None) => Data::Raw(raw),
            // Some clients send empty contents with raw ones.
            ([raw], Some(contents)) if contents.encoded_len() == 0 => Data::Raw(raw),
            ([], Some(contents)) if input.datatype == "FP32" => Data::Floats(&contents.fp32_contents),
            ([], Some(contents)) if input.datatype == "BYTES" => Data::Files(&contents.bytes_contents),
            ([], Some(_)) => Data::Floats(&[]),
            ([], None) => return Err(bad("has no data")),
            (_, Some(_)) => return Err(bad("has data in contents and in raw_input_contents")),
            (raw, None) => return Err(bad(&format!("is one, raw_input_contents are {}", raw.len()))),
        };
        let tensor = Tensor { name: &input.name, datatype: &input.datatype, shape: &shape, data };
        let images = images(target, &tensor)?;
        let timeout = whole(&request.parameters, "timeout")?.filter(|&time| time > 0).map(Duration::from_micros);
        Ok(Inference { id: Some(request.id), images, outputs, timeout })
    }
}

/// The parameter `name`, a whole number from zero on.
fn whole(parameters: &Parameters, name: &str) -> Result<Option<u64>> {
    let wrong = || HttpError::bad_request(format!("the parameter `{name}`, expected a whole number"));
    match parameters.get(name).and_then(|parameter| parameter.parameter_choice.as_ref()) {
        None => Ok(None),
        Some(ParameterChoice::Int64Param(value)) => u64::try_from(*value).map(Some).map_err(|_| wrong()),
        Some(ParameterChoice::Uint64Param(value)) => Ok(Some(*value)),
        Some(_) => Err(wrong()),
    }
}

/// The answer of `model` with `outputs`.
pub(super) fn response(model: &Model, id: Option<String>, outputs: Vec<Output>, raw: bool) -> ModelInferResponse {
    let mut response = ModelInferResponse {
        model_name: model.name().into(),
        model_version: VERSION.into(),
        id: id.unwrap_or_default(),
        ..ModelInferResponse::default()
    };
    for output in outputs {
        let contents = if raw {
            let mut bytes = Vec::new();
            output.values.append_to(&mut bytes);
            response.raw_output_contents.push(bytes.into());
            None
        } else {
            Some(contents(output.values))
        };
        response.outputs.push(InferOutputTensor {
            name: output.name.into(),
            datatype: output.datatype.into(),
            shape: output.shape.into_iter().map(|size| size as i64).collect(),
            parameters: Parameters::new(),
            contents,
        });
    }
    response
}

fn contents(values: Values) -> InferTensorContents {
    match values {
        Values::Numbers(values) => InferTensorContents { fp32_contents: values, ..Default::default() },
        Values::Bytes(values) => {
            InferTensorContents { uint_contents: values.into_iter().map(u32::from).collect(), ..Default::default() }
        }
        Values::Strings(strings) => {
            InferTensorContents { bytes_contents: strings.into_iter().map(Bytes::from).collect(), ..Default::default() }
        }
    }
}
