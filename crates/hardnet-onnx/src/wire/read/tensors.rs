//! Tensors, whose elements a file may hold in several ways.

use std::borrow::Cow;
use std::ops::Range;

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
        return Ok(Tensor { info, bytes: Cow::Borrowed(&[]), place: Some(0..0) });
    };
    let Some(element) = ElementType::from_code(code) else {
        return Err(last.error(format!("`{}` has elements of type {code}, expected numbers", excerpt(&name))));
    };
    let dims: Option<Vec<usize>> = dims.into_iter().map(|dim| usize::try_from(dim as i64).ok()).collect();
    let info = TensorInfo::new(name, element, dims.ok_or_else(|| last.error("an extent below zero"))?);
    let Some(expected) = info.byte_count() else {
        return Err(last.error(format!("`{}` is {:?}, more than a file can hold", excerpt(&info.name), info.dims)));
    };
    let (bytes, place) = elements.bytes(element, expected)?;
    let found = place.as_ref().map_or(bytes.len(), Range::len);
    if found != expected {
        let (name, dims) = (excerpt(&info.name), &info.dims);
        return Err(last.error(format!("`{name}` is {element}{dims:?} and has {found} bytes, expected {expected}")));
    }
    Ok(Tensor { info, bytes, place })
}

/// Bytes, and their range in the file if it has them as they are.
type Placed<'a> = (Cow<'a, [u8]>, Option<Range<usize>>);

impl<'a> Elements<'a> {
    /// The elements in little-endian bytes, and their range in the file if it has them as they are; numbers of other
    /// lengths than `expected` bytes need not all be read.
    fn bytes(&self, element: ElementType, expected: usize) -> Result<Placed<'a>> {
        let as_they_are = |field: &Field<'a>| {
            let (bytes, range) = field.placed()?;
            // An empty list may be anywhere.
            Ok((Cow::Borrowed(bytes), Some(if range.is_empty() { 0..0 } else { range })))
        };
        if let Some(raw) = &self.raw {
            return as_they_are(raw);
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
            ([], []) => Ok((Cow::Borrowed(&[]), Some(0..0))),
            ([field @ Field { payload: Payload::Bytes(_), .. }], []) => as_they_are(field),
            (fixed, []) => {
                let mut all = Vec::new();
                for field in fixed {
                    match field.payload {
                        Payload::Bytes(_) => all.extend_from_slice(field.bytes()?),
                        Payload::Fixed32(bytes) => all.extend_from_slice(&bytes),
                        Payload::Fixed64(bytes) => all.extend_from_slice(&bytes),
                        Payload::Varint(_) => return Err(field.error("elements that are not floats")),
                    }
                }
                Ok((Cow::Owned(all), None))
            }
            (_, varints) => {
                let mut numbers = Vec::new();
                for field in varints {
                    field.varints(expected / size, &mut numbers)?;
                }
                let bytes = numbers.iter().flat_map(|number| number.to_le_bytes().into_iter().take(size));
                Ok((Cow::Owned(bytes.collect()), None))
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
