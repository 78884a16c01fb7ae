//! Images of a request: as its body, as parts of a form, or as base64 in JSON.

use std::fmt;
use std::time::Duration;

use hyper::body::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};

use super::error::{HttpError, Result};
use super::{base64_text, multipart, whole_number};

/// The most images of a request, whatever the queue holds.
const MAX_IMAGES: usize = 1024;

/// The images and options of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ImageRequest {
    pub(crate) images: Vec<Bytes>,
    pub(crate) settings: Settings,
}

/// The parameters of a request, from its URL, the fields of its form, or its JSON.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Settings {
    pub(crate) model: Option<String>,
    pub(crate) topk: Option<u64>,
    pub(crate) logits: bool,
    timeout_ms: Option<u64>,
}

/// A body of JSON. Without `serde(flatten)`, which holds fields that are not known in memory.
#[derive(Deserialize)]
struct JsonBody {
    image: Option<String>,
    #[serde(default)]
    images: Strings,
    model: Option<String>,
    #[serde(with = "whole_number", default)]
    topk: Option<u64>,
    #[serde(default)]
    logits: bool,
    #[serde(with = "whole_number", default)]
    timeout_ms: Option<u64>,
}

/// Whether a body of this content type is an image, whose parameters are those of the URL.
pub(crate) fn is_raw(content_type: Option<&str>) -> bool {
    names_image(&essence(content_type))
}

fn essence(content_type: Option<&str>) -> String {
    content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// `curl --data-binary` names a form unless it is told otherwise.
fn names_image(essence: &str) -> bool {
    matches!(essence, "" | "application/octet-stream" | "application/x-www-form-urlencoded")
        || essence.starts_with("image/")
}

impl Settings {
    /// The parameters of a URL.
    pub(crate) fn of_query(parameters: Vec<(String, String)>) -> Result<Self> {
        let mut settings = Self::default();
        parameters.into_iter().try_for_each(|(name, value)| settings.set(&name, value))?;
        Ok(settings)
    }

    fn set(&mut self, name: &str, value: String) -> Result<()> {
        let number = |value: &str| -> Result<u64> {
            if value.is_empty() || !value.bytes().all(|digit| digit.is_ascii_digit()) {
                return Err(HttpError::unprocessable(format!("`{name}` is `{value}`, expected a whole number")));
            }
            // As in JSON, a number that does not fit 64 bits becomes the largest that does.
            Ok(value.parse().unwrap_or(u64::MAX))
        };
        match name {
            "model" => self.model = Some(value),
            "topk" => self.topk = Some(number(&value)?),
            "timeout_ms" => self.timeout_ms = Some(number(&value)?),
            "logits" => {
                self.logits = match value.as_str() {
                    "" | "true" | "1" => true,
                    "false" | "0" => false,
                    _ => {
                        return Err(HttpError::unprocessable(format!("`logits` is `{value}`, expected true or false")));
                    }
                };
            }
            _ => {}
        }
        Ok(())
    }

    /// The same with what `other` says, which takes precedence.
    fn with(self, other: Self) -> Self {
        Self {
            model: other.model.or(self.model),
            topk: other.topk.or(self.topk),
            logits: other.logits || self.logits,
            timeout_ms: other.timeout_ms.or(self.timeout_ms),
        }
    }

    /// The time that the client grants.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.timeout_ms.map(Duration::from_millis)
    }
}

impl ImageRequest {
    /// Reads the `body` of a request whose URL gives `settings`.
    pub(crate) fn new(content_type: Option<&str>, body: &Bytes, settings: Settings) -> Result<Self> {
        let request = match essence(content_type).as_str() {
            essence if names_image(essence) => Self::raw(body, settings),
            "application/json" => Self::json(body, settings)?,
            "multipart/form-data" => Self::form(content_type.unwrap_or_default(), body, settings)?,
            other => {
                return Err(HttpError::media_type(format!(
                    "content type `{other}`, expected an image, multipart/form-data or application/json"
                )));
            }
        };
        if request.images.is_empty() {
            return Err(HttpError::unprocessable("the request has no image"));
        }
        Ok(request)
    }

    fn raw(body: &Bytes, settings: Settings) -> Self {
        Self { images: if body.is_empty() { Vec::new() } else { vec![body.clone()] }, settings }
    }

    fn json(body: &Bytes, settings: Settings) -> Result<Self> {
        let JsonBody { image, images, model, topk, logits, timeout_ms } = from_json(body)?;
        let own = Settings { model, topk, logits, timeout_ms };
        let texts = image.iter().chain(&images.0);
        let images = texts.map(|text| base64_text::decode(text, body)).collect::<Result<_>>()?;
        Ok(Self { images, settings: settings.with(own) })
    }

    fn form(content_type: &str, body: &Bytes, mut settings: Settings) -> Result<Self> {
        let mut images = Vec::new();
        for part in multipart::parts(body, &multipart::boundary(content_type)?)? {
            if part.is_file || matches!(part.name.as_str(), "image" | "images" | "file") {
                images.push(part.content);
                continue;
            }
            let not_text = || HttpError::unprocessable(format!("the field `{}` is not UTF-8", part.name));
            let value = String::from_utf8(part.content.to_vec()).map_err(|_| not_text())?;
            settings.set(&part.name, value)?;
        }
        Ok(Self { images, settings })
    }
}

/// Reads JSON: what is not JSON is a bad request, what is JSON of another kind cannot be processed.
pub(crate) fn from_json<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T> {
    serde_json::from_slice(text).map_err(|error| {
        let message = format!("the JSON of the request: {error}");
        if error.is_data() { HttpError::unprocessable(message) } else { HttpError::bad_request(message) }
    })
}

/// Strings, not more than [`MAX_IMAGES`]: empty ones take more memory than their text.
#[derive(Clone, Debug, Default)]
struct Strings(Vec<String>);

impl<'de> Deserialize<'de> for Strings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Bounded;

        impl<'de> Visitor<'de> for Bounded {
            type Value = Strings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {MAX_IMAGES} images as base64")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> std::result::Result<Strings, A::Error> {
                let mut strings = Vec::new();
                while let Some(value) = values.next_element()? {
                    if strings.len() == MAX_IMAGES {
                        return Err(A::Error::invalid_length(MAX_IMAGES + 1, &self));
                    }
                    strings.push(value);
                }
                Ok(Strings(strings))
            }
        }

        deserializer.deserialize_seq(Bounded)
    }
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;

    use super::*;

    fn request(content_type: &str, body: impl Into<Bytes>) -> Result<ImageRequest> {
        ImageRequest::new(Some(content_type), &body.into(), Settings::default())
    }

    #[test]
    fn an_image_may_come_as_the_body_in_a_form_or_in_json() {
        let form = "--b\r\nContent-Disposition: form-data; name=\"x\"; filename=\"x.png\"\r\n\r\nhi\r\n--b\r\n\
            Content-Disposition: form-data; name=\"topk\"\r\n\r\n2\r\n--b--\r\n";
        for (content_type, body, topk) in [
            ("image/jpeg", "hi", None),
            ("application/octet-stream", "hi", None),
            ("application/json; charset=utf-8", r#"{"image": "aGk=", "topk": 2, "more": []}"#, Some(2)),
            ("application/json", r#"{"images": ["aGk"]}"#, None),
            ("multipart/form-data; boundary=b", form, Some(2)),
        ] {
            let found = request(content_type, body).unwrap();
            assert_eq!((found.images, found.settings.topk), (vec!["hi".into()], topk), "{content_type}");
        }
    }

    #[test]
    fn what_is_not_understood_has_the_status_that_says_so() {
        for (content_type, body, status) in [
            ("text/plain", "hi", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            ("image/png", "", StatusCode::UNPROCESSABLE_ENTITY),
            ("application/json", "{", StatusCode::BAD_REQUEST),
            ("application/json", "{}", StatusCode::UNPROCESSABLE_ENTITY),
            ("application/json", r#"{"image": 3}"#, StatusCode::UNPROCESSABLE_ENTITY),
            ("application/json", r#"{"image": "?"}"#, StatusCode::UNPROCESSABLE_ENTITY),
            ("multipart/form-data", "hi", StatusCode::BAD_REQUEST),
            ("multipart/form-data; boundary=b", "hi", StatusCode::BAD_REQUEST),
        ] {
            assert_eq!(request(content_type, body).unwrap_err().status, status, "{content_type} {body}");
        }
        let many = format!(r#"{{"images": [{}""]}}"#, "\"\",".repeat(MAX_IMAGES));
        assert_eq!(request("application/json", many).unwrap_err().status, StatusCode::UNPROCESSABLE_ENTITY);
    }
}
