//! From the names of class folders to class indices.

use std::path::Path;

use hardnet_base::excerpt;

use super::DatasetError;
use super::error::QUOTED;
use crate::imagenet;

/// How the names of the class folders became class indices.
pub(super) struct Labeling {
    /// The class index of each folder, in the order of the folders.
    pub(super) labels: Vec<u32>,
    /// The name of each class, in index order.
    pub(super) classes: Vec<String>,
    /// The rule that was applied, as a sentence.
    pub(super) note: String,
}

/// Labels class folders by the look of their names, which are sorted.
pub(super) fn label(root: &Path, names: &[&str], classes: usize) -> Result<Labeling, DatasetError> {
    let is_imagenet = classes == imagenet::classes().len();
    if is_imagenet && names.iter().any(|name| imagenet::is_wordnet_id(name)) {
        by_wordnet_id(root, names)
    } else if names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_digit())) {
        by_number(root, names, classes)
    } else {
        by_order(root, names, classes)
    }
}

fn by_wordnet_id(root: &Path, names: &[&str]) -> Result<Labeling, DatasetError> {
    let labels: Vec<_> = names.iter().filter_map(|name| imagenet::class_index(name)).collect();
    if labels.len() < names.len() {
        let unknown = names.iter().filter(|name| imagenet::class_index(name).is_none());
        return Err(DatasetError::UnknownClasses {
            root: root.into(),
            count: names.len() - labels.len(),
            found: names.len(),
            first: unknown.take(QUOTED).map(|name| excerpt(name)).collect(),
        });
    }
    let classes: Vec<_> = imagenet::classes().iter().map(|class| class.wordnet_id.to_owned()).collect();
    let note = format!("labels are the folder names as WordNet ids, {} of ImageNet's {}", names.len(), classes.len());
    Ok(Labeling { labels, classes, note })
}

fn by_number(root: &Path, names: &[&str], classes: usize) -> Result<Labeling, DatasetError> {
    // Only a number too large for the type fails, and that is not a class index either.
    let labels: Vec<u32> = names.iter().map(|name| name.parse().unwrap_or(u32::MAX)).collect();
    if let Some(wrong) = labels.iter().position(|label| *label as usize >= classes) {
        return Err(DatasetError::FolderOutOfRange {
            root: root.into(),
            folder: excerpt(names[wrong]),
            classes,
            one_based: looks_one_based(labels.iter().copied(), classes),
        });
    }
    let mut class_names = vec![None; classes];
    for (label, name) in labels.iter().zip(names) {
        if let Some(first) = class_names[*label as usize].replace(*name) {
            let (first, second) = (excerpt(first), excerpt(name));
            return Err(DatasetError::SameNumber { root: root.into(), first, second });
        }
    }
    let class_names =
        class_names.iter().enumerate().map(|(index, name)| name.map_or(index.to_string(), str::to_owned)).collect();
    let note = format!("labels are the folder names as class indices, {} of {classes}", names.len());
    Ok(Labeling { labels, classes: class_names, note })
}

fn by_order(root: &Path, names: &[&str], classes: usize) -> Result<Labeling, DatasetError> {
    if names.len() != classes {
        return Err(DatasetError::ClassCount {
            root: root.into(),
            found: names.len(),
            classes,
            first: names.iter().take(QUOTED).map(|name| excerpt(name)).collect(),
        });
    }
    let note = format!(
        "labels are the positions of the {classes} class folders in the order of their names, `{}` is 0 and `{}` is {}",
        excerpt(names[0]),
        excerpt(names[classes - 1]),
        classes - 1
    );
    let labels = (0..).take(classes).collect();
    Ok(Labeling { labels, classes: names.iter().map(|name| (*name).to_owned()).collect(), note })
}

/// Whether numbers, some of which are outside 0..`classes`, are those of 1..=`classes`.
pub(super) fn looks_one_based(mut numbers: impl Iterator<Item = u32>, classes: usize) -> bool {
    numbers.all(|number| (1..=classes).contains(&(number as usize)))
}
