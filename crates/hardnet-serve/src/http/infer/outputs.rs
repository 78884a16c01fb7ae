//! Outputs of the Open Inference Protocol.

use hardnet_classifier::Labels;
use hardnet_eval::top_k;
use hyper::header::HeaderValue;
use serde::Serialize;

use super::{JSON_LENGTH, VERSION};
use crate::batcher::Answer;
use crate::http::error::{HttpError, Result};
use crate::http::response::{HttpResponse, content, json};
use crate::model::Target;

/// The most outputs that a request may name.
const MAX_OUTPUTS: usize = 16;

/// What an output has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A value for each class.
    Logits,
    /// The same as probabilities.
    Probabilities,
    /// The class of each pixel.
    Pixels,
}

impl Kind {
    /// All that `target` has.
    pub(crate) fn all(target: Target<'_>) -> &'static [Self] {
        match target {
            Target::Classes(_) => &[Self::Logits, Self::Probabilities],
            Target::Pixels(_) => &[Self::Pixels],
        }
    }

    /// Its type, in the protocol's words.
    pub(crate) fn datatype(self) -> &'static str {
        if self == Self::Pixels { "UINT8" } else { "FP32" }
    }

    /// Sizes after the number of images; -1 is any.
    pub(crate) fn shape(self, target: Target<'_>) -> Vec<i64> {
        // There are at most thousands of classes.
        if self == Self::Pixels { vec![-1, -1] } else { vec![target.classes() as i64] }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Logits => "logits",
            Self::Probabilities => "probabilities",
            Self::Pixels => "classes",
        }
    }

    fn values(self, logits: &[f32]) -> Vec<f32> {
        match self {
            Self::Logits | Self::Pixels => logits.to_vec(),
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
pub(crate) struct Outputs {
    wanted: Vec<Wanted>,
}

/// An output that a request names.
pub(crate) struct Wish<'a> {
    pub(crate) name: &'a str,
    pub(crate) binary: bool,
    /// The number of classes to name, in place of all values.
    pub(crate) classification: Option<u64>,
}

#[derive(Debug)]
struct Wanted {
    kind: Kind,
    binary: bool,
    classification: Option<usize>,
}

/// An output tensor.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) name: &'static str,
    pub(crate) datatype: &'static str,
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Values,
    /// Whether it is asked for as bytes after the JSON.
    binary: bool,
}

/// The elements of an output.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Values {
    Numbers(Vec<f32>),
    Strings(Vec<String>),
    Bytes(Vec<u8>),
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
    shape: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<BinarySize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Values>,
}

#[derive(Serialize)]
struct BinarySize {
    binary_data_size: usize,
}

impl Outputs {
    /// The outputs that a request to `target` names, all if it names none.
    pub(crate) fn new(target: Target<'_>, wishes: &[Wish<'_>], all_binary: bool) -> Result<Self> {
        if wishes.len() > MAX_OUTPUTS {
            return Err(HttpError::bad_request(format!("{} outputs, expected at most {MAX_OUTPUTS}", wishes.len())));
        }
        if wishes.is_empty() {
            let wanted = |&kind| Wanted { kind, binary: all_binary, classification: None };
            return Ok(Self { wanted: Kind::all(target).iter().map(wanted).collect() });
        }
        let wanted = wishes.iter().map(|wish| {
            let all = Kind::all(target);
            let kind = *all.iter().find(|kind| kind.name() == wish.name).ok_or_else(|| {
                let names: Vec<String> = all.iter().map(|kind| format!("`{}`", kind.name())).collect();
                let expected = names.join(" or ");
                HttpError::bad_request(format!("the output `{}` is unknown, expected {expected}", wish.name))
            })?;
            if kind == Kind::Pixels && wish.classification.is_some_and(|count| count > 0) {
                return Err(HttpError::bad_request("`classification` is for networks that classify"));
            }
            let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX).min(target.classes());
            let classification = wish.classification.filter(|&count| count > 0).map(count);
            Ok(Wanted { kind, binary: wish.binary, classification })
        });
        Ok(Self { wanted: wanted.collect::<Result<_>>()? })
    }

    /// The outputs of images.
    pub(super) fn values(&self, target: Target<'_>, answers: &[Answer]) -> Result<Vec<Output>> {
        match target {
            Target::Classes(classes) => Ok(self.by_class(classes.labels(), answers)),
            Target::Pixels(_) => self.maps(answers),
        }
    }

    fn maps(&self, answers: &[Answer]) -> Result<Vec<Output>> {
        let (width, height) = answers.first().map_or((0, 0), |answer| answer.size);
        if let Some(other) = answers.iter().find(|answer| answer.size != (width, height)) {
            let found = format!("{width}x{height} and {}x{}", other.size.0, other.size.1);
            return Err(HttpError::bad_request(format!("images of {found}, expected one size in a request")));
        }
        let output = |wanted: &Wanted| {
            // A class is a byte.
            let values = answers.iter().flat_map(|answer| answer.values.iter().map(|&class| class as u8));
            Output {
                name: wanted.kind.name(),
                datatype: wanted.kind.datatype(),
                shape: vec![answers.len(), height, width],
                values: Values::Bytes(values.collect()),
                binary: wanted.binary,
            }
        };
        Ok(self.wanted.iter().map(output).collect())
    }

    fn by_class(&self, labels: &Labels, answers: &[Answer]) -> Vec<Output> {
        let rows: Vec<&[f32]> = answers.iter().map(|answer| &answer.values[..]).collect();
        let output = |wanted: &Wanted| {
            let (datatype, columns, values) = match wanted.classification {
                Some(count) => {
                    let strings = rows.iter().flat_map(|row| wanted.kind.classification(row, count, labels));
                    ("BYTES", count, Values::Strings(strings.collect()))
                }
                None => {
                    let numbers = rows.iter().flat_map(|row| wanted.kind.values(row)).collect();
                    (wanted.kind.datatype(), labels.len(), Values::Numbers(numbers))
                }
            };
            let shape = vec![rows.len(), columns];
            Output { name: wanted.kind.name(), datatype, shape, values, binary: wanted.binary }
        };
        self.wanted.iter().map(output).collect()
    }
}

/// The response with `outputs` over HTTP.
pub(super) fn response(model: &str, id: Option<String>, outputs: Vec<Output>) -> Result<HttpResponse> {
    let any_binary = outputs.iter().any(|output| output.binary);
    let mut binary = Vec::new();
    let tensor = |output: Output| {
        let Output { name, datatype, shape, values, binary: is_binary } = output;
        let (parameters, data) = if is_binary {
            let start = binary.len();
            values.append_to(&mut binary);
            (Some(BinarySize { binary_data_size: binary.len() - start }), None)
        } else {
            (None, Some(values))
        };
        OutputTensor { name, datatype, shape, parameters, data }
    };
    let outputs = outputs.into_iter().map(tensor).collect();
    let response = InferResponse { id, model_name: model, model_version: VERSION, outputs };
    if !any_binary {
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

impl Kind {
    /// The `count` largest values of an image as Triton writes them: `value:index:label`.
    fn classification(self, logits: &[f32], count: usize, labels: &Labels) -> Vec<String> {
        let hits = labels.hits(logits, count).into_iter();
        hits.map(|hit| {
            let value = match self {
                Self::Logits | Self::Pixels => logits[hit.index],
                Self::Probabilities => hit.probability,
            };
            format!("{value:.6}:{}:{}", hit.index, hit.name)
        })
        .collect()
    }
}

impl Values {
    /// Appends the elements as bytes in the order of the protocol.
    pub(crate) fn append_to(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Bytes(values) => bytes.extend_from_slice(values),
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
