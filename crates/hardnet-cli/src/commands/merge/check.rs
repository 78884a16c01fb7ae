//! Whether results are those of all shards of one run.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::failure::{Failure, Result};
use crate::shards::ShardRecord;

/// Fields of results that shards of one run may differ in, whatever else they count. Those about the machine change no
/// figure.
const ASIDE: [&str; 7] = ["threads", "workers", "shard", "errors", "seconds", "images_per_second", "partial"];

/// A file, and what it says of its shard.
pub(super) struct Part<T> {
    pub(super) path: PathBuf,
    pub(super) record: ShardRecord,
    pub(super) content: T,
}

impl<T> Part<T> {
    pub(super) fn new(path: &Path, record: ShardRecord, content: T) -> Self {
        Self { path: path.into(), record, content }
    }

    /// The file and the number of its shard, for messages.
    pub(super) fn name(&self) -> String {
        format!("`{}`, shard {}/{},", self.path.display(), self.record.index, self.record.count)
    }

    /// The error of a shard whose files are not what it wrote. `problem` follows its name.
    pub(super) fn damaged(&self, problem: impl fmt::Display) -> Failure {
        let (index, count) = (self.record.index, self.record.count);
        Failure::message(format!("{} {problem}", self.name()))
            .hint(format!("run the command again with --shard {index}/{count}"))
    }
}

/// The shards in their order, if all are there once and of the same images and settings.
pub(super) fn in_order<T>(mut parts: Vec<Part<T>>) -> Result<Vec<Part<T>>> {
    let Some(first) = parts.first() else { return Ok(parts) };
    let count = first.record.count;
    if let Some(other) = parts.iter().find(|part| part.record.count != count) {
        return Err(Failure::message(format!(
            "`{}` is one of {count} shards, `{}` one of {}",
            first.path.display(),
            other.path.display(),
            other.record.count
        )));
    }
    parts.sort_by_key(|part| part.record.index);
    if let Some([one, other]) = parts.windows(2).find_map(|pair| match pair {
        [one, other] if one.record.index == other.record.index => Some([one, other]),
        _ => None,
    }) {
        let (index, [one, other]) = (one.record.index, [one, other].map(|part| part.path.display()));
        return Err(
            Failure::message(format!("`{one}` and `{other}` are both shard {index}/{count}")).hint("drop one of them")
        );
    }
    let mut there = parts.iter().map(|part| part.record.index).peekable();
    let missing: Vec<usize> = (0..count).filter(|index| there.next_if_eq(index).is_none()).collect();
    if let Some(lowest) = missing.first() {
        let (shards, is, its) =
            if missing.len() == 1 { ("shard", "is", "its file") } else { ("shards", "are", "their files") };
        return Err(Failure::message(format!("{shards} {} of {count} {is} missing", listed(&missing)))
            .hint(format!("add {its}, or run the command again with --shard {lowest}/{count}")));
    }
    let first = &parts[0];
    for part in &parts[1..] {
        if part.record.images_sha256 != first.record.images_sha256 {
            return Err(Failure::message(format!(
                "{} is of other images than `{}`: their names or labels differ",
                part.name(),
                first.path.display()
            )));
        }
        same(first, part, (&first.record.settings, &part.record.settings), &[])?;
    }
    let mut next = 0;
    for part in &parts {
        if part.record.first != next || part.record.end < next {
            return Err(Failure::message(format!(
                "{} begins at image {}, expected {next}",
                part.name(),
                part.record.first
            )));
        }
        next = part.record.end;
    }
    Ok(parts)
}

/// The first of the numbers, in words.
fn listed(numbers: &[usize]) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<_> = numbers.iter().take(SHOWN).map(usize::to_string).collect();
    match numbers.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Returns an error if a shard was stopped before its last image.
pub(super) fn is_whole<T>(part: &Part<T>, partial: bool) -> Result<()> {
    if !partial {
        return Ok(());
    }
    Err(part.damaged("was stopped before its last image"))
}

/// Returns an error if a result of `other` differs from that of `first` in what is neither a count, of which `counts`
/// are the names, nor [aside](ASIDE).
pub(super) fn same_settings<T>(
    first: &Part<T>,
    other: &Part<T>,
    results: (&impl Serialize, &impl Serialize),
    counts: &[&str],
) -> Result<()> {
    same(first, other, results, &[&ASIDE, counts].concat())
}

/// Returns an error if a field of `other` differs from that of `first`, unless its name is among `aside`.
pub(super) fn same<T>(
    first: &Part<T>,
    other: &Part<T>,
    (expected, found): (&impl Serialize, &impl Serialize),
    aside: &[&str],
) -> Result<()> {
    let [mut expected, mut found] = [serde_json::to_value(expected)?, serde_json::to_value(found)?];
    for value in [&mut expected, &mut found] {
        if let Some(object) = value.as_object_mut() {
            aside.iter().for_each(|name| drop(object.remove(*name)));
        }
    }
    let Some(Difference { field, expected, found }) = difference(String::new(), &expected, &found) else {
        return Ok(());
    };
    Err(Failure::message(format!(
        "{} differs from `{}` in `{field}`: {found} instead of {expected}",
        other.name(),
        first.path.display()
    ))
    .hint("shards of one run have the same weights, settings, images and version"))
}

/// A field that differs.
struct Difference {
    field: String,
    expected: String,
    found: String,
}

fn difference(field: String, expected: &Value, found: &Value) -> Option<Difference> {
    if expected == found {
        return None;
    }
    let (Value::Object(left), Value::Object(right)) = (expected, found) else {
        return Some(Difference { field, expected: expected.to_string(), found: found.to_string() });
    };
    let names = left.keys().chain(right.keys());
    let path = |name: &str| if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") };
    let value = |object: &serde_json::Map<String, Value>, name: &str| object.get(name).cloned().unwrap_or_default();
    names.into_iter().find_map(|name| difference(path(name), &value(left, name), &value(right, name)))
}
