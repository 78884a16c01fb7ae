//! From an unpickled object to named tensors: the dictionary that holds them, and their names.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use hardnet_base::excerpt;

use crate::checkpoint::{TensorEntry, TensorInfo};
use crate::error::Error;
use crate::pickle::{Arena, Array, Id, Tensor, Value};
use crate::tensor_data::{ElementOrder, TensorData, row_major};

/// Keys under which training programs save their networks. Averaged weights come first, as in timm's `load_checkpoint`:
/// they are the ones that were evaluated.
const WRAPPERS: [&str; 9] = [
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema",
    "state_dict",
    "model_state",
    "model_state_dict",
    "model",
    "module",
];
const MAX_WRAPPERS: usize = 4;
/// The prefix that `DataParallel` and `DistributedDataParallel` add.
const PARALLEL: &str = "module.";

/// The dictionary of tensors in a file.
pub(crate) struct StateDict<'a> {
    /// The keys that lead to it, joined by periods.
    pub(crate) wrapper: Option<String>,
    /// Names and values in the order of the file; other values are left out.
    pub(crate) items: Vec<(&'a str, Id)>,
    /// The values that are not tensors, for tables that concern the tensors.
    pub(crate) tables: Vec<(&'a str, Id)>,
}

/// Finds the tensors in `root`.
pub(crate) fn find<'a>(arena: &mut Arena<'a>, root: Id) -> Result<StateDict<'a>, Error> {
    let mut dict = root;
    let mut path: Vec<&str> = Vec::new();
    while let Some((key, inner)) = wrapped(arena, dict) {
        path.push(key);
        dict = inner;
        if path.len() == MAX_WRAPPERS {
            break;
        }
    }
    let Value::Dict(pairs) = arena.get(dict) else { return Err(Error::NoTensors) };
    let count = pairs.len();
    arena.charge(count, 2 * size_of::<(&str, Id)>(), arena.offset(dict))?;
    let Value::Dict(pairs) = arena.get(dict) else { return Err(Error::NoTensors) };
    let (mut items, mut tables) = (Vec::new(), Vec::new());
    for &(key, value) in pairs {
        match (arena.text(key), is_tensor(arena, value)) {
            (Some(name), true) => items.push((name, value)),
            (Some(name), false) => tables.push((name, value)),
            (None, true) => {
                return Err(Error::Unexpected {
                    offset: arena.offset(key),
                    what: "tensor name",
                    expected: "text of at most 1024 bytes as the key of a tensor",
                });
            }
            (None, false) => {}
        }
    }
    if items.is_empty() && tables.iter().all(|(name, _)| *name != crate::paddle::SLICES) {
        return Err(Error::NoTensors);
    }
    Ok(StateDict { wrapper: (!path.is_empty()).then(|| path.join(".")), items, tables })
}

/// The first wrapper key of `dict` whose value is a non-empty dictionary.
fn wrapped<'a>(arena: &Arena<'a>, dict: Id) -> Option<(&'a str, Id)> {
    let Value::Dict(pairs) = arena.get(dict) else { return None };
    let mut best: Option<(usize, Id)> = None;
    for &(key, value) in pairs {
        let Some(name) = arena.text(key) else { continue };
        let Some(rank) = WRAPPERS.iter().position(|wrapper| *wrapper == name) else { continue };
        let filled = matches!(arena.get(value), Value::Dict(inner) if !inner.is_empty());
        if filled && best.is_none_or(|(first, _)| rank < first) {
            best = Some((rank, value));
        }
    }
    best.map(|(rank, value)| (WRAPPERS[rank], value))
}

fn is_tensor(arena: &Arena<'_>, id: Id) -> bool {
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
    items: &[(&str, Id)],
    storages: &HashMap<&[u8], Range<usize>>,
) -> Result<Vec<TensorEntry>, Error> {
    let mut entries = Vec::new();
    for &(name, id) in items {
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
    let range = storages.get(&arena.bytes()[storage.key.clone()]).ok_or("a storage that the file holds")?;
    let size = tensor.dtype.size();
    let total = tensor.shape.iter().try_fold(size, |total, &extent| total.checked_mul(extent));
    let total = total.filter(|&total| total <= arena.bytes().len()).ok_or("no more bytes than the file has")?;
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

/// Strips the prefix of parallel training if all names have it, and refuses a name that occurs twice.
pub(crate) fn finish_names(entries: &mut [TensorEntry]) -> Result<(), Error> {
    if entries.iter().all(|entry| entry.info.name.starts_with(PARALLEL)) {
        for entry in entries.iter_mut() {
            entry.info.name.drain(..PARALLEL.len());
        }
    }
    let mut names = HashSet::with_capacity(entries.len());
    match entries.iter().find(|entry| !names.insert(entry.info.name.as_str())) {
        Some(twice) => Err(Error::DuplicateName { name: excerpt(&twice.info.name) }),
        None => Ok(()),
    }
}
