//! `POST /embed`: images in, vectors out.

use serde::Serialize;
use tokio::time::Instant;

use super::classify::answers;
use super::error::{HttpError, Result};
use super::request_images::ImageRequest;
use super::response::{HttpResponse, json};
use crate::batcher::Input;
use crate::model::Model;

#[derive(Serialize)]
struct Embedded<'a> {
    model: &'a str,
    /// Shape of each embedding.
    shape: Vec<usize>,
    images: Vec<EmbeddedImage>,
}

#[derive(Serialize)]
struct EmbeddedImage {
    embedding: Vec<f32>,
    width: usize,
    height: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// Turns the images of `request` into vectors.
pub(crate) async fn embed(model: &Model, request: ImageRequest, deadline: Instant) -> Result<HttpResponse> {
    let vectors = model.vectors().ok_or_else(|| {
        HttpError::not_found(format!("model `{}` does not embed; the server has to be started with it", model.name()))
    })?;
    let images = request.images.into_iter().map(Input::File).collect();
    let answers = answers(&vectors.batcher, images, deadline).await?;
    let images = answers.into_iter().map(|answer| {
        let (width, height) = answer.size;
        EmbeddedImage { embedding: answer.values, width, height, warnings: answer.warnings }
    });
    Ok(json(&Embedded { model: model.name(), shape: vectors.embedder.shape(), images: images.collect() }))
}
