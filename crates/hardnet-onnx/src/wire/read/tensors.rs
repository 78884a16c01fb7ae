//! Tensors, whose elements a file may hold in several ways.

use std::borrow::Cow;

use hardnet_base::excerpt;

use super::fields::{Field, Fields, Payload};
use super::{MAX_EXTENTS, MAX_TEXTS};
use crate::error::Result;
use crate::model::{ElementType, Tensor, TensorInfo};
use crate::wire::{entry, tensor};

/// Where a tensor has its elements.
#[derive(Default)]
struct Elements<'a> {
    /// `raw_data`.
    raw: Option<Field<'a>>,
    /// Numbers of a type of their own: `float_data`, `double_data`.
    fixed: Vec<Field<'a>>,
    /// Varints: `int32_data`, which holds all types up to 32 bits and halves, and `int64_data`.
    varints: Vec<Field<'a>>,
}

/// Reads a tensor and checks that it has as many elements as its extents say.
pub(super) fn read<'a>(fields: Fields<'a>) -> Result<Tensor<'a>> {
    let (mut name, mut code, mut dims) = (String::new(), 0, Vec::new());
    let mut elements = Elements::default();
    let mut last = None;
    for field in fields {
        let field = field?;
        last = Some(field);
        match field.number {
            tensor::DIMS => field.varints(MAX_EXTENTS, &mut dims)?,
            tensor::DATA_TYPE => code = field.varint()?,
            tensor::NAME => name = field.text()?,
            tensor::RAW_DATA => elements.raw = Some(field),
            tensor::FLOAT_DATA | tensor::DOUBLE_DATA => elements.fixed.push(field),
            tensor::INT32_DATA | tensor::INT64_DATA => elements.varints.push(field),
            tensor::SEGMENT => return Err(field.error("a tensor in segments, expected a whole one")),
            tensor::EXTERNAL_DATA => {
                let reason = format!("the elements of a tensor are in another file{}", external(&field)?);
                return Err(field.error(reason + ", expected them in this one"));
            }
            tensor::DATA_LOCATION if field.varint()? != 0 => {
                return Err(field.error("the elements of a tensor are in another file, expected them in this one"));
            }
            _ => {}
        }
    }
    let Some(last) = last else {
        // An empty message is a tensor of no type; it holds nothing that could be used.
        let info = TensorInfo::new(name, ElementType::F32, vec![0]);
        return Ok(Tensor { info, bytes: Cow::Borrowed(&[]) });
    };
    let Some(element) = ElementType::from_code(code) else {
        return Err(last.error(format!("`{}` has elements of type {code}, expected numbers", excerpt(&name))));
    };
    let dims: Option<Vec<usize>> = dims.into_iter().map(|dim| usize::try_from(dim as i64).ok()).collect();
    let info = TensorInfo::new(name, element, dims.ok_or_else(|| last.error("an extent below zero"))?);
    let Some(expected) = info.byte_count() else {
        return Err(last.error(format!("`{}` is {:?}, more than a file can hold", excerpt(&info.name), info.dims)));
    };
    let bytes = elements.bytes(element, expected)?;
    if bytes.len() != expected {
        let (name, dims, found) = (excerpt(&info.name), &info.dims, bytes.len());
        return Err(last.error(format!("`{name}` is {element}{dims:?} and has {found} bytes, expected {expected}")));
    }
    Ok(Tensor { info, bytes })
}

impl<'a> Elements<'a> {
    /// The elements in little-endian bytes; numbers of other lengths than `expected` bytes need not all be read.
    fn bytes(&self, element: ElementType, expected: usize) -> Result<Cow<'a, [u8]>> {
        if let Some(raw) = &self.raw {
            return raw.bytes().map(Cow::Borrowed);
        }
        let size = element.size();
        let of_type = |field: &&Field<'_>| match field.number {
            tensor::FLOAT_DATA => element == ElementType::F32,
            tensor::DOUBLE_DATA => element == ElementType::F64,
            tensor::INT64_DATA => element == ElementType::I64,
            _ => size <= 4 && element != ElementType::F32,
        };
        if let Some(field) = self.fixed.iter().chain(&self.varints).find(|field| !of_type(field)) {
            return Err(field.error(format!("field {} for elements of type {element}", field.number)));
        }
        match (&self.fixed[..], &self.varints[..]) {
            ([], []) => Ok(Cow::Borrowed(&[])),
            ([Field { payload: Payload::Bytes(bytes, _), .. }], []) => Ok(Cow::Borrowed(bytes)),
            (fixed, []) => {
                let mut all = Vec::new();
                for field in fixed {
                    match field.payload {
                        Payload::Bytes(bytes, _) => all.extend_from_slice(bytes),
                        Payload::Fixed32(bytes) => all.extend_from_slice(&bytes),
                        Payload::Fixed64(bytes) => all.extend_from_slice(&bytes),
                        Payload::Varint(_) => return Err(field.error("elements that are not floats")),
                    }
                }
                Ok(Cow::Owned(all))
            }
            (_, varints) => {
                let mut numbers = Vec::new();
                for field in varints {
                    field.varints(expected / size, &mut numbers)?;
                }
                let bytes = numbers.iter().flat_map(|number| number.to_le_bytes().into_iter().take(size));
                Ok(Cow::Owned(bytes.collect()))
            }
        }
    }
}

/// The name of the file that has a tensor's elements, for a message.
fn external(field: &Field<'_>) -> Result<String> {
    let (mut key, mut text) = (String::new(), String::new());
    for (at, part) in field.message()?.enumerate() {
        let part = part?;
        part.limit(at, MAX_TEXTS, "texts")?;
        match part.number {
            entry::KEY => key = part.text()?,
            entry::VALUE => text = part.text()?,
            _ => {}
        }
    }
    Ok(if key == "location" { format!(" (`{}`)", excerpt(&text)) } else { String::new() })
}
