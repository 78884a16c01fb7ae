//! The result for an image: its mask, areas and pictures.

use std::sync::Arc;

use hardnet_data::{Channels, Image};
use serde::Serialize;

use crate::mask::{Mask, MaskError, MaskReader};
use crate::palette::Palette;

/// The names of classes and their colors.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassNames {
    /// Names in the order of the classes.
    pub names: Vec<String>,
    /// Colors of the classes.
    pub palette: Palette,
}

impl ClassNames {
    /// Names with the colors that [`Palette::for_names`] has for them.
    pub fn new(names: Vec<String>) -> Self {
        Self { palette: Palette::for_names(&names), names }
    }

    /// The names that `classes` classes suggest: Cityscapes' for 19, otherwise `class 0`, `class 1` and so on.
    pub fn guess(classes: usize) -> Self {
        if classes == crate::cityscapes::CLASSES {
            return Self::new(crate::cityscapes::names());
        }
        Self::new((0..classes).map(|class| format!("class {class}")).collect())
    }

    /// Sets the colors.
    pub fn with_palette(self, palette: Palette) -> Self {
        Self { palette, ..self }
    }

    /// Whether these are the classes of Cityscapes, whose files have other numbers.
    pub fn are_cityscapes(&self) -> bool {
        let names = crate::cityscapes::classes().map(|label| label.name);
        self.names.len() == crate::cityscapes::CLASSES && self.names.iter().zip(names).all(|(own, name)| own == name)
    }
}

/// The classes of an image's pixels.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Segmentation {
    /// The class of each pixel, in the size of the image.
    pub mask: Mask,
    /// The names of the classes and their colors.
    pub classes: Arc<ClassNames>,
}

/// How much of an image belongs to a class.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Area<'a> {
    /// Index of the class.
    pub class: usize,
    /// Its name.
    pub name: &'a str,
    /// Pixels.
    pub pixels: u64,
    /// Pixels divided by those of the image.
    pub share: f64,
}

impl Segmentation {
    /// The classes that occur, the largest first.
    pub fn areas(&self) -> Vec<Area<'_>> {
        let total = self.mask.labels().len() as f64;
        let counts = self.mask.areas(self.classes.names.len()).into_iter().enumerate();
        let mut areas: Vec<_> = counts
            .filter(|(_, pixels)| *pixels > 0)
            .map(|(class, pixels)| Area {
                class,
                name: &self.classes.names[class],
                pixels,
                share: pixels as f64 / total,
            })
            .collect();
        areas.sort_by_key(|area| (std::cmp::Reverse(area.pixels), area.class));
        areas
    }

    /// The colors of the classes over `image`: half of each.
    ///
    /// # Errors
    ///
    /// [`MaskError::SizeMismatch`] if the image has another size.
    pub fn overlay(&self, image: &Image) -> Result<Image, MaskError> {
        overlay(&self.mask, image, &self.classes.palette)
    }
}

/// The colors of classes over `image`, half of each. Pixels without a class show the image alone.
///
/// # Errors
///
/// [`MaskError::SizeMismatch`] if the image has another size.
pub fn overlay(mask: &Mask, image: &Image, palette: &Palette) -> Result<Image, MaskError> {
    MaskReader::check_size(mask, (image.width(), image.height()))?;
    let pixels = image.samples().chunks_exact(image.channels().count());
    let mut samples = Vec::with_capacity(3 * mask.labels().len());
    for (&label, pixel) in mask.labels().iter().zip(pixels) {
        let levels = match image.channels() {
            Channels::Gray => [pixel[0]; 3],
            Channels::Rgb => [pixel[0], pixel[1], pixel[2]],
        };
        let color = palette.color(label);
        let has_class = usize::from(label) < palette.len();
        let mixed = |channel: usize| ((u16::from(levels[channel]) + u16::from(color[channel])) / 2) as u8;
        samples.extend(if has_class { [0, 1, 2].map(mixed) } else { levels });
    }
    let wrong = |_| MaskError::Shape { width: mask.width(), height: mask.height(), found: mask.labels().len() };
    Image::from_rgb8(image.width(), image.height(), samples).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::IGNORED;

    fn segmentation(labels: &[u8]) -> Segmentation {
        let classes = Arc::new(ClassNames::new(["a", "b", "c"].map(String::from).to_vec()));
        Segmentation { mask: Mask::new(labels.len(), 1, labels.to_vec()).unwrap(), classes }
    }

    #[test]
    fn areas_are_sorted_and_leave_out_what_does_not_occur() {
        let found = segmentation(&[2, 2, 0, 2]);
        let areas: Vec<_> = found.areas().iter().map(|area| (area.name, area.pixels, area.share)).collect();
        assert_eq!(areas, [("c", 3, 0.75), ("a", 1, 0.25)]);
    }

    #[test]
    fn an_overlay_is_half_image_and_half_color() {
        let found = segmentation(&[0, IGNORED]);
        let image = Image::from_rgb8(2, 1, vec![10, 20, 30, 40, 50, 60]).unwrap();
        assert_eq!(found.overlay(&image).unwrap().samples(), [69, 10, 15, 40, 50, 60]);
        let gray = Image::new(2, 1, Channels::Gray, vec![10, 20]).unwrap();
        assert_eq!(found.overlay(&gray).unwrap().samples(), [69, 5, 5, 20, 20, 20]);
        let other = Image::from_rgb8(1, 2, vec![0; 6]).unwrap();
        assert!(matches!(found.overlay(&other), Err(MaskError::SizeMismatch { .. })));
    }

    #[test]
    fn nineteen_classes_are_taken_for_those_of_cityscapes() {
        assert!(ClassNames::guess(19).are_cityscapes() && !ClassNames::guess(20).are_cityscapes());
        assert_eq!(ClassNames::guess(2).names, ["class 0", "class 1"]);
        let other: Vec<_> = (0..19).map(|class| format!("class {class}")).collect();
        assert!(!ClassNames::new(other).are_cityscapes());
    }
}
