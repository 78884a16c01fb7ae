//! Kaggle's solution files: `ImageId,PredictionString`, a class as WordNet id with each box.
//!
//! A row is `ILSVRC2012_val_00048981,n03995372 85 1 499 272`: the image without its extension, then one or more boxes
//! of five fields, which are of one class.

use std::borrow::Cow;
use std::path::Path;

use hardnet_base::excerpt;

use crate::dataset::DatasetError;
use crate::dataset::walk::has_image_extension;
use crate::imagenet;

/// The columns, compared without regard to case.
const HEADER: (&str, &str) = ("ImageId", "PredictionString");

/// Fields of a box: a WordNet id and four coordinates in pixels.
const BOX_FIELDS: usize = 5;

/// Extension of ImageNet's images.
const EXTENSION: &str = ".JPEG";

/// Whether a line, without blanks around it, is the header.
pub(super) fn is_header(text: &str) -> bool {
    columns(text).is_some_and(|(id, boxes)| id.eq_ignore_ascii_case(HEADER.0) && boxes.eq_ignore_ascii_case(HEADER.1))
}

/// Whether a line looks like a row, so that no list takes its last coordinate for a label.
pub(super) fn is_row(text: &str) -> bool {
    columns(text).is_some_and(|(_, boxes)| boxes.split_ascii_whitespace().next().is_some_and(imagenet::is_wordnet_id))
}

/// Name and label of a line below the header that is not empty and has no blanks around it.
pub(super) fn parse_row<'a>(list: &Path, line: usize, text: &'a str) -> Result<(Cow<'a, str>, &'a str), DatasetError> {
    let list_path = || list.to_path_buf();
    if !is_row(text) {
        return Err(DatasetError::UnknownLabels { list: list_path(), line, text: excerpt(text) });
    }
    let malformed = || DatasetError::MalformedBoxes { list: list_path(), line, text: excerpt(text) };
    let (id, boxes) = columns(text).ok_or_else(malformed)?;
    let fields: Vec<_> = boxes.split_ascii_whitespace().collect();
    let coordinates_are_numbers = |one: &[&str]| {
        one.len() == BOX_FIELDS
            && one[1..].iter().all(|field| field.parse().is_ok_and(|number: f64| number.is_finite()))
    };
    if id.is_empty() || !fields.chunks(BOX_FIELDS).all(coordinates_are_numbers) {
        return Err(malformed());
    }
    let mut ids = fields.iter().step_by(BOX_FIELDS);
    let class = *ids.next().ok_or_else(malformed)?;
    if let Some(other) = ids.find(|other| **other != class) {
        let (first, second) = (excerpt(class), excerpt(other));
        return Err(DatasetError::SeveralClasses { list: list_path(), line, first, second });
    }
    let name: Cow<str> = match has_image_extension(Path::new(id)) {
        true => id.into(),
        false => format!("{id}{EXTENSION}").into(),
    };
    Ok((name, class))
}

/// The class in the name of a training image, `n01440764_10026.JPEG`.
pub(in crate::dataset) fn class_from_name(name: &str) -> Option<&str> {
    name.split_once('_').map(|(class, _)| class).filter(|class| imagenet::is_wordnet_id(class))
}

/// The two columns, which may be quoted, or `None` if there is another number of them.
fn columns(text: &str) -> Option<(&str, &str)> {
    let (first, second) = text.split_once(',')?;
    let (first, second) = (unquoted(first.trim())?, unquoted(second.trim())?);
    Some((first, second)).filter(|(_, second)| !second.contains(','))
}

/// The field without quotes around it, or `None` if it has others.
fn unquoted(field: &str) -> Option<&str> {
    let inner = field.strip_prefix('"').map_or(Some(field), |rest| rest.strip_suffix('"'))?;
    (!inner.contains('"')).then_some(inner.trim())
}
