//! Images with masks from the paths of the command line.

use std::path::Path;
use std::sync::Arc;

use hardnet_data::Sample;
use hardnet_segmentation::{ClassNames, Item, LabelKind, MaskReader, Pair, Palette, cityscapes};

use crate::failure::{Failure, Result};

/// The images, and how their masks are read: numbers in `ignored` count as no class, RGB masks have the colors of
/// `colors`.
pub(crate) fn items(pairs: &[Pair], ignored: &[u8], colors: Option<&Path>, classes: &ClassNames) -> Result<Vec<Item>> {
    let count = classes.names.len();
    let has_ids = pairs.iter().any(|pair| pair.labels == LabelKind::CityscapesIds);
    if has_ids && count != cityscapes::CLASSES {
        let found = cityscapes::CLASSES;
        return Err(Failure::message(format!(
            "the masks have the {found} classes of Cityscapes, the network has {count}"
        )));
    }
    let palette = colors.map(|path| palette(path, classes)).transpose()?;
    let reader = |kind: LabelKind| {
        let table = kind.table(count).ignoring(ignored.iter().copied());
        let reader = MaskReader::new(table);
        Arc::new(palette.clone().map_or(reader.clone(), |palette| reader.palette(palette)))
    };
    let (indices, ids) = (reader(LabelKind::Indices), reader(LabelKind::CityscapesIds));
    let item = |pair: &Pair| {
        let reader = if pair.labels == LabelKind::CityscapesIds { &ids } else { &indices };
        Item::new(Sample::new(&pair.image, None, pair.name.as_str())).with_mask(&pair.mask, Arc::clone(reader))
    };
    Ok(pairs.iter().map(item).collect())
}

/// The colors of `--mask-colors`.
fn palette(path: &Path, classes: &ClassNames) -> Result<Palette> {
    match path.to_str() {
        Some("cityscapes") if classes.names.len() == cityscapes::CLASSES => Ok(Palette::cityscapes()),
        Some("cityscapes") => Err(Failure::message("the colors of Cityscapes are of 19 classes")),
        Some("voc") => Ok(Palette::voc(classes.names.len())),
        _ => Ok(Palette::read(path, &classes.names)?),
    }
}
