//! From an unpickled object to named tensors.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use hardnet_base::excerpt;

use crate::contents::{TensorEntry, TensorInfo};
use crate::dictionaries::{self, Choice, Dictionary, named};
use crate::error::Error;
use crate::modules;
pub(crate) use crate::options::ReadOptions;
use crate::pickle::{Arena, Array, Id, Opaque, Tensor, Value};
use crate::tensor_data::{ElementOrder, TensorData, row_major};

/// A value of a class or function that this reader does not know, and does not make.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpaqueValue {
    /// The keys that lead to it, joined by periods.
    pub name: String,
    /// The module of its class, at most 80 characters.
    pub module: String,
    /// The class or function, at most 80 characters.
    pub class: String,
    /// Where the class is named.
    pub offset: usize,
}

impl OpaqueValue {
    /// The error of needing this value: [`Error::RefusedGlobal`].
    pub fn refusal(&self) -> Error {
        Error::RefusedGlobal { offset: self.offset, module: self.module.clone(), name: self.class.clone() }
    }
}

/// The dictionary of tensors in a file.
pub(crate) struct StateDict<'a> {
    /// The keys that lead to it, joined by periods.
    pub(crate) wrapper: Option<String>,
    /// Names and values in the order of the file; other values are left out.
    pub(crate) items: Vec<(Cow<'a, str>, Id)>,
    /// The values that are not tensors, for tables that concern the tensors.
    pub(crate) tables: Vec<(Cow<'a, str>, Id)>,
    /// The values that are not read.
    pub(crate) opaque: Vec<OpaqueValue>,
    /// Objects under keys that come before that of the dictionary.
    pub(crate) passed_over: Vec<OpaqueValue>,
    /// All dictionaries of tensors in the file.
    pub(crate) dictionaries: Vec<Dictionary>,
}

/// Finds the tensors in `root`.
pub(crate) fn find<'a>(arena: &mut Arena<'a>, root: Id, options: &ReadOptions) -> Result<StateDict<'a>, Error> {
    let choice = dictionaries::choose(arena, root, options.entry.as_deref())?;
    let wrapper = choice.wrapper();
    let Choice { id, dictionaries, passed_over, .. } = choice;
    let values: Vec<(Cow<'a, str>, Id)> = if modules::is_module(arena, id) {
        modules::state(arena, id)?.into_iter().map(|(name, id)| (name.into(), id)).collect()
    } else {
        named(arena, id)?.into_iter().map(|(name, id)| (name.into(), id)).collect()
    };
    arena.charge(values.len(), 2 * size_of::<(Cow<'_, str>, Id)>(), arena.offset(id))?;
    let (mut items, mut tables, mut opaque) = (Vec::new(), Vec::new(), Vec::new());
    for (name, value) in values {
        match arena.unknown(value) {
            _ if is_readable(arena, value) => items.push((name, value)),
            Some(class) => opaque.push(refused(arena, name.into_owned(), class)?),
            None => tables.push((name, value)),
        }
    }
    if items.is_empty() && tables.iter().all(|(name, _)| name != crate::paddle::SLICES) {
        return Err(opaque.first().map_or(Error::NoTensors, OpaqueValue::refusal));
    }
    let passed_over =
        passed_over.into_iter().map(|(name, class)| refused(arena, name, class)).collect::<Result<_, Error>>()?;
    Ok(StateDict { wrapper, items, tables, opaque, passed_over, dictionaries })
}

fn refused(arena: &mut Arena<'_>, name: String, class: Id) -> Result<OpaqueValue, Error> {
    let Error::RefusedGlobal { offset, module, name: of_class } = arena.refusal(class) else {
        return Err(Error::NoTensors);
    };
    arena.charge(1, size_of::<OpaqueValue>() + name.len() + module.len() + of_class.len(), offset)?;
    Ok(OpaqueValue { name, module, class: of_class, offset })
}

/// Whether a value is a tensor, be it one of a kind that is not read.
pub(crate) fn is_tensor(arena: &Arena<'_>, id: Id) -> bool {
    matches!(arena.get(id), Value::Opaque(Opaque { tensor: true, .. })) || is_readable(arena, id)
}

fn is_readable(arena: &Arena<'_>, id: Id) -> bool {
    matches!(arena.get(id), Value::Tensor(_)) || array_of(arena, id).is_some()
}

/// The array of a value: an array, or Paddle's pair of a parameter name and an array.
pub(crate) fn array_of<'b>(arena: &'b Arena<'_>, id: Id) -> Option<&'b Array> {
    let id = match arena.get(id) {
        Value::Tuple(items) => match *items.as_slice() {
            [name, array] if arena.text(name).is_some() => array,
            _ => return None,
        },
        _ => id,
    };
    match arena.get(id) {
        Value::Array(Some(array)) => Some(array),
        _ => None,
    }
}

/// Turns the items into entries; `storages` are the bytes of PyTorch's storages by key.
pub(crate) fn resolve(
    arena: &mut Arena<'_>,
    items: &[(Cow<'_, str>, Id)],
    storages: &HashMap<&[u8], Range<usize>>,
) -> Result<Vec<TensorEntry>, Error> {
    let mut entries = Vec::new();
    for (name, id) in items {
        let (name, id) = (name.as_ref(), *id);
        let offset = arena.offset(id);
        arena.charge(1, size_of::<TensorEntry>() + name.len() + 192, offset)?;
        let entry = match arena.get(id) {
            Value::Tensor(tensor) => strided(arena, name, tensor, storages),
            _ => array_of(arena, id).map(|array| contiguous(name, array)).ok_or("an array or a tensor"),
        };
        entries.push(entry.map_err(|expected| Error::Tensor { offset, name: excerpt(name), expected })?);
    }
    Ok(entries)
}

fn contiguous(name: &str, array: &Array) -> TensorEntry {
    let order = if array.column_major { ElementOrder::ColumnMajor } else { ElementOrder::RowMajor };
    TensorEntry {
        info: TensorInfo { name: name.to_owned(), dtype: array.dtype.dtype, shape: array.shape.clone() },
        data: TensorData { parts: vec![array.payload.clone()], order, big_endian: array.dtype.big_endian },
    }
}

/// A view of a storage. Its last element must lie inside, and its elements in C order must not be larger than the file.
fn strided(
    arena: &Arena<'_>,
    name: &str,
    tensor: &Tensor,
    storages: &HashMap<&[u8], Range<usize>>,
) -> Result<TensorEntry, &'static str> {
    const INSIDE: &str = "a shape, strides and an offset inside the storage";
    let Value::Storage(storage) = arena.get(tensor.storage) else { return Err("a storage") };
    let range = storages.get(arena.slice(&storage.key)).ok_or("a storage that the file holds")?;
    let size = tensor.dtype.size();
    let total = tensor.shape.iter().try_fold(size, |total, &extent| total.checked_mul(extent));
    let total = total.filter(|&total| total <= arena.file_length()).ok_or("no more bytes than the file has")?;
    let last =
        tensor.shape.iter().zip(&tensor.strides).try_fold(0_usize, |last, (&extent, &stride)| {
            last.checked_add(extent.saturating_sub(1).checked_mul(stride)?)
        });
    let start = usize::try_from(tensor.offset).ok().and_then(|start| start.checked_mul(size)).ok_or(INSIDE)?;
    let start = range.start.checked_add(start).filter(|&start| start <= range.end).ok_or(INSIDE)?;
    if total > 0 {
        let end = last.and_then(|last| last.checked_add(1)?.checked_mul(size)?.checked_add(start)).ok_or(INSIDE)?;
        if end > range.end {
            return Err(INSIDE);
        }
    }
    let natural = row_major(&tensor.shape);
    let is_row_major = (tensor.strides.iter().zip(&natural).zip(&tensor.shape))
        .all(|((stride, natural), &extent)| extent == 1 || stride == natural);
    let (range, order) = if total == 0 {
        (start..start, ElementOrder::RowMajor)
    } else if is_row_major {
        (start..start + total, ElementOrder::RowMajor)
    } else {
        (start..range.end, ElementOrder::Strided(tensor.strides.clone()))
    };
    Ok(TensorEntry {
        info: TensorInfo { name: name.to_owned(), dtype: tensor.dtype, shape: tensor.shape.clone() },
        data: TensorData { parts: vec![crate::pickle::Payload::Raw(range)], order, big_endian: false },
    })
}
