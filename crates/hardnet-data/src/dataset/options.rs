//! The sources of a labeled data set, and options of reading it.

use std::path::PathBuf;

use super::{Classes, Dataset, DatasetError, DevelopmentKit, ImageRoot, class_folders, from_list, idx, kit};

/// Images, their list if there is one, and the classes that their labels are matched with.
///
/// ```no_run
/// use hardnet_data::{Classes, DatasetOptions};
///
/// # fn main() -> Result<(), hardnet_data::DatasetError> {
/// let training = DatasetOptions::new("flowers/train", Classes::of_labels()).read()?;
/// let names = training.classes.expect("class folders have names");
/// let validation = DatasetOptions::new("flowers/val", Classes::named(names)).read()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "options read nothing by themselves"]
pub struct DatasetOptions {
    pub(super) root: ImageRoot,
    pub(super) classes: Classes,
    pub(super) list: Option<PathBuf>,
    pub(super) repeats: bool,
    pub(super) kit: Option<DevelopmentKit>,
}

impl DatasetOptions {
    /// The images of the folder, tar archive or IDX file `root`, labeled for `classes`.
    pub fn new(root: impl Into<ImageRoot>, classes: impl Into<Classes>) -> Self {
        Self { root: root.into(), classes: classes.into(), list: None, repeats: false, kit: None }
    }

    /// Sets the list that names images and labels. Without one, the labels are the names of the class folders, or those
    /// of an IDX file.
    pub fn list(mut self, list: Option<impl Into<PathBuf>>) -> Self {
        self.list = list.map(Into::into);
        self
    }

    /// Sets whether a list may name an image more than once, always with the same label, by default not: an image that
    /// counts twice makes an evaluation wrong, while training draws it twice as often.
    pub fn allow_repeats(mut self, allow: bool) -> Self {
        self.repeats = allow;
        self
    }

    /// Sets ImageNet's development kit. Labels that are numbers are then its `ILSVRC2012_ID`; validation images that
    /// lie in one folder without a list have the labels of its ground truth, or those of a list in its format.
    pub fn development_kit(mut self, kit: Option<DevelopmentKit>) -> Self {
        self.kit = kit;
        self
    }

    /// Reads the data set. Nothing is opened but the list, and the archive or IDX file that the images are in.
    ///
    /// # Errors
    ///
    /// As [`Dataset::from_list`], [`Dataset::from_class_folders`] and [`Dataset::from_idx`]; with a development kit
    /// also if images or labels are not the kit's.
    pub fn read(&self) -> Result<Dataset, DatasetError> {
        if let (None, Some(kit)) = (&self.list, &self.kit)
            && let Some(dataset) = kit::read(self, kit)?
        {
            return Ok(dataset);
        }
        match &self.list {
            Some(list) => from_list::read(list, self),
            None if idx::is_idx(self.root.path()) => idx::read(self.root.path(), &self.classes),
            None => class_folders::read(self),
        }
    }
}
