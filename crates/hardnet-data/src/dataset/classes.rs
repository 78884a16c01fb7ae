//! The classes that labels stand for.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use super::{ClassMap, DatasetError};
use crate::imagenet;

/// The classes of a network, which the labels of a data set are matched with: how many, and their names if known.
///
/// ```
/// use hardnet_data::Classes;
///
/// let unnamed = Classes::from(10);
/// let named = Classes::named(["T-shirt/top", "Trouser"]);
/// assert_eq!((unnamed.count(), named.count()), (Some(10), Some(2)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classes(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    OfLabels,
    Known(KnownClasses),
}

/// Classes whose number is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KnownClasses {
    pub(super) count: usize,
    /// The name of each class, if all have one.
    pub(super) names: Option<Vec<String>>,
    /// A class map that says what the labels mean.
    map: Option<ClassMap>,
}

impl Classes {
    /// Classes without names; 1,000 of them are taken for ImageNet's.
    pub fn unnamed(count: usize) -> Self {
        Self(Kind::Known(KnownClasses { count, names: None, map: None }))
    }

    /// Classes by their names, in index order.
    pub fn named(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        Self(Kind::Known(KnownClasses { count: names.len(), names: Some(names), map: None }))
    }

    /// The classes of a set to train on: those that its labels name.
    ///
    /// Folders are classes named after them, in the order of their names as text, which is that of torchvision's
    /// `ImageFolder`; so are the labels of a list, unless all are numbers, which are then indices.
    pub fn of_labels() -> Self {
        Self(Kind::OfLabels)
    }

    /// Lets `map` say what the labels mean. It takes the place of the names; the number of classes stays if it is
    /// known, otherwise it is the map's.
    ///
    /// # Errors
    ///
    /// A [`DatasetError`] if the map has an index that is not a class, or is a list of more or fewer names than
    /// classes.
    pub fn with_map(self, map: &ClassMap) -> Result<Self, DatasetError> {
        let known = match self.0 {
            Kind::OfLabels => KnownClasses { count: map.classes(), names: None, map: None },
            Kind::Known(known) => known,
        };
        let (count, found) = (known.count, map.classes());
        if found > count || map.is_list_of_names() && found != count {
            return Err(DatasetError::ClassMapCount { path: map.path().into(), found, classes: count });
        }
        let mut names = map.names();
        names.resize(count, None);
        let own = known.names.unwrap_or_default();
        let name = |(index, name): (usize, Option<&str>)| name.map(str::to_owned).or_else(|| own.get(index).cloned());
        let names = names.into_iter().enumerate().map(name).collect();
        Ok(Self(Kind::Known(KnownClasses { count, names, map: Some(map.clone()) })))
    }

    /// The number of classes; `None` if the labels decide.
    pub fn count(&self) -> Option<usize> {
        self.known().map(|known| known.count)
    }

    /// The name of each class in index order, if they are known.
    pub fn names(&self) -> Option<&[String]> {
        self.known()?.names.as_deref()
    }

    pub(super) fn known(&self) -> Option<&KnownClasses> {
        match &self.0 {
            Kind::OfLabels => None,
            Kind::Known(known) => Some(known),
        }
    }
}

impl From<usize> for Classes {
    /// [`Classes::unnamed`].
    fn from(count: usize) -> Self {
        Self::unnamed(count)
    }
}

impl KnownClasses {
    /// The class map that says what the labels mean.
    pub(super) fn map(&self) -> Option<&Path> {
        self.map.as_ref().map(ClassMap::path)
    }

    /// Whether the classes are named, by the network or by a map.
    pub(super) fn are_named(&self) -> bool {
        self.names.is_some() || self.map.is_some()
    }

    /// Whether the classes are ImageNet's thousand in their order: by their names, or if there are none, by their
    /// number.
    pub(super) fn are_imagenets(&self) -> bool {
        let classes = imagenet::classes();
        if self.count != classes.len() {
            return false;
        }
        let Some(names) = &self.names else { return self.map.is_none() };
        // Lists differ in how many synonyms they write, and in blanks.
        let key = |name: &str| name.split(',').next().unwrap_or_default().trim().replace('_', " ").to_lowercase();
        let is_same = |(name, class): &(&String, &imagenet::Class)| {
            name.as_str() == class.wordnet_id || key(name) == key(class.name)
        };
        2 * names.iter().zip(classes).filter(is_same).count() > classes.len()
    }

    /// The names that labels are compared with.
    pub(super) fn lookup(&self) -> NameLookup<'_> {
        match (&self.map, &self.names) {
            (Some(map), _) => NameLookup::new(map.entries().iter().map(|(name, index)| (name.as_str(), *index))),
            (None, Some(names)) => NameLookup::new(names.iter().map(String::as_str).zip(0..)),
            (None, None) if self.are_imagenets() => {
                let whole = imagenet::classes().iter().map(|class| class.name).zip(0..);
                let first = whole.clone().filter_map(|(name, index)| Some((name.split_once(',')?.0, index)));
                NameLookup::new(whole.chain(first))
            }
            (None, None) => NameLookup::default(),
        }
    }
}

/// Names of classes, to be found by labels.
#[derive(Default)]
pub(super) struct NameLookup<'a> {
    /// Names and their classes by what a label and a name that it equals have in common.
    by_key: HashMap<Cow<'a, str>, Vec<(&'a str, u32)>>,
}

/// A label that is the name of two classes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ambiguous(pub(super) u32, pub(super) u32);

impl<'a> NameLookup<'a> {
    fn new(names: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let mut by_key = HashMap::<_, Vec<_>>::new();
        for (name, index) in names {
            by_key.entry(key(name)).or_default().push((name, index));
        }
        Self { by_key }
    }

    /// The class that `label` names.
    pub(super) fn find(&self, label: &str) -> Result<Option<u32>, Ambiguous> {
        let Some(alike) = self.by_key.get(&key(label)) else { return Ok(None) };
        let is_exact = alike.iter().any(|(name, _)| *name == label);
        let mut fits = alike.iter().filter(|(name, _)| if is_exact { *name == label } else { is_name(name, label) });
        let Some(&(_, first)) = fits.next() else { return Ok(None) };
        match fits.find(|(_, index)| *index != first) {
            Some(&(_, second)) => Err(Ambiguous(first, second)),
            None => Ok(Some(first)),
        }
    }

    /// Whether a class is named by a number, so that a number is not an index.
    pub(super) fn has_numbers(&self) -> bool {
        let mut names = self.by_key.values().flatten();
        names.any(|(name, _)| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()))
    }
}

/// The name with `/` for all characters that folders may have in place of one.
fn key(name: &str) -> Cow<'_, str> {
    if name.contains(['-', '_']) { name.replace(['-', '_'], "/").into() } else { name.into() }
}

/// Whether `label` is `name`, or has `-` or `_` where the name has `/`, which the name of a folder cannot hold.
fn is_name(name: &str, label: &str) -> bool {
    let is_same = |(n, l)| n == l || n == '/' && matches!(l, '-' | '_');
    name.chars().count() == label.chars().count() && name.chars().zip(label.chars()).all(is_same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(names: &[&str], label: &str) -> Result<Option<u32>, Ambiguous> {
        NameLookup::new(names.iter().copied().zip(0..)).find(label)
    }

    #[test]
    fn a_slash_in_a_name_may_be_another_character_in_a_label() {
        let names = ["Trouser", "T-shirt/top", "a_b", "a/b/c", "caf\u{e9}/bar"];
        let table = [
            ("Trouser", Some(0)),
            ("trouser", None),
            ("T-shirt/top", Some(1)),
            ("T-shirt-top", Some(1)),
            ("T-shirt_top", Some(1)),
            ("T/shirt/top", None),
            ("T_shirt/top", None),
            ("T-shirt top", None),
            ("a_b", Some(2)),
            ("a-b", None),
            ("a_b-c", Some(3)),
            ("caf\u{e9}_bar", Some(4)),
            ("", None),
        ];
        for (label, expected) in table {
            assert_eq!(find(&names, label), Ok(expected), "{label}");
        }
    }

    #[test]
    fn a_name_of_two_classes_is_ambiguous_unless_it_is_exact_for_one() {
        assert_eq!(find(&["crane", "heron", "crane"], "crane"), Err(Ambiguous(0, 2)));
        assert_eq!(find(&["a/b", "a-b"], "a-b"), Ok(Some(1)));
        assert_eq!(find(&["a/b/c", "a/b-c"], "a-b-c"), Err(Ambiguous(0, 1)));
    }

    #[test]
    fn imagenets_classes_are_told_by_number_or_names() {
        let known = |classes: Classes| classes.known().expect("a known number").clone();
        let of = |name: fn(&imagenet::Class) -> String| known(Classes::named(imagenet::classes().iter().map(name)));
        assert!(known(Classes::unnamed(1000)).are_imagenets());
        assert!(of(|class| class.name.into()).are_imagenets());
        assert!(of(|class| class.wordnet_id.into()).are_imagenets());
        assert!(of(|class| class.name.split(',').next().unwrap().replace(' ', "_")).are_imagenets());
        assert!(!known(Classes::unnamed(999)).are_imagenets());
        assert!(!known(Classes::named((0..1000).map(|index| index.to_string()))).are_imagenets());
        let lookup = known(Classes::unnamed(1000));
        let find = |label| lookup.lookup().find(label);
        assert_eq!(find("tench, Tinca tinca"), Ok(Some(0)));
        assert_eq!((find("tench"), find("crane")), (Ok(Some(0)), Err(Ambiguous(134, 517))));
    }
}
