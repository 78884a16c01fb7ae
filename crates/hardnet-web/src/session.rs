//! A network and an image.

use hardnet_classifier::{Classifier, ClassifierBuilder, Hit};
use hardnet_data::{Exif, Image, encode_png};
use hardnet_params::WeightsFile;
use hardnet_simd::Isa;
use serde::Serialize;

/// Why a request cannot be answered; the text is for users.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Weights that cannot be read.
    #[error(transparent)]
    Weights(#[from] hardnet_params::Error),
    /// A network that cannot be built, or an image that cannot be read or computed.
    #[error(transparent)]
    Classifier(#[from] hardnet_classifier::Error),
    /// A drawing that cannot be written.
    #[error(transparent)]
    Image(#[from] hardnet_data::ImageError),
    /// An activation map before an image.
    #[error("no image is shown")]
    NoImage,
}

/// A network that is ready. Field names are API.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Opened {
    /// The published network, or `custom`.
    pub model: String,
    /// The number of classes.
    pub classes: usize,
    /// Columns and rows of its input.
    pub size: usize,
    /// The numbers that it computes with, `f32` or `int8`.
    pub precision: &'static str,
    /// The vector instructions that it runs on.
    pub isa: &'static str,
    /// The threads that it runs on.
    pub threads: usize,
}

/// The classes of an image. Field names are API, and those of `POST /classify` of `hardnet serve`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Shown {
    /// The most probable classes, best first.
    pub top: Vec<Class>,
    /// The logits of all classes.
    pub logits: Vec<f32>,
    /// Columns of the image.
    pub width: usize,
    /// Rows of the image.
    pub height: usize,
    /// Losses of decoding.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A class of an image.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Class {
    /// Its index, from 0.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// Its softmax over all classes, 0 to 1.
    pub probability: f32,
}

impl From<Hit> for Class {
    fn from(Hit { index, probability, name, .. }: Hit) -> Self {
        Self { index, name, probability }
    }
}

/// One network and one image.
///
/// ```
/// # fn main() -> Result<(), hardnet_web::Error> {
/// # let weights = include_bytes!("../../../weights/demo/fashion_mnist/hardnet39ds.safetensors").to_vec();
/// # let image = hardnet_data::Image::from_rgb8(28, 28, vec![0; 3 * 28 * 28]).unwrap();
/// # let image = hardnet_data::encode_png(&image).unwrap();
/// use hardnet_web::Session;
///
/// let mut session = Session::open("hardnet39ds.safetensors", weights, 1)?;
/// assert_eq!(session.opened().classes, 10);
/// let best = session.classify(&image, 5, false)?.top[0].index;
/// let png = session.activation_map(best)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Session {
    classifier: Classifier,
    opened: Opened,
    image: Option<Image>,
}

impl Session {
    /// Reads the weights file `name`, whose content is `bytes`: PyTorch, Paddle, safetensors or ONNX. The network
    /// runs on `threads` threads, the caller's among them.
    ///
    /// # Errors
    ///
    /// [`Error::Weights`] for a file that does not hold a known network, [`Error::Classifier`] for one that does not
    /// classify.
    pub fn open(name: &str, bytes: Vec<u8>, threads: usize) -> Result<Self, Error> {
        let file = WeightsFile::from_bytes(name, bytes)?;
        let config = file.config();
        let model = config.published_name().unwrap_or("custom").to_owned();
        let precision = if file.quantization().is_some() { "int8" } else { "f32" };
        let isa = Isa::best();
        let builder: ClassifierBuilder = Classifier::builder();
        let builder = builder.threads(threads).batch_size(1).isa(isa).activation_maps(true);
        let classes = config.classes();
        let classifier = builder.from_weights(file)?;
        let opened = Opened { model, classes, size: classifier.image_size(), precision, isa: isa.name(), threads };
        Ok(Self { classifier, opened, image: None })
    }

    /// The network.
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Classifies the image file with the content `bytes`, and keeps the image for its activation maps. Where
    /// `upright`, it is turned as its EXIF data say; otherwise as the network's preprocessing does.
    ///
    /// # Errors
    ///
    /// [`Error::Classifier`] for an image that cannot be read.
    pub fn classify(&mut self, bytes: &[u8], top: usize, upright: bool) -> Result<Shown, Error> {
        let options = self.classifier.pipeline().decode_options();
        let options = if upright { options.exif(Exif::Apply) } else { options };
        let decoded = options.decode(bytes);
        let decoded = decoded.map_err(hardnet_classifier::Error::Decode)?;
        let found = self.classifier.classify(&decoded.image)?;
        let image = self.image.insert(decoded.image);
        Ok(Shown {
            top: found.top(top).into_iter().map(Class::from).collect(),
            logits: found.logits().to_vec(),
            width: image.width(),
            height: image.height(),
            warnings: decoded.warnings.iter().map(ToString::to_string).collect(),
        })
    }

    /// The logits of all classes for an input that is prepared already: `[3, size, size]` values, normalized as the
    /// network's preprocessing says.
    ///
    /// # Errors
    ///
    /// [`Error::Classifier`] for another number of values.
    pub fn logits(&self, input: &[f32]) -> Result<Vec<f32>, Error> {
        Ok(self.classifier.logits(&[input])?.as_slice().to_vec())
    }

    /// Draws where in the last image the network sees `class`, as a PNG file of the image's size.
    ///
    /// # Errors
    ///
    /// [`Error::NoImage`] before an image, [`Error::Classifier`] for a class that the network does not have.
    pub fn activation_map(&self, class: usize) -> Result<Vec<u8>, Error> {
        let image = self.image.as_ref().ok_or(Error::NoImage)?;
        let map = self.classifier.activation_map(self.classifier.prepare(image)?, class)?;
        let region = self.classifier.pipeline().region((image.width(), image.height()));
        Ok(encode_png(&map.draw(image, region))?)
    }
}
