//! Outputs of the Open Inference Protocol.

use hardnet_classifier::Labels;
use hardnet_eval::top_k;
use hyper::header::HeaderValue;
use serde::Serialize;

use super::{InferOutput, JSON_LENGTH, Parameters, VERSION};
use crate::http::error::{HttpError, Result};
use crate::http::response::{HttpResponse, content, json};

/// A value for each class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Logits,
    Probabilities,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Logits, Self::Probabilities];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Logits => "logits",
            Self::Probabilities => "probabilities",
        }
    }

    fn values(self, logits: &[f32]) -> Vec<f32> {
        match self {
            Self::Logits => logits.to_vec(),
            Self::Probabilities => {
                let mut values = vec![0.0; logits.len()];
                top_k(logits, logits.len()).into_iter().for_each(|hit| values[hit.index] = hit.probability);
                values
            }
        }
    }
}

/// The outputs that a request asks for.
#[derive(Debug)]
pub(super) struct Outputs {
    wanted: Vec<Wanted>,
}

#[derive(Debug)]
struct Wanted {
    kind: Kind,
    binary: bool,
    /// The number of classes to name, in place of all values.
    classification: Option<usize>,
}

#[derive(Serialize)]
struct InferResponse<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    model_name: &'a str,
    model_version: &'static str,
    outputs: Vec<OutputTensor>,
}

#[derive(Serialize)]
struct OutputTensor {
    name: &'static str,
    datatype: &'static str,
    shape: [usize; 2],
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<BinarySize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Values>,
}

#[derive(Serialize)]
struct BinarySize {
    binary_data_size: usize,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Values {
    Numbers(Vec<f32>),
    Strings(Vec<String>),
}

impl Outputs {
    /// The `outputs` of a request to a model of `classes` classes, all if it names none.
    pub(super) fn new(classes: usize, outputs: &[InferOutput], parameters: Parameters) -> Result<Self> {
        let all_binary = parameters.binary_data_output.unwrap_or(false);
        if outputs.is_empty() {
            let wanted = |kind| Wanted { kind, binary: all_binary, classification: None };
            return Ok(Self { wanted: Kind::ALL.map(wanted).into() });
        }
        let wanted = outputs.iter().map(|output| {
            let kind = Kind::ALL.into_iter().find(|kind| kind.name() == output.name).ok_or_else(|| {
                HttpError::bad_request(format!(
                    "the output `{}` is unknown, expected `logits` or `probabilities`",
                    output.name
                ))
            })?;
            let parameters = output.parameters.unwrap_or_default();
            let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX).min(classes);
            let classification = parameters.classification.filter(|&count| count > 0).map(count);
            Ok(Wanted { kind, binary: parameters.binary_data.unwrap_or(all_binary), classification })
        });
        Ok(Self { wanted: wanted.collect::<Result<_>>()? })
    }

    /// The response for images whose logits are `rows`.
    pub(super) fn response(
        &self,
        model: &str,
        id: Option<String>,
        labels: &Labels,
        rows: &[Vec<f32>],
    ) -> Result<HttpResponse> {
        let (mut outputs, mut binary) = (Vec::new(), Vec::new());
        for wanted in &self.wanted {
            let (datatype, columns, values) = match wanted.classification {
                Some(count) => {
                    let strings = rows.iter().flat_map(|row| wanted.kind.classification(row, count, labels));
                    ("BYTES", count, Values::Strings(strings.collect()))
                }
                None => {
                    let numbers = rows.iter().flat_map(|row| wanted.kind.values(row)).collect();
                    ("FP32", labels.len(), Values::Numbers(numbers))
                }
            };
            let (parameters, data) = if wanted.binary {
                let start = binary.len();
                values.append_to(&mut binary);
                (Some(BinarySize { binary_data_size: binary.len() - start }), None)
            } else {
                (None, Some(values))
            };
            outputs.push(OutputTensor {
                name: wanted.kind.name(),
                datatype,
                shape: [rows.len(), columns],
                parameters,
                data,
            });
        }
        let response = InferResponse { id, model_name: model, model_version: VERSION, outputs };
        if !self.wanted.iter().any(|wanted| wanted.binary) {
            return Ok(json(&response));
        }
        let mut body = serde_json::to_vec(&response)
            .map_err(|error| HttpError::new(hyper::StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
        let length = body.len();
        body.extend(binary);
        let mut response = content("application/octet-stream", body);
        response.headers_mut().insert(JSON_LENGTH, HeaderValue::from(length));
        Ok(response)
    }
}

impl Kind {
    /// The `count` largest values of an image as Triton writes them: `value:index:label`.
    fn classification(self, logits: &[f32], count: usize, labels: &Labels) -> Vec<String> {
        let hits = labels.hits(logits, count).into_iter();
        hits.map(|hit| {
            let value = match self {
                Self::Logits => logits[hit.index],
                Self::Probabilities => hit.probability,
            };
            format!("{value:.6}:{}:{}", hit.index, hit.name)
        })
        .collect()
    }
}

impl Values {
    fn append_to(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Numbers(values) => bytes.extend(values.iter().flat_map(|value| value.to_le_bytes())),
            Self::Strings(strings) => {
                for string in strings {
                    // A label is far shorter than 4 GB.
                    bytes.extend((string.len() as u32).to_le_bytes());
                    bytes.extend(string.as_bytes());
                }
            }
        }
    }
}
