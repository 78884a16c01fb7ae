//! The classes of Cityscapes (M. Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR
//! 2016): 34 label ids in the files of the data set, 19 train ids that networks learn.
//!
//! Oracle: the table `labels` of cityscapesScripts 2.2.4, held by `tests/cityscapes.rs`.

use crate::mask::{IGNORED, LabelTable};

/// A class of Cityscapes. Its label id is its place in [`LABELS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Label {
    /// Name, as cityscapesScripts spells it.
    pub name: &'static str,
    /// Index of the class in networks; `None` for classes that are not evaluated.
    pub train_id: Option<u8>,
    /// Red, green and blue in `_color.png` files.
    pub color: [u8; 3],
}

const fn label(name: &'static str, train_id: Option<u8>, color: [u8; 3]) -> Label {
    Label { name, train_id, color }
}

/// The label ids 0 to 33. The files also have -1, `license plate`, which 8 bits hold as 255.
pub const LABELS: [Label; 34] = [
    label("unlabeled", None, [0, 0, 0]),
    label("ego vehicle", None, [0, 0, 0]),
    label("rectification border", None, [0, 0, 0]),
    label("out of roi", None, [0, 0, 0]),
    label("static", None, [0, 0, 0]),
    label("dynamic", None, [111, 74, 0]),
    label("ground", None, [81, 0, 81]),
    label("road", Some(0), [128, 64, 128]),
    label("sidewalk", Some(1), [244, 35, 232]),
    label("parking", None, [250, 170, 160]),
    label("rail track", None, [230, 150, 140]),
    label("building", Some(2), [70, 70, 70]),
    label("wall", Some(3), [102, 102, 156]),
    label("fence", Some(4), [190, 153, 153]),
    label("guard rail", None, [180, 165, 180]),
    label("bridge", None, [150, 100, 100]),
    label("tunnel", None, [150, 120, 90]),
    label("pole", Some(5), [153, 153, 153]),
    label("polegroup", None, [153, 153, 153]),
    label("traffic light", Some(6), [250, 170, 30]),
    label("traffic sign", Some(7), [220, 220, 0]),
    label("vegetation", Some(8), [107, 142, 35]),
    label("terrain", Some(9), [152, 251, 152]),
    label("sky", Some(10), [70, 130, 180]),
    label("person", Some(11), [220, 20, 60]),
    label("rider", Some(12), [255, 0, 0]),
    label("car", Some(13), [0, 0, 142]),
    label("truck", Some(14), [0, 0, 70]),
    label("bus", Some(15), [0, 60, 100]),
    label("caravan", None, [0, 0, 90]),
    label("trailer", None, [0, 0, 110]),
    label("train", Some(16), [0, 80, 100]),
    label("motorcycle", Some(17), [0, 0, 230]),
    label("bicycle", Some(18), [119, 11, 32]),
];

/// The number of train ids.
pub const CLASSES: usize = 19;

/// The label id of each train id.
pub const LABEL_IDS: [u8; CLASSES] = {
    let (mut ids, mut id) = ([0; CLASSES], 0);
    while id < LABELS.len() {
        if let Some(train_id) = LABELS[id].train_id {
            ids[train_id as usize] = id as u8;
        }
        id += 1;
    }
    ids
};

/// The classes in the order of their train ids.
pub fn classes() -> impl ExactSizeIterator<Item = &'static Label> {
    LABEL_IDS.iter().map(|&id| &LABELS[usize::from(id)])
}

/// The names in the order of the train ids.
pub fn names() -> Vec<String> {
    classes().map(|label| label.name.to_owned()).collect()
}

/// Turns label ids into train ids: classes that are not evaluated, and 255, become [`IGNORED`]. Other numbers are
/// errors.
pub fn label_ids() -> LabelTable {
    let mut table = LabelTable::empty();
    for (id, label) in LABELS.iter().enumerate() {
        table.set(id as u8, label.train_id.unwrap_or(IGNORED));
    }
    table.set(255, IGNORED);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn train_ids_and_label_ids_are_inverse() {
        let ids: Vec<_> = classes().map(|label| label.train_id).collect();
        assert_eq!(ids, (0..19).map(Some).collect::<Vec<_>>());
        // `valid_classes` of upstream's loader.
        assert_eq!(LABEL_IDS, [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]);
        let table = label_ids();
        assert_eq!([0, 7, 18, 33, 255].map(|id| table.get(id)), [255, 0, 255, 18, 255].map(Some));
        assert_eq!(table.get(34), None);
    }
}
