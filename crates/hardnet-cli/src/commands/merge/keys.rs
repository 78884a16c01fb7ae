//! Keys of images in tar files, which no list has checked: a key that two tar files have is found here.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::check::Part;
use crate::failure::{Failure, Result};

/// The keys of images so far: a digest of each, and its shard.
#[derive(Default)]
pub(super) struct Keys(HashMap<u128, usize>);

impl Keys {
    /// Keys to compare, if the images of `parts` are in tar files.
    pub(super) fn of<T>(parts: &[Part<T>]) -> Option<Self> {
        parts.first()?.record.tars.map(|_| Self::default())
    }

    /// Adds the key of the image `name` of `part`. Returns an error if an earlier one has it.
    pub(super) fn add<T>(&mut self, name: &str, part: &Part<T>, parts: &[Part<T>]) -> Result<()> {
        let file = name.rfind('/').map_or(0, |slash| slash + 1);
        let key = name[file..].find('.').map_or(name, |dot| &name[..file + dot]);
        let digest = [0u8, 1].map(|salt| {
            let mut hasher = DefaultHasher::new();
            (salt, key).hash(&mut hasher);
            u128::from(hasher.finish())
        });
        match self.0.insert(digest[0] << 64 | digest[1], part.record.index) {
            Some(other) => Err(Failure::message(format!(
                "the key `{key}` is in `{}` and again in {}",
                parts[other].path.display(),
                part.name().trim_end_matches(',')
            ))
            .hint("keys of one data set differ; remove the image from one of the tar files")),
            None => Ok(()),
        }
    }
}
