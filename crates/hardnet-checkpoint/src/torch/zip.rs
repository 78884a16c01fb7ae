//! The format since PyTorch 1.6: a zip archive of `<root>/data.pkl`, one `<root>/data/<key>` for each storage, and
//! small entries about the writer.

use std::collections::HashMap;
use std::ops::Range;

use hardnet_base::excerpt;

use crate::contents::{Contents, Format};
use crate::error::Error;
use crate::pickle::{self, Arena, Element, Value};
use crate::source::Source;
use crate::state_dict::{self, ReadOptions};
use crate::torch;
use crate::zip::{self, Archive};

/// Reads an archive.
pub(crate) fn contents(source: &Source, options: &ReadOptions) -> Result<Contents, Error> {
    let directory = zip::directory(source)?;
    let archive = zip::read(source, &directory)?;
    let root = root(&archive)?;
    let member = |name: &str| archive.get(&format!("{root}/{name}"));
    if member("constants.pkl").is_some() {
        return Err(Error::TorchScript);
    }
    if let Some(entry) = member("byteorder")
        && *source.get(entry.data.clone())? != *b"little"
    {
        return Err(entry.error("the byte order `little`"));
    }
    let Some(data) = member("data.pkl") else { return Err(Error::NoTensors) };
    let (pickles, origin) = source.part(data.data.clone())?;
    let mut arena = Arena::of_part(&pickles, source.len());
    let span = data.data.start - origin..data.data.end - origin;
    let (object, end) = pickle::load(&mut arena, span.clone())?;
    if end != span.end {
        return Err(Error::TrailingBytes { offset: end, count: span.end - end });
    }
    pickle::check(&mut arena)?;
    let declared = torch::storages(&mut arena)?;
    let mut storages: HashMap<&[u8], Range<usize>> = HashMap::new();
    for (&key, &id) in &declared {
        let Value::Storage(storage) = arena.get(id) else { continue };
        let invalid = |offset, expected| torch::storage_error(&arena, storage, offset, expected);
        let entry = std::str::from_utf8(key).ok().and_then(|key| member(&format!("data/{}", excerpt(key))));
        let Some(entry) = entry else {
            return Err(invalid(arena.offset(id), "an entry of the archive for each storage"));
        };
        let unknown = storage.element == Element::Unknown;
        if !unknown && storage.byte_count() != Some(entry.data.len() as u64) {
            return Err(invalid(entry.data.start, "as many bytes as the object declares"));
        }
        storages.insert(key, entry.data.clone());
    }
    let state = state_dict::find(&mut arena, object, options)?;
    let entries = state_dict::resolve(&mut arena, &state.items, &storages)?;
    Ok(Contents::of_state(Format::TorchZip, state, entries))
}

/// The folder of the one `data.pkl`.
fn root<'a>(archive: &Archive<'a>) -> Result<&'a str, Error> {
    let mut roots =
        archive.names().filter_map(|name| name.strip_suffix("/data.pkl")).filter(|root| !root.contains('/'));
    match (roots.next(), roots.next()) {
        (Some(root), None) => Ok(root),
        _ => Err(Error::Unexpected { offset: 0, what: "zip archive", expected: "one `data.pkl` in one folder" }),
    }
}
