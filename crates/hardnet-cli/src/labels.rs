//! The meaning of labels, and predicted classes in JSON lines.

use std::path::{Path, PathBuf};

use clap::Args;
use hardnet_base::TextLines;
use hardnet_classifier::Labels;
use hardnet_data::{ClassMap, Classes, DevelopmentKit};
use hardnet_eval::PredictedClass;

use crate::failure::{Failure, Result};

/// Options of what the labels of images mean.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct LabelArgs {
    /// Which class each label means: lines `name,index` or `wnid,index`, or one name on each line in class order
    #[arg(long, value_name = "FILE")]
    class_map: Option<PathBuf>,
    /// ImageNet's development kit, a folder or tar.gz: labels are its numbers, and validation images in one folder need
    /// no list
    #[arg(long, value_name = "PATH")]
    devkit: Option<PathBuf>,
}

impl LabelArgs {
    /// The file that says what labels mean.
    pub(crate) fn class_map(&self) -> Option<&Path> {
        self.class_map.as_deref()
    }

    /// Path of the development kit.
    pub(crate) fn devkit(&self) -> Option<&Path> {
        self.devkit.as_deref()
    }

    /// The development kit.
    pub(crate) fn kit(&self) -> Result<Option<DevelopmentKit>> {
        Ok(self.devkit().map(DevelopmentKit::open).transpose()?)
    }
}

/// The classes of a network, and their names if a class map replaces those in the weights.
pub(crate) struct MappedClasses {
    pub(crate) classes: Classes,
    pub(crate) names: Option<Vec<String>>,
}

/// `count` classes with the names in the weights, if there are any, and what `class_map` says of their labels.
pub(crate) fn classes(count: usize, own: Option<&[String]>, class_map: Option<&Path>) -> Result<MappedClasses> {
    let classes = own.map_or(Classes::unnamed(count), Classes::named);
    let Some(path) = class_map else { return Ok(MappedClasses { classes, names: None }) };
    let map = ClassMap::read(path)?;
    let classes = classes.with_map(&map)?;
    let (mapped, unmapped) = (map.names(), own.map_or_else(|| Labels::guess(count), |own| Labels::new(own.to_vec())));
    let name = |index: usize| match mapped.get(index) {
        Some(Some(name)) => (*name).to_owned(),
        _ => unmapped.name(index).into_owned(),
    };
    Ok(MappedClasses { classes, names: Some((0..count).map(name).collect()) })
}

/// The largest file of names, in bytes.
const MAX_NAMES_BYTES: u64 = 16 << 20;

/// Reads a file of class names, one on each line: UTF-8, or UTF-16 with a byte order mark.
pub(crate) fn read_names(path: &Path) -> Result<Vec<String>> {
    let fail = |error| anyhow::Error::from(error).context(format!("cannot read `{}`", path.display()));
    let mut lines = TextLines::open(path, MAX_NAMES_BYTES).map_err(fail)?;
    let (mut names, mut empty) = (Vec::new(), None);
    while let Some((number, line)) = lines.next_line().map_err(fail)? {
        match (line.trim(), empty) {
            ("", _) => {
                empty.get_or_insert(number);
            }
            (_, Some(line)) => {
                let path = path.display();
                return Err(Failure::message(format!("line {line} of `{path}` is empty, expected a class name")));
            }
            (name, None) => names.push(name.to_owned()),
        }
    }
    Ok(names)
}

/// Returns the `k` most probable classes by `logits`, best first.
pub(crate) fn hits(labels: &Labels, logits: &[f32], k: usize) -> Vec<PredictedClass> {
    let hits = labels.hits(logits, k).into_iter();
    hits.map(|hit| PredictedClass::new(hit.index, hit.name, hit.probability)).collect()
}
