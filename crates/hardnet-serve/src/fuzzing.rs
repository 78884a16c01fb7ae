//! The readers of requests for fuzzing, which has no connection. Not part of the API.

use hyper::body::Bytes;
use hyper::header::HeaderValue;

use crate::batcher::Input;
use crate::http::error::HttpError;
use crate::http::infer::Inference;
use crate::http::query;
use crate::http::request_images::{ImageRequest, Settings};
use crate::http::router::{Route, target};
use crate::model::Model;

/// Bytes of the images of a request, or the status and message of an error.
type Read = Result<Vec<usize>, (u16, String)>;

fn refused(error: HttpError) -> (u16, String) {
    (error.status.as_u16(), error.message)
}

/// Reads a request with images as its body, a form or JSON.
pub fn image_request(content_type: &str, body: &[u8]) -> Read {
    let body = Bytes::copy_from_slice(body);
    let request = ImageRequest::new(Some(content_type), &body, Settings::default()).map_err(refused)?;
    Ok(request.images.iter().map(Bytes::len).collect())
}

/// Reads the URL of a request: its path and query.
pub fn url(url: &str) -> Read {
    let (path, parameters) = url.split_once('?').map_or((url, None), |(path, query)| (path, Some(query)));
    Route::of(path).map_err(refused)?;
    Settings::of_query(query::parameters(parameters).map_err(refused)?).map_err(refused)?;
    Ok(Vec::new())
}

/// Reads a request of the Open Inference Protocol to `model`; `json_length` is the header before binary tensors.
pub fn inference(model: &Model, json_length: Option<&str>, body: &[u8]) -> Read {
    let header = json_length.map(HeaderValue::from_str).transpose().map_err(|_| (400, "not a header".to_owned()))?;
    let body = Bytes::copy_from_slice(body);
    let read = target(model).and_then(|target| Inference::read(target, header.as_ref(), &body));
    read.map(lengths).map_err(refused)
}

/// Reads a message of gRPC to `model`.
#[cfg(feature = "grpc")]
pub fn call(model: &Model, message: &[u8]) -> Read {
    let read = || {
        let request = crate::grpc::Request::decode(Bytes::copy_from_slice(message))?;
        request.read(target(model)?)
    };
    read().map(lengths).map_err(refused)
}

fn lengths(inference: Inference) -> Vec<usize> {
    let length = |image: &Input| match image {
        Input::File(file) => file.len(),
        Input::Tensor(values) => size_of_val(&values[..]),
    };
    inference.images.iter().map(length).collect()
}
