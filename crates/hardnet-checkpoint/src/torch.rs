//! Files of `torch.save`.

pub(crate) mod legacy;
pub(crate) mod zip;

use std::collections::HashMap;

use hardnet_base::excerpt;

use crate::error::Error;
use crate::pickle::{Arena, Id, Storage, Value};

/// The storages that the pickles refer to, by key. Views of one storage refer to it alike.
fn storages<'a>(arena: &mut Arena<'a>) -> Result<HashMap<&'a [u8], Id>, Error> {
    let mut found: HashMap<&[u8], Id> = HashMap::new();
    for id in arena.ids() {
        let Value::Storage(storage) = arena.get(id) else { continue };
        let key = arena.slice(&storage.key);
        let Some(&first) = found.get(key) else {
            arena.charge(1, 2 * size_of::<(&[u8], Id)>(), arena.offset(id))?;
            found.insert(key, id);
            continue;
        };
        let Value::Storage(first) = arena.get(first) else { continue };
        if (first.element, first.count) != (storage.element, storage.count) {
            return Err(storage_error(arena, storage, arena.offset(id), "one type and one count for each storage"));
        }
    }
    Ok(found)
}

fn storage_error(arena: &Arena<'_>, storage: &Storage, offset: usize, expected: &'static str) -> Error {
    let key = String::from_utf8_lossy(arena.slice(&storage.key));
    Error::Storage { offset, key: excerpt(&key), expected }
}
