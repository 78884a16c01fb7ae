//! Names of classes.

use std::borrow::Cow;

use hardnet_data::{Classes, imagenet};

/// The names of a network's classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    source: Source,
    classes: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    /// In the weights file, or given by the caller.
    List(Vec<String>),
    ImageNet,
    Unknown,
}

impl Labels {
    /// Takes the names in the order of the classes.
    pub fn new(names: Vec<String>) -> Self {
        Self { classes: names.len(), source: Source::List(names) }
    }

    /// Returns the names that `classes` classes suggest: ImageNet's for 1,000, otherwise `class 0`, `class 1` and so
    /// on.
    pub fn guess(classes: usize) -> Self {
        let source = if classes == imagenet::classes().len() { Source::ImageNet } else { Source::Unknown };
        Self { source, classes }
    }

    /// Returns the number of classes.
    pub fn len(&self) -> usize {
        self.classes
    }

    /// Returns whether there is no class.
    pub fn is_empty(&self) -> bool {
        self.classes == 0
    }

    /// Returns whether these are ImageNet's names, where synonyms are separated by a comma and a blank.
    pub fn is_imagenet(&self) -> bool {
        self.source == Source::ImageNet
    }

    /// Returns whether the classes have names; otherwise they are called `class 0`, `class 1` and so on.
    pub fn has_names(&self) -> bool {
        self.source != Source::Unknown
    }

    /// Returns the name of class `index`; `class 7` if it has none.
    pub fn name(&self, index: usize) -> Cow<'_, str> {
        let known = match &self.source {
            Source::List(names) => names.get(index).map(|name| name.as_str().into()),
            Source::ImageNet => imagenet::classes().get(index).map(|class| class.name.into()),
            Source::Unknown => None,
        };
        known.unwrap_or_else(|| format!("class {index}").into())
    }
}

impl From<&Labels> for Classes {
    /// The classes that labels of images are matched with: by their names if they are known.
    ///
    /// ```
    /// use hardnet_classifier::Labels;
    /// use hardnet_data::Classes;
    ///
    /// let labels = Labels::new(vec!["shirt".into(), "shoe".into()]);
    /// assert_eq!(Classes::from(&labels), Classes::named(["shirt", "shoe"]));
    /// assert_eq!(Classes::from(&Labels::guess(10)), Classes::unnamed(10));
    /// ```
    fn from(labels: &Labels) -> Self {
        match &labels.source {
            Source::List(names) => Self::named(names),
            Source::ImageNet | Source::Unknown => Self::unnamed(labels.classes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_list_or_from_imagenet() {
        let labels = Labels::new(vec!["shirt".into(), "shoe".into()]);
        assert_eq!((labels.name(1).as_ref(), labels.name(2).as_ref(), labels.len()), ("shoe", "class 2", 2));
        assert_eq!(Labels::guess(1000).name(0), "tench, Tinca tinca");
        assert!(Labels::guess(1000).is_imagenet() && !labels.is_imagenet());
        assert_eq!(Labels::guess(10).name(3), "class 3");
    }
}
