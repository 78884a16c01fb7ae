//! Bounds on what a message becomes in memory.
//!
//! An empty element takes two bytes of a message and some hundred bytes once it is decoded, so that a message within
//! its limit could fill the memory. This is seen before anything is decoded.

use prost::bytes::Buf;
use prost::encoding::{WireType, decode_key, decode_varint};

use crate::http::error::{HttpError, Result};

/// The most elements of a message: tensors, strings, parameters, images.
const MAX_ELEMENTS: usize = 4096;

/// The most bytes of a shape.
const MAX_SHAPE: usize = 80;

/// Fields of `ModelInferRequest` that have fields themselves: parameters, inputs, outputs.
const NESTED: [u32; 3] = [4, 5, 6];

const INPUT: u32 = 5;
const SHAPE: u32 = 3;
const CONTENTS: u32 = 5;

/// The fields of `InferTensorContents` that are read: FP32 and BYTES.
const READ_CONTENTS: [u32; 2] = [6, 8];

/// Checks the bytes of a `ModelInferRequest`.
pub(super) fn check(message: &[u8]) -> Result<()> {
    let mut elements = 0;
    fields(message, &mut elements, &mut |field, content, elements| {
        if !NESTED.contains(&field) {
            return Ok(());
        }
        fields(content, elements, &mut |inner, content, elements| match (field, inner) {
            (INPUT, SHAPE) if content.len() > MAX_SHAPE => Err(HttpError::bad_request("a shape is too long")),
            (INPUT, CONTENTS) => fields(content, elements, &mut |kind, _, _| {
                if READ_CONTENTS.contains(&kind) {
                    return Ok(());
                }
                Err(HttpError::bad_request("an input has other contents than fp32_contents or bytes_contents"))
            }),
            _ => Ok(()),
        })
    })
}

type Visit<'a> = dyn FnMut(u32, &[u8], &mut usize) -> Result<()> + 'a;

/// Calls `visit` for each field of `message` that has a length, and counts all others as elements too.
fn fields(mut message: &[u8], elements: &mut usize, visit: &mut Visit<'_>) -> Result<()> {
    let cut = || HttpError::bad_request("the message is not of the protocol");
    while !message.is_empty() {
        let (field, wire) = decode_key(&mut message).map_err(|_| cut())?;
        *elements += 1;
        if *elements > MAX_ELEMENTS {
            return Err(HttpError::bad_request(format!("a message of more than {MAX_ELEMENTS} elements")));
        }
        let length = match wire {
            WireType::Varint => {
                decode_varint(&mut message).map_err(|_| cut())?;
                continue;
            }
            WireType::SixtyFourBit => 8,
            WireType::ThirtyTwoBit => 4,
            WireType::LengthDelimited => decode_varint(&mut message).map_err(|_| cut())?,
            WireType::StartGroup | WireType::EndGroup => return Err(cut()),
        };
        let length = usize::try_from(length).ok().filter(|length| *length <= message.len()).ok_or_else(cut)?;
        let (content, rest) = message.split_at(length);
        if wire == WireType::LengthDelimited {
            visit(field, content, elements)?;
        }
        message = rest;
    }
    debug_assert!(!message.has_remaining());
    Ok(())
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::grpc::protocol::model_infer_request::InferInputTensor;
    use crate::grpc::protocol::{InferTensorContents, ModelInferRequest};

    fn request(contents: InferTensorContents) -> ModelInferRequest {
        let input = InferInputTensor { shape: vec![1, 3], contents: Some(contents), ..Default::default() };
        ModelInferRequest { model_name: "a".into(), inputs: vec![input], ..Default::default() }
    }

    #[test]
    fn messages_that_grow_in_memory_are_refused() {
        let check = |request: &ModelInferRequest| check(&request.encode_to_vec());
        let strings =
            |count| InferTensorContents { bytes_contents: vec![Default::default(); count], ..Default::default() };
        assert!(check(&request(strings(1000))).is_ok());
        assert!(
            check(&request(InferTensorContents { fp32_contents: vec![0.0; 100_000], ..Default::default() })).is_ok()
        );
        assert!(check(&request(strings(4096))).is_err());
        assert!(check(&request(InferTensorContents { int64_contents: vec![0; 3], ..Default::default() })).is_err());
        let mut long = request(strings(1));
        long.inputs[0].shape = vec![1; 100];
        assert!(check(&long).is_err());
        let many = vec![InferInputTensor::default(); 5000];
        assert!(check(&ModelInferRequest { inputs: many, ..Default::default() }).is_err());
    }

    #[test]
    fn every_cut_of_a_message_is_seen_or_harmless() {
        let message =
            request(InferTensorContents { fp32_contents: vec![1.0; 5], ..Default::default() }).encode_to_vec();
        for end in 0..message.len() {
            assert_eq!(check(&message[..end]).is_ok(), ModelInferRequest::decode(&message[..end]).is_ok(), "{end}");
        }
        assert!(check(b"\x0b").is_err(), "groups are not part of the protocol");
    }
}
