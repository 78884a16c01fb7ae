//! The format before PyTorch 1.6: a magic number, a version, the writer's type sizes, the object and the list of
//! storage keys, each a pickle, then for each key an element count (`i64`, little-endian) and the elements.

use std::collections::HashMap;
use std::ops::Range;

use hardnet_base::excerpt;

use crate::contents::{Contents, Format};
use crate::cursor::Cursor;
use crate::error::Error;
use crate::pickle::{self, Arena, Element, Id, Value};
use crate::source::Source;
use crate::state_dict::{self, ReadOptions};
use crate::torch;

/// `0x1950a86a20f9469cfc6c`, little-endian.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const VERSION: i64 = 1001;

/// Whether the first pickle of a file is the magic number.
pub(crate) fn is_magic(arena: &Arena<'_>, first: Id) -> bool {
    matches!(arena.get(first), Value::BigInt(range) if *arena.slice(range) == MAGIC)
}

/// Reads what follows the magic number.
///
/// The pickles may be in a part of the file at its start: then `source` has the storages.
pub(crate) fn contents(
    source: &Source,
    arena: &mut Arena<'_>,
    start: usize,
    options: &ReadOptions,
) -> Result<Contents, Error> {
    let length = arena.bytes().len();
    let (version, after) = pickle::load(arena, start..length)?;
    if arena.int(version) != Some(VERSION) {
        return Err(Error::Unexpected { offset: start, what: "pytorch protocol version", expected: "1001" });
    }
    let (_system, after) = pickle::load(arena, after..length)?;
    let (root, keys_start) = pickle::load(arena, after..length)?;
    let (keys, data) = pickle::load(arena, keys_start..length)?;
    pickle::check(arena)?;
    let storages = stored(source, arena, keys, keys_start, data)?;
    let state = state_dict::find(arena, root, options)?;
    let entries = state_dict::resolve(arena, &state.items, &storages)?;
    Ok(Contents::of_state(Format::TorchLegacy, state, entries))
}

/// The bytes of each storage, in the order of the list of keys.
fn stored<'a>(
    source: &Source,
    arena: &mut Arena<'a>,
    keys: Id,
    keys_start: usize,
    data: usize,
) -> Result<HashMap<&'a [u8], Range<usize>>, Error> {
    let declared = torch::storages(arena)?;
    let mut cursor = Cursor::of_part(&[], data, data, source.len());
    let mut ranges: HashMap<&[u8], Range<usize>> = HashMap::new();
    let count = match arena.get(keys) {
        Value::List(keys) => keys.len(),
        _ => {
            return Err(Error::Unexpected { offset: keys_start, what: "storage keys", expected: "a list" });
        }
    };
    arena.charge(count, 2 * size_of::<(&[u8], Range<usize>)>(), keys_start)?;
    let Value::List(keys) = arena.get(keys) else { return Ok(ranges) };
    for &id in keys {
        let Some(key) = arena.text(id) else {
            return Err(Error::Unexpected { offset: arena.offset(id), what: "storage key", expected: "text" });
        };
        let invalid = |offset, expected| Error::Storage { offset, key: excerpt(key), expected };
        let Some(Value::Storage(storage)) = declared.get(key.as_bytes()).map(|&id| arena.get(id)) else {
            return Err(invalid(arena.offset(id), "only storages that the object refers to"));
        };
        let offset = cursor.position();
        let written = source.get(cursor.take(8, "storage element count")?)?;
        if *written != storage.count.to_le_bytes() {
            return Err(invalid(offset, "the element count that the object declares"));
        }
        if storage.element == Element::Unknown {
            return Err(arena.refusal(storage.class));
        }
        let length = storage.byte_count().ok_or_else(|| invalid(offset, "a count that fits the file"))?;
        let range = cursor.take(length, "storage")?;
        if ranges.insert(key.as_bytes(), range).is_some() {
            return Err(invalid(arena.offset(id), "each storage once"));
        }
    }
    if let Some((_, &id)) = declared.iter().find(|(key, _)| !ranges.contains_key(*key))
        && let Value::Storage(storage) = arena.get(id)
    {
        return Err(torch::storage_error(arena, storage, arena.offset(id), "its key in the list of storages"));
    }
    match cursor.left() {
        0 => Ok(ranges),
        count => Err(Error::TrailingBytes { offset: cursor.position(), count }),
    }
}
