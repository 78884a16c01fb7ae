//! Server reflection: services and the files that declare them, for clients that have no files.
//!
//! The versions v1 and v1alpha have the same messages.

use hyper::body::Bytes;

use super::message::{decode, framed};
use super::protocol::descriptors::{FILES, SERVICES, SYMBOLS};
use super::protocol::reflection::server_reflection_request::MessageRequest;
use super::protocol::reflection::server_reflection_response::MessageResponse;
use super::protocol::reflection::{
    ErrorResponse, FileDescriptorResponse, ListServiceResponse, ServerReflectionRequest, ServerReflectionResponse,
    ServiceResponse,
};
use super::status::Code;
use crate::http::error::{HttpError, Result};

/// Bytes of a request, which an answer repeats.
const MAX_REQUEST: usize = 4096;

/// The answer to a `ServerReflectionRequest`.
pub(super) fn answer(content: Bytes) -> Result<Vec<u8>> {
    if content.len() > MAX_REQUEST {
        let message = format!("a request of {} bytes, expected at most {MAX_REQUEST}", content.len());
        return Err(HttpError::too_large(message));
    }
    let request: ServerReflectionRequest = decode(content)?;
    let response = match &request.message_request {
        None => return Err(HttpError::bad_request("the request asks for nothing")),
        Some(MessageRequest::ListServices(_)) => {
            let service = SERVICES.map(|name| ServiceResponse { name: name.into() }).into();
            MessageResponse::ListServicesResponse(ListServiceResponse { service })
        }
        Some(MessageRequest::FileByFilename(name)) => {
            file(FILES.iter().position(|(file, _)| file == name), format_args!("file `{name}`"))
        }
        Some(MessageRequest::FileContainingSymbol(name)) => {
            let found = SYMBOLS.binary_search_by_key(&&**name, |&(symbol, _)| symbol).ok();
            file(found.map(|place| SYMBOLS[place].1), format_args!("symbol `{name}`"))
        }
        Some(MessageRequest::FileContainingExtension(extension)) => {
            let (number, name) = (extension.extension_number, &extension.containing_type);
            file(None, format_args!("extension {number} of `{name}`"))
        }
        Some(MessageRequest::AllExtensionNumbersOfType(name)) => file(None, format_args!("extensions of `{name}`")),
    };
    Ok(framed(&ServerReflectionResponse {
        valid_host: request.host.clone(),
        original_request: Some(request),
        message_response: Some(response),
    }))
}

/// The file of this number, or an error that says what there is not.
fn file(number: Option<usize>, what: std::fmt::Arguments<'_>) -> MessageResponse {
    match number.and_then(|number| FILES.get(number)) {
        Some((_, content)) => {
            let file_descriptor_proto = vec![Bytes::from_static(content)];
            MessageResponse::FileDescriptorResponse(FileDescriptorResponse { file_descriptor_proto })
        }
        None => MessageResponse::ErrorResponse(ErrorResponse {
            error_code: Code::NotFound as i32,
            error_message: HttpError::not_found(format!("no {what}")).message,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_their_order_and_each_has_a_file() {
        assert!(SYMBOLS.is_sorted_by(|a, b| a.0 < b.0));
        assert!(SYMBOLS.iter().all(|(_, number)| *number < FILES.len()));
        for service in SERVICES {
            let place = SYMBOLS.binary_search_by_key(&service, |&(symbol, _)| symbol).expect(service);
            let (name, content) = FILES[SYMBOLS[place].1];
            // A descriptor begins with its own name.
            assert_eq!(content[..2], [10, name.len() as u8]);
            assert!(content[2..].starts_with(name.as_bytes()), "{name}");
        }
    }
}
