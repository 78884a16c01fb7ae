//! `POST /activation-map`: an image in, the same with the map of a class out.

use std::sync::Arc;

use hardnet_classifier::{Classifier, ImageInput};
use hardnet_data::{DecodeLimits, encode_png};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::error::{HttpError, Result};
use super::request_images::ImageRequest;
use super::response::{HttpResponse, content};
use crate::failure::Failure;
use crate::model::Model;

/// Draws where `model` sees `class` in the image of `request`: a PNG file of the image's size.
pub(crate) async fn activation_map(
    model: &Model,
    request: ImageRequest,
    class: Option<usize>,
    deadline: Instant,
) -> Result<HttpResponse> {
    let classes =
        model.classes().ok_or_else(|| HttpError::not_found(format!("model `{}` does not classify", model.name())))?;
    let count = classes.labels().len();
    let class = class.filter(|&class| class < count).ok_or_else(|| {
        HttpError::unprocessable(format!("`class` is missing or not a class, expected a number below {count}"))
    })?;
    let [image] = &request.images[..] else {
        return Err(HttpError::unprocessable(format!("{} images, expected one", request.images.len())));
    };
    // A map is computed beside the batches: few at a time, so that these go on.
    let overloaded = |_| HttpError::from(Failure::Overloaded { retry_after: std::time::Duration::from_secs(1) });
    let turn = Arc::clone(&classes.maps).try_acquire_owned().map_err(overloaded)?;
    let (answer, drawn) = oneshot::channel();
    let (classifier, image, max_pixels) = (classes.classifier.clone(), image.clone(), classes.max_pixels);
    classes.workers.run(move || {
        let _turn = turn;
        if !answer.is_closed() {
            // A client that is gone needs no answer.
            let _ = answer.send(draw(&classifier, &image, class, max_pixels));
        }
    });
    match tokio::time::timeout_at(deadline, drawn).await {
        Ok(Ok(drawn)) => Ok(content("image/png", drawn?)),
        Ok(Err(_)) => Err(Failure::Internal("a panic while the map was drawn".into()).into()),
        Err(_) => Err(Failure::Deadline.into()),
    }
}

fn draw(classifier: &Classifier, file: &[u8], class: usize, max_pixels: u64) -> Result<Vec<u8>> {
    let options = classifier.pipeline().decode_options().limits(DecodeLimits::default().max_pixels(max_pixels));
    let unprocessable = |error: &dyn std::fmt::Display| HttpError::unprocessable(error.to_string());
    let (image, _) = ImageInput::from(file).decode(&options).map_err(|error| unprocessable(&error))?;
    let prepared = classifier.prepare(&image).map_err(|error| unprocessable(&error))?;
    let map = classifier.activation_map(prepared, class).map_err(|error| unprocessable(&error))?;
    let region = classifier.pipeline().region((image.width(), image.height()));
    encode_png(&map.draw(&image, region)).map_err(|error| unprocessable(&error))
}
