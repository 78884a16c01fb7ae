//! `POST /classify`: images in, the most probable classes out.

use serde::Serialize;
use tokio::time::Instant;

use super::error::{HttpError, Result};
use super::request_images::ImageRequest;
use super::response::{HttpResponse, json};
use crate::batcher::{Answer, Batcher, Input};
use crate::failure::Failure;
use crate::model::Model;

/// Classes of an image unless a request says how many.
const TOPK: u64 = 5;

#[derive(Serialize)]
struct Classified<'a> {
    model: &'a str,
    images: Vec<ClassifiedImage>,
}

#[derive(Serialize)]
struct ClassifiedImage {
    top: Vec<Class>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logits: Option<Vec<f32>>,
    width: usize,
    height: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Class {
    index: usize,
    name: String,
    probability: f32,
}

/// Classifies the images of `request`.
pub(crate) async fn classify(model: &Model, request: ImageRequest, deadline: Instant) -> Result<HttpResponse> {
    let classes = model.classes().ok_or_else(|| {
        HttpError::not_found(format!(
            "model `{}` does not classify; GET /v2/models/NAME says what it does",
            model.name()
        ))
    })?;
    let ImageRequest { images, settings } = request;
    let topk = match settings.topk.unwrap_or(TOPK) {
        0 => return Err(HttpError::unprocessable("`topk` is 0, expected at least 1")),
        count => usize::try_from(count).unwrap_or(usize::MAX).min(classes.labels().len()),
    };
    let answers = answers(&classes.batcher, images.into_iter().map(Input::File).collect(), deadline).await?;
    let image = |answer: Answer| {
        let hits = classes.labels().hits(&answer.values, topk).into_iter();
        let top = hits.map(|hit| Class { index: hit.index, name: hit.name, probability: hit.probability }).collect();
        let (width, height) = answer.size;
        let logits = settings.logits.then_some(answer.values);
        ClassifiedImage { top, logits, width, height, warnings: answer.warnings }
    };
    Ok(json(&Classified { model: model.name(), images: answers.into_iter().map(image).collect() }))
}

/// Submits images and waits for all answers, until `deadline`. An error names its image if there are several.
pub(crate) async fn answers(batcher: &Batcher, images: Vec<Input>, deadline: Instant) -> Result<Vec<Answer>> {
    let count = images.len();
    let replies = batcher.submit(images, deadline.into_std())?;
    let mut answers = Vec::with_capacity(count);
    for (number, reply) in replies.into_iter().enumerate() {
        let answer = tokio::time::timeout_at(deadline, reply).await.unwrap_or(Err(Failure::Deadline));
        answers.push(answer.map_err(|failure| {
            let error = HttpError::from(failure);
            let message = if count > 1 { format!("image {number}: {}", error.message) } else { error.message };
            HttpError { message, ..error }
        })?);
    }
    Ok(answers)
}
