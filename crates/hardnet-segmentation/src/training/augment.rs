//! Random changes to an image and its mask together: scale, crop, mirroring and color.
//!
//! The order is that of FC-HarDNet's `RandomScaleCrop` and `RandomHorizontallyFlip`: both are resized by one factor,
//! the image by Pillow's bilinear filter and the mask to the nearest pixel, padded where they are smaller than the
//! crop, and cropped at one place. Colors change as by PaddleSeg's `RandomDistort`: brightness, contrast and
//! saturation.

use hardnet_data::{Image, Interpolation, RandomStream, Resizer};
use serde::{Deserialize, Serialize};

use crate::mask::{IGNORED, Mask, MaskError, MaskReader};

/// Random changes to an image of the training set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Augmentation {
    /// Columns and rows of the result.
    pub crop: (usize, usize),
    /// Least and greatest factor of the size.
    pub scale: (f64, f64),
    /// Probability that left and right are exchanged.
    pub flip: f64,
    /// Most that brightness, contrast and saturation change, as a share: 0.4 for factors of 0.6 to 1.4.
    pub color: f64,
}

/// Error of an [`Augmentation`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AugmentError {
    /// A number is outside its range.
    #[error("`{name}` is {value}, expected {expected}")]
    Setting {
        /// The field.
        name: &'static str,
        /// Its value.
        value: f64,
        /// The accepted values.
        expected: &'static str,
    },
    /// The mask is not of the image.
    #[error(transparent)]
    Mask(#[from] MaskError),
    /// The image cannot be resized.
    #[error(transparent)]
    Image(#[from] hardnet_data::ImageError),
}

impl Augmentation {
    /// FC-HarDNet's: half to twice the size, half of the images mirrored.
    pub fn fchardnet(width: usize, height: usize) -> Self {
        Self { crop: (width, height), scale: (0.5, 2.0), flip: 0.5, color: 0.0 }
    }

    /// Sets the factors of the size.
    pub fn with_scale(self, least: f64, greatest: f64) -> Self {
        Self { scale: (least, greatest), ..self }
    }

    /// Sets the probability of mirroring.
    pub fn with_flip(self, flip: f64) -> Self {
        Self { flip, ..self }
    }

    /// Sets how much colors change.
    pub fn with_color(self, color: f64) -> Self {
        Self { color, ..self }
    }

    /// Checks that every setting is in its range.
    ///
    /// # Errors
    ///
    /// [`AugmentError::Setting`].
    pub fn validate(&self) -> Result<(), AugmentError> {
        let wrong = |name, value, expected| Err(AugmentError::Setting { name, value, expected });
        for side in [self.crop.0, self.crop.1] {
            if !(1..=8192).contains(&side) {
                return wrong("crop", side as f64, "1 to 8192 pixels");
            }
        }
        for scale in [self.scale.0, self.scale.1] {
            if !(0.05..=20.0).contains(&scale) {
                return wrong("scale", scale, "0.05 to 20");
            }
        }
        if self.scale.0 > self.scale.1 {
            return wrong("scale", self.scale.1, "the greater number last");
        }
        for (name, share) in [("flip", self.flip), ("color", self.color)] {
            if !(0.0..=1.0).contains(&share) {
                return wrong(name, share, "0 to 1");
            }
        }
        Ok(())
    }

    /// The image and the mask, both changed alike by what is drawn from `random`. Pixels outside the image are black
    /// and ignored.
    ///
    /// # Errors
    ///
    /// [`AugmentError::Setting`] for a number outside its range, [`AugmentError::Mask`] for a mask of another size than
    /// the image, [`AugmentError::Image`] where the image cannot be resized.
    pub fn apply(
        &self,
        resizer: &mut Resizer,
        image: &Image,
        mask: &Mask,
        random: &mut RandomStream,
    ) -> Result<(Image, Mask), AugmentError> {
        self.validate()?;
        MaskReader::check_size(mask, (image.width(), image.height()))?;
        let factor = random.between(self.scale.0, self.scale.1);
        let side = |pixels: usize| ((pixels as f64 * factor) as usize).max(1);
        let (width, height) = (side(image.width()), side(image.height()));
        let image = resizer.resize(image, width, height, Interpolation::Bilinear)?.into_rgb();
        let mask = mask.resize(width, height)?;
        let (left, top) = (self.start(width, self.crop.0, random), self.start(height, self.crop.1, random));
        let (image, mask) = self.cropped(&image, &mask, left, top)?;
        let (image, mask) =
            if random.uniform() < self.flip { (mirrored(&image)?, mask.mirrored()) } else { (image, mask) };
        Ok((self.colored(image, random), mask))
    }

    /// Where the crop begins along a side; negative where the image is smaller and is padded. Upstream pads on both
    /// sides by all that is missing, and then crops at random.
    fn start(&self, size: usize, crop: usize, random: &mut RandomStream) -> i64 {
        let missing = crop.saturating_sub(size);
        let padded = size + 2 * missing;
        i64::from(random.below((padded - crop + 1) as u32)) - missing as i64
    }

    fn cropped(&self, image: &Image, mask: &Mask, left: i64, top: i64) -> Result<(Image, Mask), AugmentError> {
        let (width, height) = self.crop;
        let mut samples = vec![0; 3 * width * height];
        let mut labels = vec![IGNORED; width * height];
        let columns = (0..width).filter_map(|x| inside(x, left, image.width()).map(|from| (x, from)));
        let columns: Vec<(usize, usize)> = columns.collect();
        for y in 0..height {
            let Some(from_row) = inside(y, top, image.height()) else { continue };
            for &(x, from) in &columns {
                let (to, from) = (y * width + x, from_row * image.width() + from);
                labels[to] = mask.labels()[from];
                samples[3 * to..][..3].copy_from_slice(&image.samples()[3 * from..][..3]);
            }
        }
        Ok((Image::from_rgb8(width, height, samples)?, Mask::new(width, height, labels)?))
    }

    fn colored(&self, image: Image, random: &mut RandomStream) -> Image {
        if self.color == 0.0 {
            return image;
        }
        let mut factor = || random.between(1.0 - self.color, 1.0 + self.color) as f32;
        let factors = [factor(), factor(), factor()];
        with_colors(image, factors)
    }
}

/// The image with `[brightness, contrast, saturation]` multiplied in this order, as Pillow's `ImageEnhance` with
/// `Brightness`, `Contrast` and `Color`. A gray image becomes RGB.
pub fn with_colors(image: Image, [brightness, contrast, saturation]: [f32; 3]) -> Image {
    let (width, height) = (image.width(), image.height());
    let mut samples = image.into_rgb().into_samples();
    samples.iter_mut().for_each(|sample| *sample = blend(0, *sample, brightness));
    let grays = samples.as_chunks::<3>().0.iter().map(|pixel| u64::from(luma(*pixel)));
    let mean = (grays.sum::<u64>() as f64 / (width * height) as f64 + 0.5) as u8;
    for pixel in samples.as_chunks_mut::<3>().0 {
        let contrasted = pixel.map(|sample| blend(mean, sample, contrast));
        let gray = luma(contrasted);
        *pixel = contrasted.map(|sample| blend(gray, sample, saturation));
    }
    Image::from_rgb8(width, height, samples).expect("the samples are those of the image")
}

/// The place of a pixel of the crop along a side of the image, unless it is outside.
fn inside(at: usize, start: i64, size: usize) -> Option<usize> {
    usize::try_from(at as i64 + start).ok().filter(|&place| place < size)
}

fn mirrored(image: &Image) -> Result<Image, AugmentError> {
    let mut samples = image.samples().to_vec();
    for row in samples.chunks_exact_mut(3 * image.width()) {
        row.reverse();
        row.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| pixel.reverse());
    }
    Ok(Image::from_rgb8(image.width(), image.height(), samples)?)
}

/// Pillow's gray of a color.
fn luma([red, green, blue]: [u8; 3]) -> u8 {
    ((u32::from(red) * 19_595 + u32::from(green) * 38_470 + u32::from(blue) * 7_471 + 0x8000) >> 16) as u8
}

/// Pillow's `Image.blend` of two levels, in f32 and truncated.
fn blend(from: u8, to: u8, factor: f32) -> u8 {
    let (from, to) = (f32::from(from), f32::from(to));
    (from + factor * (to - from)).clamp(0.0, 255.0) as u8
}
