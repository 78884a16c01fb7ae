//! The validation images of a folder or archive, labeled by the ground truth of the development kit.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use hardnet_base::excerpt;

use super::DevelopmentKit;
use crate::dataset::label_error::{LabelError, QUOTED};
use crate::dataset::labels::{LabelRule, Labeling, WrittenLabel, all_decimal, decimal, resolve};
use crate::dataset::numbering::validation_number;
use crate::dataset::options::DatasetOptions;
use crate::dataset::root::Opened;
use crate::dataset::{Classes, Dataset, DatasetError, Sample, archive, walk};
use crate::shared_str::SharedStr;

impl DevelopmentKit {
    /// Finds the class of each label, by its WordNet id if it is a number of the kit.
    pub(in crate::dataset) fn resolve(
        &self,
        labels: &[WrittenLabel],
        classes: &Classes,
    ) -> Result<Labeling, LabelError> {
        if !all_decimal(labels) {
            return resolve(labels, classes);
        }
        let translate = |label: &WrittenLabel| {
            let id = decimal(label.text).and_then(|id| self.wordnet_id(id));
            let text = id.ok_or_else(|| LabelError::not_a_kit_number(label))?;
            Ok(WrittenLabel { text, line: label.line })
        };
        let translated: Vec<_> = labels.iter().map(translate).collect::<Result<_, _>>()?;
        let mut labeling = resolve(&translated, classes)?;
        self.mark(&mut labeling);
        Ok(labeling)
    }

    /// Says that labels were numbers of the kit.
    fn mark(&self, labeling: &mut Labeling) {
        labeling.rule = LabelRule::DevelopmentKit;
        if let Some(note) = labeling.notes.first_mut() {
            let rest = note.strip_prefix("labels: ").unwrap_or(note);
            *note = format!("labels: ILSVRC2012_ID by the development kit `{}`, as {rest}", self.path().display());
        }
    }
}

/// The validation images in `options.root`, which lie in one folder; `None` if there are class folders.
pub(in crate::dataset) fn read(
    options: &DatasetOptions,
    kit: &DevelopmentKit,
) -> Result<Option<Dataset>, DatasetError> {
    let root = options.root.path();
    let (mut samples, notes) = match options.root.open()? {
        Opened::Folder => (in_folder(root)?, None),
        Opened::Archive(archive) => {
            let samples = archive::by_entry(root, &archive)?;
            let folder = |sample: &Sample| sample.relative().parent().map(Path::to_path_buf);
            if samples.iter().any(|sample| folder(sample) != folder(&samples[0])) {
                return Ok(None);
            }
            (samples, archive.note)
        }
    };
    if samples.is_empty() {
        return Ok(None);
    }
    let mut others = samples.iter().filter(|sample| label(kit, sample).is_none());
    let first: Vec<_> = others.by_ref().take(QUOTED).map(|sample| excerpt(sample.name())).collect();
    if !first.is_empty() {
        let count = first.len() + others.count();
        return Err(DatasetError::NotValidationImages { root: root.into(), count, total: samples.len(), first });
    }
    // The numbers of the labels that there are, and the place of each among them.
    let mut places: BTreeMap<u32, u32> = samples.iter().filter_map(|sample| Some((label(kit, sample)?, 0))).collect();
    places.values_mut().zip(0..).for_each(|(place, next)| *place = next);
    let ids = places.keys().filter_map(|id| kit.wordnet_id(*id));
    let written: Vec<_> = ids.map(|text| WrittenLabel { text, line: None }).collect();
    let labeling = resolve(&written, &options.classes);
    let mut labeling = labeling.map_err(|reason| DatasetError::Labels { path: kit.path().into(), reason })?;
    for sample in &mut samples {
        let id = label(kit, sample).expect("all images have a label");
        sample.set_label(labeling.indices[places[&id] as usize]);
    }
    kit.mark(&mut labeling);
    Ok(Some(Dataset::labeled(samples, labeling, notes.into_iter().collect())))
}

/// The number of the class of a validation image.
fn label(kit: &DevelopmentKit, sample: &Sample) -> Option<u32> {
    let number = validation_number(sample.name())?;
    kit.ground_truth().get((number as usize).checked_sub(1)?).copied()
}

/// The images directly in a folder, in the order of their names.
fn in_folder(root: &Path) -> Result<Vec<Sample>, DatasetError> {
    let mut images = walk::list(root)?.images;
    images.sort_unstable();
    let folder = Arc::from(root);
    let sample = |image: std::path::PathBuf| {
        let name = image.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Sample::below(&folder, None, 0, SharedStr::from(name))
    };
    Ok(images.into_iter().map(sample).collect())
}
