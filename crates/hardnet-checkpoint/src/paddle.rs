//! Files of `paddle.save`: one pickle of NumPy arrays, protocols 2 to 4.

use std::collections::{HashMap, HashSet};

use hardnet_base::excerpt;

use crate::contents::{Contents, Format, TensorEntry, TensorInfo};
use crate::error::Error;
use crate::pickle::{self, Arena, Id, Value};
use crate::state_dict::{self, ReadOptions};
use crate::tensor_data::{ElementOrder, TensorData};

/// Key of the table of arrays that are too large for protocols 2 and 3 and are saved as flat slices.
pub(crate) const SLICES: &str = "UnpackBigParamInfor@@";

/// Reads a file whose only pickle is `root`.
pub(crate) fn contents(arena: &mut Arena<'_>, root: Id, end: usize, options: &ReadOptions) -> Result<Contents, Error> {
    let count = arena.bytes().len() - end;
    if count > 0 {
        return Err(Error::TrailingBytes { offset: end, count });
    }
    pickle::check(arena)?;
    let state = state_dict::find(arena, root, options)?;
    let sliced: Option<Id> = state.tables.iter().find(|(name, _)| name == SLICES).map(|(_, id)| *id);
    let mut entries = state_dict::resolve(arena, &state.items, &HashMap::new())?;
    if let Some(table) = sliced {
        entries = join_slices(arena, table, entries)?;
    }
    Ok(Contents::of_state(Format::Paddle, state, entries))
}

/// Joins sliced arrays, each at the position of its first slice.
fn join_slices(arena: &mut Arena<'_>, table: Id, entries: Vec<TensorEntry>) -> Result<Vec<TensorEntry>, Error> {
    let offset = arena.offset(table);
    let invalid = |name: &str, expected| Error::Tensor { offset, name: excerpt(name), expected };
    let Value::Dict(pairs) = arena.get(table) else {
        return Err(invalid(SLICES, "a dictionary"));
    };
    let positions: HashMap<&str, usize> =
        entries.iter().enumerate().map(|(index, entry)| (entry.info.name.as_str(), index)).collect();
    let mut joined: HashMap<usize, TensorEntry> = HashMap::new();
    let mut used: HashSet<usize> = HashSet::new();
    for &(key, value) in pairs {
        let name = arena.text(key).ok_or_else(|| invalid(SLICES, "names as keys"))?;
        let shape = field(arena, value, "OriginShape").and_then(|shape| arena.extents(shape));
        let names = field(arena, value, "slices").map(|names| arena.get(names));
        let (Some(shape), Some(Value::List(names) | Value::Tuple(names))) = (shape, names) else {
            return Err(invalid(name, "`OriginShape` and `slices`"));
        };
        let mut parts = Vec::new();
        let mut first: Option<usize> = None;
        let mut length = 0_usize;
        for &slice in names {
            let index = arena.text(slice).and_then(|slice| positions.get(slice).copied());
            let index = index.filter(|&index| used.insert(index));
            let index = index.ok_or_else(|| invalid(name, "slices that the file holds, each once"))?;
            let (slice, first) = (&entries[index], &entries[*first.get_or_insert(index)]);
            let [part] = slice.data.parts.as_slice() else { return Err(invalid(name, "slices in one piece")) };
            let alike = slice.info.dtype == first.info.dtype && slice.data.big_endian == first.data.big_endian;
            if !alike || slice.info.shape.len() != 1 {
                return Err(invalid(name, "flat slices of one type"));
            }
            // Slices may share their bytes: the joined array could be larger than the file.
            length = length.saturating_add(part.len());
            if length > arena.bytes().len() {
                return Err(invalid(name, "no more bytes than the file has"));
            }
            parts.push(part.clone());
        }
        let first = first.ok_or_else(|| invalid(name, "at least one slice"))?;
        let dtype = entries[first].info.dtype;
        if shape.iter().try_fold(dtype.size(), |size, &extent| size.checked_mul(extent)) != Some(length) {
            return Err(invalid(name, "slices that fill `OriginShape`"));
        }
        let big_endian = entries[first].data.big_endian;
        let data = TensorData { parts, order: ElementOrder::RowMajor, big_endian };
        joined.insert(first, TensorEntry { info: TensorInfo { name: name.to_owned(), dtype, shape }, data });
    }
    let joined_or_kept = |(index, entry)| match joined.remove(&index) {
        Some(whole) => Some(whole),
        None => (!used.contains(&index)).then_some(entry),
    };
    Ok(entries.into_iter().enumerate().filter_map(joined_or_kept).collect())
}

fn field(arena: &Arena<'_>, dict: Id, name: &str) -> Option<Id> {
    let Value::Dict(pairs) = arena.get(dict) else { return None };
    pairs.iter().find(|&&(key, _)| arena.text(key) == Some(name)).map(|&(_, value)| value)
}
