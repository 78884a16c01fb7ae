//! From an image to the tensor a network reads: resize, center crop, scale, normalize.
//!
//! The default is torchvision's geometry and arithmetic with Pillow's resize; [`Convention`] and [`Resampling`] name
//! others. Layout of the result: `[3, crop, crop]`, planes red, green, blue. Oracles: Pillow 13.0.0 and numpy, held by
//! `tests/pipeline.rs`; PaddleClas 2.6.0, paddle.vision and OpenCV 4.14.0, held by `tests/paddle.rs`.

mod convention;
mod crop_mode;
mod error;

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::decode::{DecodeOptions, Exif};
use crate::image::{Channels, Image};
use crate::interpolation::{Interpolation, Resampling};
use crate::normalize::TensorWriter;
use crate::opencv;
use crate::resize::Resizer;
pub use convention::{Convention, UnknownConvention};
pub use crop_mode::{CropMode, Region, UnknownCropMode};
pub(crate) use crop_mode::{Geometry, border_level};
pub use error::{PipelineError, UnknownPipeline};

/// How an image becomes a tensor; one value per evaluation protocol.
///
/// Fields can be set freely; [`validate`](Pipeline::validate) is called by everything that computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Pipeline {
    /// Short side of the resized image in pixels; the long side keeps the ratio, rounded by `convention`. Other crop
    /// modes resize the long side, or both.
    pub resize: u32,
    /// Side of the square cut from the middle, in pixels.
    pub crop: u32,
    /// How the image is resized.
    pub interpolation: Resampling,
    /// How a square is made of an image that is not square.
    #[serde(default, skip_serializing_if = "CropMode::is_default")]
    pub crop_mode: CropMode,
    /// Means of red, green and blue, of samples scaled to 0..=1.
    pub mean: [f32; 3],
    /// Standard deviations of red, green and blue, of samples scaled to 0..=1.
    pub std: [f32; 3],
    /// Rounding, arithmetic and order of channels.
    #[serde(default, skip_serializing_if = "Convention::is_default")]
    pub convention: Convention,
    /// How the orientation in a file's EXIF data is treated; `None`: as `convention` does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exif: Option<Exif>,
}

impl Pipeline {
    /// The names that [`FromStr`] reads.
    pub const NAMES: &[&str] = &["pil-bilinear", "pil-bicubic", "paddleclas", "paddle-cv2"];

    /// The largest accepted `resize` and `crop`, in pixels.
    pub const MAX_SIDE: u32 = 4096;

    const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
    const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

    /// The protocol of the PyTorch original: short side 256 bilinear, crop 224, ImageNet mean and deviation.
    pub fn pil_bilinear() -> Self {
        Pipeline {
            resize: 256,
            crop: 224,
            interpolation: Interpolation::Bilinear.into(),
            crop_mode: CropMode::Center,
            mean: Self::IMAGENET_MEAN,
            std: Self::IMAGENET_STD,
            convention: Convention::Torchvision,
            exif: None,
        }
    }

    /// The protocol of the Paddle notebook with Pillow: as [`pil_bilinear`](Pipeline::pil_bilinear), but bicubic.
    pub fn pil_bicubic() -> Self {
        Self::pil_bilinear().with_interpolation(Interpolation::Bicubic)
    }

    /// The protocol of PaddleClas: short side 256 by OpenCV's linear interpolation, crop 224.
    pub fn paddleclas() -> Self {
        let convention = Convention::PaddleClas;
        Pipeline { convention, ..Self::pil_bilinear().with_interpolation(opencv::Interpolation::Linear) }
    }

    /// The protocol of the Paddle notebook with OpenCV: short side 256 by its cubic interpolation as packages for
    /// x86-64 compute it, crop 224, channels in the order blue, green, red.
    pub fn paddle_cv2() -> Self {
        let convention = Convention::PaddleCv2;
        Pipeline { convention, ..Self::pil_bilinear().with_interpolation(opencv::Interpolation::CubicIpp) }
    }

    /// Which of [`Pipeline::NAMES`] this value is, if any.
    pub fn name(&self) -> Option<&'static str> {
        Self::NAMES.iter().copied().find(|name| name.parse().as_ref() == Ok(self))
    }

    /// Another crop with the same crop fraction: `resize` becomes `crop * resize / old crop`, rounded down as timm
    /// does.
    ///
    /// Call it before [`with_crop_pct`](Pipeline::with_crop_pct), which rounds the fraction to whole pixels.
    pub fn with_image_size(self, crop: u32) -> Self {
        let resize = (u64::from(crop) * u64::from(self.resize)).checked_div(u64::from(self.crop));
        let resize = resize.map_or(u32::MAX, |resize| u32::try_from(resize).unwrap_or(u32::MAX));
        Pipeline { resize, crop, ..self }
    }

    /// The same crop cut from an image of short side `floor(crop / pct)`, timm's `crop_pct`.
    ///
    /// # Errors
    /// [`PipelineError::CropPct`] unless 0 < `pct` <= 1, [`PipelineError::Side`] if the short side exceeds
    /// [`MAX_SIDE`](Pipeline::MAX_SIDE).
    pub fn with_crop_pct(self, pct: f64) -> Result<Self, PipelineError> {
        if !(pct > 0.0 && pct <= 1.0) {
            return Err(PipelineError::CropPct { value: pct });
        }
        // `as` saturates, and a saturated side is out of range.
        let resize = (f64::from(self.crop) / pct).floor() as u32;
        check_side("resize", resize)?;
        Ok(Pipeline { resize, ..self })
    }

    /// Another filter or method of the resize.
    pub fn with_interpolation(self, interpolation: impl Into<Resampling>) -> Self {
        Pipeline { interpolation: interpolation.into(), ..self }
    }

    /// Another use of the orientation in a file's EXIF data.
    pub fn with_exif(self, exif: Exif) -> Self {
        let exif = Some(exif).filter(|&exif| exif != self.convention.exif());
        Pipeline { exif, ..self }
    }

    /// How the files for this pipeline are decoded.
    pub fn decode_options(&self) -> DecodeOptions {
        let exif = self.exif.unwrap_or_else(|| self.convention.exif());
        DecodeOptions::default().decoding(self.convention.decoding()).exif(exif)
    }

    /// Another way to make a square of an image.
    pub fn with_crop_mode(self, crop_mode: CropMode) -> Self {
        Pipeline { crop_mode, ..self }
    }

    /// Checks that every number makes sense.
    ///
    /// # Errors
    /// [`PipelineError::Side`] if `resize` or `crop` is 0 or above [`MAX_SIDE`](Pipeline::MAX_SIDE),
    /// [`PipelineError::CropTooLarge`] if `crop` exceeds `resize`, [`PipelineError::CropMode`] if PaddleClas's or
    /// Paddle's conventions come with a crop mode of timm, [`PipelineError::Normalization`] if a mean is not finite or
    /// a deviation not finite and above 0.
    pub fn validate(&self) -> Result<(), PipelineError> {
        check_side("resize", self.resize)?;
        check_side("crop", self.crop)?;
        if self.crop > self.resize {
            return Err(PipelineError::CropTooLarge { crop: self.crop.into(), resize: self.resize.into() });
        }
        if self.convention != Convention::Torchvision && !self.crop_mode.is_default() {
            return Err(PipelineError::CropMode { mode: self.crop_mode, convention: self.convention });
        }
        for (channel, (&mean, &std)) in self.mean.iter().zip(&self.std).enumerate() {
            if !mean.is_finite() {
                return Err(PipelineError::Normalization { name: "mean", channel, value: mean });
            }
            if !(std.is_finite() && std > 0.0) {
                return Err(PipelineError::Normalization { name: "std", channel, value: std });
            }
        }
        Ok(())
    }

    /// The part of an image of `size`, its width and height, that the network sees.
    pub fn region(&self, (width, height): (usize, usize)) -> Region {
        let size = (width as u64, height as u64);
        Geometry::new(self, size).region(size, self.crop)
    }

    /// The whole resized image, in the channels of `image`: what Pillow holds before `CenterCrop`.
    ///
    /// Nothing else here needs it: other functions compute the part that the crop keeps.
    ///
    /// # Errors
    /// Those of [`validate`](Pipeline::validate); as [`resize`](crate::resize) where the image would be too large.
    pub fn resized_pixels(&self, image: &Image) -> Result<Image, PipelineError> {
        self.validate()?;
        let (width, height) = self.geometry(image).size;
        Ok(Resizer::new().window(image, (width, height), (0..width, 0..height), self.interpolation)?)
    }

    /// The resized and cropped image, RGB, `crop` x `crop`: what Pillow holds before `ToTensor`. Where the pipeline
    /// swaps channels, it does so when it writes the tensor.
    ///
    /// # Errors
    /// Those of [`validate`](Pipeline::validate).
    pub fn crop_pixels(&self, image: &Image) -> Result<Image, PipelineError> {
        self.crop_pixels_with(&mut Resizer::new(), image)
    }

    /// [`crop_pixels`](Pipeline::crop_pixels) with the memory and instruction set of `resizer`.
    ///
    /// # Errors
    /// Those of [`validate`](Pipeline::validate).
    pub fn crop_pixels_with(&self, resizer: &mut Resizer, image: &Image) -> Result<Image, PipelineError> {
        self.validate()?;
        Ok(self.crop_image(resizer, image)?.into_rgb())
    }

    /// The same in the channels of `image`; the pipeline has been validated.
    pub(crate) fn crop_image(&self, resizer: &mut Resizer, image: &Image) -> Result<Image, PipelineError> {
        let geometry = self.geometry(image);
        let has_border = geometry.has_border(self.crop);
        let Geometry { size, window, border: (left, top) } = geometry;
        let pixels = resizer.window(image, size, window, self.interpolation)?;
        if !has_border {
            return Ok(pixels);
        }
        let (pixels, crop) = (pixels.into_rgb(), self.crop as usize);
        let mut samples = self.mean.map(border_level).repeat(crop * crop);
        let rows = samples.chunks_exact_mut(3 * crop).skip(top as usize);
        for (row, pixels) in rows.zip(pixels.samples().chunks_exact(3 * pixels.width())) {
            row[3 * left as usize..][..pixels.len()].copy_from_slice(pixels);
        }
        Ok(Image::new(crop, crop, Channels::Rgb, samples)?)
    }

    /// The tensor `[3, crop, crop]`: `(sample / 255 - mean) / std` in f32, bit-equal to torchvision's `ToTensor` and
    /// `Normalize` on the CPU, or as the [`Convention`] says.
    ///
    /// # Errors
    /// Those of [`validate`](Pipeline::validate).
    pub fn tensor(&self, image: &Image) -> Result<Vec<f32>, PipelineError> {
        self.validate()?;
        let mut out = vec![0.0; self.tensor_len()];
        self.tensor_into(image, &mut out)?;
        Ok(out)
    }

    /// [`tensor`](Pipeline::tensor) into `out` of exactly `3 * crop * crop` values.
    ///
    /// # Errors
    /// Those of [`validate`](Pipeline::validate), and [`PipelineError::OutputLength`]; `out` is then unchanged.
    pub fn tensor_into(&self, image: &Image, out: &mut [f32]) -> Result<(), PipelineError> {
        self.tensor_with(&mut Resizer::new(), image, out)
    }

    /// [`tensor_into`](Pipeline::tensor_into) with the memory and instruction set of `resizer`, which allocates nothing
    /// if an image of this size went before.
    ///
    /// # Errors
    /// As [`tensor_into`](Pipeline::tensor_into).
    pub fn tensor_with(&self, resizer: &mut Resizer, image: &Image, out: &mut [f32]) -> Result<(), PipelineError> {
        self.validate()?;
        if out.len() != self.tensor_len() {
            return Err(PipelineError::OutputLength { expected: self.tensor_len(), found: out.len() });
        }
        let geometry = self.geometry(image);
        let mut normalized = TensorWriter::new(self, image.channels(), out);
        if geometry.has_border(self.crop) {
            normalized.draw_border(self.mean.map(border_level), self.crop as usize, geometry.border);
        }
        let Geometry { size, window, .. } = geometry;
        resizer.each_row(image, size, window, self.interpolation, |row, samples| normalized.write(row, samples))?;
        Ok(())
    }

    /// Length of the tensor: `3 * crop * crop`.
    fn tensor_len(&self) -> usize {
        3 * self.crop as usize * self.crop as usize
    }

    /// How `image` is resized and cropped.
    fn geometry(&self, image: &Image) -> Geometry {
        Geometry::new(self, (image.width() as u64, image.height() as u64))
    }
}

impl FromStr for Pipeline {
    type Err = UnknownPipeline;

    /// The pipeline of one of [`Pipeline::NAMES`]; `torchvision` is another name of `pil-bilinear`.
    fn from_str(name: &str) -> Result<Self, UnknownPipeline> {
        match name {
            // torchvision's recipes and the authors' code do this.
            "pil-bilinear" | "torchvision" => Ok(Self::pil_bilinear()),
            "pil-bicubic" => Ok(Self::pil_bicubic()),
            "paddleclas" => Ok(Self::paddleclas()),
            "paddle-cv2" => Ok(Self::paddle_cv2()),
            _ => Err(UnknownPipeline { name: name.to_owned() }),
        }
    }
}

fn check_side(name: &'static str, side: u32) -> Result<(), PipelineError> {
    if side == 0 || side > Pipeline::MAX_SIDE {
        return Err(PipelineError::Side { name, value: side.into(), max: Pipeline::MAX_SIDE.into() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_of_exif_is_stored_where_it_is_not_that_of_the_convention() {
        for (pipeline, own, other) in
            [(Pipeline::pil_bicubic(), Exif::Ignore, Exif::Apply), (Pipeline::paddleclas(), Exif::Apply, Exif::Ignore)]
        {
            assert_eq!(pipeline.decode_options().exif, own);
            assert_eq!(pipeline.clone().with_exif(own), pipeline);
            let changed = pipeline.clone().with_exif(other);
            assert_eq!((changed.decode_options().exif, changed.name()), (other, None));
            assert_eq!(changed.decode_options().decoding, pipeline.decode_options().decoding);
            let text = serde_json::to_string(&changed).unwrap();
            assert!(text.ends_with(&format!("\"exif\":\"{other}\"}}")), "{text}");
            assert_eq!(serde_json::from_str::<Pipeline>(&text).unwrap(), changed);
            assert!(!serde_json::to_string(&pipeline).unwrap().contains("exif"));
        }
    }

    #[test]
    fn img_size_and_crop_pct_follow_timm() {
        let base = Pipeline::pil_bilinear();
        // math.floor(img_size / 0.875) in Python
        for (crop, resize) in [(224, 256), (192, 219), (256, 292), (288, 329), (320, 365), (384, 438)] {
            assert_eq!(base.clone().with_image_size(crop).resize, resize);
        }
        // math.floor(224 / pct) in Python
        for (pct, resize) in [(0.875, 256), (0.9, 248), (0.95, 235), (1.0, 224), (0.965, 232)] {
            assert_eq!(base.clone().with_crop_pct(pct).unwrap().resize, resize);
        }
        for pct in [0.0, -0.5, 1.01, f64::NAN, f64::INFINITY] {
            assert!(matches!(base.clone().with_crop_pct(pct), Err(PipelineError::CropPct { .. })), "{pct}");
        }
        assert!(matches!(base.clone().with_crop_pct(1e-12), Err(PipelineError::Side { name: "resize", .. })));
        let zero = Pipeline { crop: 0, ..base };
        assert!(zero.clone().validate().is_err() && zero.with_image_size(224).validate().is_err());
    }
}
