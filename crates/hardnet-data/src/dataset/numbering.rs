//! In which of ImageNet's numberings a list gives its labels, told by images whose class everyone knows.

use super::label_error::{LabelError, Numbering, QuotedLabel};
use super::labels::{WrittenLabel, decimal};
use super::list::ParsedList;

/// The prefix of the validation images; eight digits from 1 follow.
pub(super) const VALIDATION_IMAGE: &str = "ILSVRC2012_val_";

/// The first validation images: `ILSVRC2012_ID` in the ground truth of the development kit, and the index of the class
/// in the order of the WordNet ids.
const FIRST_IMAGES: [(u32, u32); 10] = [
    (490, 65),
    (361, 970),
    (171, 230),
    (822, 809),
    (297, 516),
    (482, 57),
    (13, 334),
    (704, 415),
    (599, 674),
    (164, 332),
];

/// The number of a validation image, from 1, by its name.
pub(super) fn validation_number(name: &str) -> Option<u32> {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let (digits, rest) = file.strip_prefix(VALIDATION_IMAGE)?.split_at_checked(8)?;
    decimal(digits).filter(|_| rest.is_empty() || rest.starts_with('.'))
}

/// Checks the labels of a list, all numbers and meant as class indices, by the validation images in it that are known.
pub(super) fn check(list: &ParsedList, labels: &[WrittenLabel]) -> Result<(), LabelError> {
    for (number, sample) in list.samples().iter().enumerate() {
        let Some(image) = validation_number(sample.name()) else { continue };
        let Some(&(kit, index)) = FIRST_IMAGES.get((image as usize).wrapping_sub(1)) else { continue };
        let written = labels[sample.label().expect("samples of a list have a label") as usize];
        let numbering = match decimal(written.text) {
            Some(label) if label == kit => Numbering::DevelopmentKit,
            Some(label) if label == index + 1 => Numbering::WordNetFromOne,
            Some(label) if label == index => return Ok(()),
            _ => continue,
        };
        let label = QuotedLabel::of(&WrittenLabel { line: Some(list.line(number) as usize), ..written });
        let image = hardnet_base::excerpt(sample.name());
        return Err(LabelError::WrongNumbering { label, image, numbering, expected: index });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validation_images_are_known_by_their_names() {
        let table = [
            ("ILSVRC2012_val_00000001.JPEG", Some(1)),
            ("val/n01751748/ILSVRC2012_val_00050000.JPEG", Some(50_000)),
            ("val\\ILSVRC2012_val_00000003", Some(3)),
            ("ILSVRC2012_val_0000001.JPEG", None),
            ("ILSVRC2012_val_000000010.JPEG", None),
            ("ILSVRC2012_test_00000001.JPEG", None),
            ("ILSVRC2012_val_0000000\u{e9}.JPEG", None),
            ("", None),
        ];
        for (name, expected) in table {
            assert_eq!(validation_number(name), expected, "{name}");
        }
    }
}
