//! From the labels that a set writes to class indices: one rule for all kinds of sets.

use std::collections::{BTreeSet, HashMap};

use hardnet_base::excerpt;

use super::classes::{Ambiguous, KnownClasses, NameLookup};
use super::label_error::{Expected, LabelError, Numbering, QUOTED, QuotedLabel};
use super::{Classes, MAX_CLASSES};
use crate::imagenet;

/// How the labels of a set were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LabelRule {
    /// By a class map.
    ClassMap,
    /// As names of the network's classes.
    ClassNames,
    /// As WordNet ids of ImageNet's classes.
    WordNetIds,
    /// As `ILSVRC2012_ID`, the numbers of ImageNet's development kit.
    DevelopmentKit,
    /// As class indices from 0.
    Indices,
    /// As classes numbered in the order of their names as text, as torchvision's `ImageFolder` numbers folders.
    SortedAsText,
}

impl LabelRule {
    /// The rule in a few words, as results store it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClassMap => "class map",
            Self::ClassNames => "class names",
            Self::WordNetIds => "WordNet ids",
            Self::DevelopmentKit => "ILSVRC2012_ID",
            Self::Indices => "indices",
            Self::SortedAsText => "sorted as text",
        }
    }
}

impl std::fmt::Display for LabelRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A label as a set writes it, once for all samples that have it.
#[derive(Clone, Copy, Debug)]
pub(super) struct WrittenLabel<'a> {
    pub(super) text: &'a str,
    /// The first line that has it, from 1; `None` for a folder.
    pub(super) line: Option<usize>,
}

/// The class index of each label, and how it was found.
#[derive(Debug)]
pub(super) struct Labeling {
    /// In the order of the labels.
    pub(super) indices: Vec<u32>,
    /// The number of classes.
    pub(super) count: usize,
    /// The name of each class in index order, if the classes or the labels say them.
    pub(super) names: Option<Vec<String>>,
    pub(super) rule: LabelRule,
    /// The rule and what else should be known of it: a sentence each.
    pub(super) notes: Vec<String>,
}

/// A decimal number of ASCII digits; one too large for the type is its largest, which is not a class index either.
pub(super) fn decimal(text: &str) -> Option<u32> {
    let is_decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_decimal.then(|| text.parse().unwrap_or(u32::MAX))
}

/// Whether all labels are decimal numbers.
pub(super) fn all_decimal(labels: &[WrittenLabel]) -> bool {
    labels.iter().all(|label| decimal(label.text).is_some())
}

/// Finds the class of each label; the labels differ from each other, and those of folders are sorted.
pub(super) fn resolve(labels: &[WrittenLabel], classes: &Classes) -> Result<Labeling, LabelError> {
    let Some(known) = classes.known() else { return of_labels(labels) };
    let labeling = of_known(labels, known)?;
    if labeling.rule != LabelRule::ClassMap {
        check_folders(labels, &labeling.indices)?;
    }
    Ok(labeling)
}

/// Classes that the labels name.
fn of_labels(labels: &[WrittenLabel]) -> Result<Labeling, LabelError> {
    let is_list = labels.iter().any(|label| label.line.is_some());
    if is_list && all_decimal(labels) {
        let largest = labels.iter().filter_map(|label| decimal(label.text)).max().unwrap_or(0);
        return by_index(labels, (largest as usize).saturating_add(1).min(MAX_CLASSES), None);
    }
    let mut order: Vec<_> = (0..labels.len()).collect();
    order.sort_by_key(|&position| labels[position].text);
    let mut indices = vec![0; labels.len()];
    order.iter().zip(0..).for_each(|(&position, index)| indices[position] = index);
    let names: Vec<_> = order.iter().map(|&position| labels[position].text.to_owned()).collect();
    let note = format!("labels: {}, numbered in the order of their names as text{}", counted(&names), ends(&names));
    Ok(Labeling { indices, count: names.len(), names: Some(names), rule: LabelRule::SortedAsText, notes: vec![note] })
}

/// The rule: class names, WordNet ids, indices; only classes without names are numbered by the labels themselves.
fn of_known(labels: &[WrittenLabel], known: &KnownClasses) -> Result<Labeling, LabelError> {
    let lookup = known.lookup();
    if let Some(labeling) = by_name(labels, known, &lookup)? {
        return Ok(labeling);
    }
    let is_imagenet = known.are_imagenets();
    if is_imagenet && labels.iter().any(|label| imagenet::is_wordnet_id(label.text)) {
        return by_wordnet_id(labels, known);
    }
    let are_indices = !lookup.has_numbers();
    if are_indices && all_decimal(labels) {
        return by_index(labels, known.count, Some(known));
    }
    // Folders may be named by numbers among others; a list with a number for a label has a mistake in the other lines.
    let is_list = labels.iter().any(|label| label.line.is_some());
    let number_like = labels.iter().filter(|label| label.text.parse::<f64>().is_ok()).count();
    if !known.are_named() && labels.len() == known.count && !(is_list && number_like > 0) {
        return Ok(sorted_as_text(labels, known.count));
    }
    if are_indices && (is_list && number_like > 0 || 2 * number_like > labels.len()) {
        let unfit = labels.iter().filter(|label| decimal(label.text).is_none());
        return Err(no_class(labels, unfit, Expected::Indices { classes: known.count }));
    }
    let expected = match known.names.as_deref() {
        Some(names) => Expected::names(names),
        None if known.are_named() => Expected::Map,
        None if is_imagenet => Expected::WordNetIds,
        None => Expected::Count { classes: known.count, labels: labels.len() },
    };
    Err(no_class(labels, labels.iter(), expected))
}

/// `None` if no label is the name of a class.
fn by_name(labels: &[WrittenLabel], known: &KnownClasses, lookup: &NameLookup) -> Result<Option<Labeling>, LabelError> {
    let mut indices = Vec::with_capacity(labels.len());
    for label in labels {
        let found = lookup.find(label.text).map_err(|Ambiguous(first, second)| LabelError::Ambiguous {
            label: QuotedLabel::of(label),
            first,
            second,
        })?;
        indices.push(found);
    }
    if indices.iter().all(Option::is_none) {
        return Ok(None);
    }
    let unfit = labels.iter().zip(&indices).filter(|(_, index)| index.is_none()).map(|(label, _)| label);
    let indices: Option<Vec<u32>> = indices.iter().copied().collect();
    let Some(indices) = indices else {
        let expected = known.names.as_deref().map_or(Expected::Map, Expected::names);
        let expected = if known.are_named() { expected } else { Expected::WordNetIds };
        return Err(no_class(labels, unfit, expected));
    };
    let (rule, by) = match known.map() {
        Some(map) => (LabelRule::ClassMap, format!("class map `{}`", map.display())),
        None => (LabelRule::ClassNames, "class names".into()),
    };
    let note = format!("labels: {by}, {} of {} classes", distinct(&indices), known.count);
    let names = known.names.clone();
    Ok(Some(Labeling { indices, count: known.count, names, rule, notes: vec![note] }))
}

fn by_wordnet_id(labels: &[WrittenLabel], known: &KnownClasses) -> Result<Labeling, LabelError> {
    let indices: Vec<u32> = labels.iter().filter_map(|label| imagenet::class_index(label.text)).collect();
    if indices.len() < labels.len() {
        let unfit = labels.iter().filter(|label| imagenet::class_index(label.text).is_none());
        return Err(no_class(labels, unfit, Expected::WordNetIds));
    }
    let ids = || imagenet::classes().iter().map(|class| class.wordnet_id.to_owned()).collect();
    let names = known.names.clone().unwrap_or_else(ids);
    let note = format!("labels: WordNet ids, {} of ImageNet's {} classes", labels.len(), names.len());
    let (count, rule) = (known.count, LabelRule::WordNetIds);
    Ok(Labeling { indices, count, names: Some(names), rule, notes: vec![note] })
}

/// Numbers as indices below `count`, of a network if one is `known`.
fn by_index(labels: &[WrittenLabel], count: usize, known: Option<&KnownClasses>) -> Result<Labeling, LabelError> {
    let indices: Vec<u32> = labels.iter().filter_map(|label| decimal(label.text)).collect();
    if let Some(wrong) = indices.iter().position(|index| *index as usize >= count) {
        let numbering = match indices.iter().all(|index| (1..=count).contains(&(*index as usize))) {
            false => Numbering::Unknown,
            true if known.is_some_and(KnownClasses::are_imagenets) => Numbering::ImageNetFromOne,
            true => Numbering::FromOne,
        };
        let names = known.and_then(|known| known.names.as_deref()).unwrap_or_default();
        let names = names.iter().take(QUOTED).map(|name| excerpt(name)).collect();
        return Err(LabelError::OutOfRange {
            label: QuotedLabel::of(&labels[wrong]),
            classes: count,
            numbering,
            names,
        });
    }
    let mut notes = vec![format!("labels: class indices, {} of {count} classes", distinct(&indices))];
    let is_folders = labels.iter().all(|label| label.line.is_none());
    let names = known.and_then(|known| known.names.clone());
    if is_folders && names.is_none() {
        // Folders come sorted as text.
        let first = indices.iter().zip(0..).find(|(index, position)| *index != position);
        if let Some((index, position)) = first.filter(|_| labels.len() == count) {
            notes.push(format!(
                "torchvision's ImageFolder numbers these folders as text, where `{index}` is class {position}; \
                 if it numbered them for these weights, a class map has to say so"
            ));
        }
    }
    let folder_names = || {
        let mut names: Vec<_> = (0..count).map(|index| index.to_string()).collect();
        indices.iter().zip(labels).for_each(|(index, label)| names[*index as usize] = label.text.to_owned());
        names
    };
    let names = names.or_else(|| is_folders.then(folder_names));
    Ok(Labeling { indices, count, names, rule: LabelRule::Indices, notes })
}

/// As many labels as classes without names.
fn sorted_as_text(labels: &[WrittenLabel], count: usize) -> Labeling {
    let own = of_labels(labels).expect("labels that are not numbers name classes");
    let names = own.names.unwrap_or_default();
    let note = format!(
        "labels: {} in the order of their names as text, as torchvision's ImageFolder numbers them{}; \
         the weights do not name their classes",
        counted(&names),
        ends(&names)
    );
    Labeling { indices: own.indices, count, names: Some(names), rule: LabelRule::SortedAsText, notes: vec![note] }
}

fn counted(names: &[String]) -> String {
    format!("{} {}", names.len(), if names.len() == 1 { "class" } else { "classes" })
}

/// The first name and the last.
fn ends(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => format!(": `{}`", excerpt(only)),
        [first, .., last] => format!(": `{}` is 0, `{}` is {}", excerpt(first), excerpt(last), names.len() - 1),
    }
}

fn distinct(indices: &[u32]) -> usize {
    indices.iter().collect::<BTreeSet<_>>().len()
}

/// The error of the labels that fit no class.
fn no_class<'a, 'b: 'a>(
    labels: &[WrittenLabel],
    unfit: impl Iterator<Item = &'a WrittenLabel<'b>>,
    expected: Expected,
) -> LabelError {
    let unfit: Vec<_> = unfit.collect();
    let first = unfit.iter().take(QUOTED).map(|label| QuotedLabel::of(label)).collect();
    LabelError::NoClass { count: unfit.len(), total: labels.len(), first, expected }
}

/// Two folders for one class are a mistake; in a list it is only another spelling.
fn check_folders(labels: &[WrittenLabel], indices: &[u32]) -> Result<(), LabelError> {
    let mut first = HashMap::new();
    for (label, index) in labels.iter().zip(indices).filter(|(label, _)| label.line.is_none()) {
        if let Some(other) = first.insert(*index, label.text) {
            return Err(LabelError::SameClass { first: excerpt(other), second: excerpt(label.text), class: *index });
        }
    }
    Ok(())
}
