//! `POST /segment`: an image in, the class of each pixel out.

use hardnet_segmentation::{Mask, Segmentation, Segmenter};
use hyper::HeaderMap;
use hyper::header::{ACCEPT, HeaderValue, VARY};
use serde::Serialize;
use tokio::time::Instant;

use super::classify::answers;
use super::error::{HttpError, Result};
use super::request_images::ImageRequest;
use super::response::{HttpResponse, content, json};
use super::router::blocking;
use crate::batcher::{Answer, Input};
use crate::model::Model;

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A mask, indexed by the class, with a palette of the classes' colors.
    Png,
    /// Shares of the classes.
    Json,
}

impl Form {
    /// The first of both that a client accepts, PNG if it accepts anything.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
        for kind in accepted.flat_map(|value| value.split(',')) {
            match kind.split(';').next().unwrap_or_default().trim() {
                "application/json" | "application/*" => return Self::Json,
                "image/png" | "image/*" | "*/*" => return Self::Png,
                _ => {}
            }
        }
        Self::Png
    }
}

#[derive(Serialize)]
struct Segmented<'a> {
    model: &'a str,
    images: Vec<SegmentedImage>,
}

#[derive(Serialize)]
struct SegmentedImage {
    areas: Vec<Area>,
    width: usize,
    height: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Area {
    index: usize,
    name: String,
    share: f64,
}

/// Segments the images of `request`.
pub(crate) async fn segment(
    model: &Model,
    request: ImageRequest,
    form: Form,
    deadline: Instant,
) -> Result<HttpResponse> {
    let name = model.name().to_owned();
    let pixels = model.pixels().ok_or_else(|| HttpError::not_found(format!("model `{name}` does not segment")))?;
    if form == Form::Png && request.images.len() > 1 {
        let message = format!("{} images, expected one for PNG; accept application/json", request.images.len());
        return Err(HttpError::unprocessable(message));
    }
    let images = request.images.into_iter().map(Input::File).collect();
    let answers = answers(&pixels.batcher, images, deadline).await?;
    let segmenter = pixels.segmenter.clone();
    // A mask may have millions of pixels.
    let mut response = blocking(move || {
        let found = answers.into_iter().map(|answer| segmentation(&segmenter, answer));
        let mut found = found.collect::<Result<Vec<_>>>()?;
        Ok(match (form, found.pop()) {
            (Form::Png, Some((found, _))) => {
                content("image/png", found.mask.encode_colored_png(&found.classes.palette))
            }
            (_, last) => {
                found.extend(last);
                json(&Segmented { model: &name, images: found.into_iter().map(image).collect() })
            }
        })
    })
    .await?;
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// The mask of an answer, and its warnings.
fn segmentation(segmenter: &Segmenter, answer: Answer) -> Result<(Segmentation, Vec<String>)> {
    let (width, height) = answer.size;
    // A class is a byte.
    let labels = answer.values.into_iter().map(|class| class as u8).collect();
    let failed = |error: hardnet_segmentation::MaskError| {
        HttpError::new(hyper::StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    };
    let mask = Mask::new(width, height, labels).map_err(failed)?;
    Ok((segmenter.segmentation(mask), answer.warnings))
}

fn image((found, warnings): (Segmentation, Vec<String>)) -> SegmentedImage {
    let areas = found.areas().into_iter();
    let areas = areas.map(|area| Area { index: area.class, name: area.name.to_owned(), share: area.share });
    SegmentedImage { areas: areas.collect(), width: found.mask.width(), height: found.mask.height(), warnings }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_what_the_client_accepts_first() {
        for (accept, form) in [
            (None, Form::Png),
            (Some("*/*"), Form::Png),
            (Some("image/png"), Form::Png),
            (Some("application/json"), Form::Json),
            (Some("application/json; q=0.9, image/png"), Form::Json),
            (Some("text/html, image/avif, image/png, */*"), Form::Png),
            (Some("text/html"), Form::Png),
        ] {
            let mut headers = HeaderMap::new();
            accept.map(|accept| headers.insert(ACCEPT, HeaderValue::from_static(accept)));
            assert_eq!(Form::of(&headers), form, "{accept:?}");
        }
    }
}
