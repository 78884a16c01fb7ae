//! The segmenter.

mod builder;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use hardnet_classifier::ImageInput;
use hardnet_data::{Image, Resizer};
use hardnet_simd::Isa;

use crate::error::{Error, Result};
use crate::mask::{Mask, MaskReader};
use crate::metrics::Confusion;
use crate::network::ComputeScores;
use crate::protocol::{Convention, InputTensor, Protocol};
use crate::scores::{Merge, Scores, View};
use crate::segmentation::{ClassNames, Segmentation};
use crate::views::{ViewInput, Views, averaging};
pub use builder::{SegmenterBuilder, protocol_of};

/// A network with its weights, preprocessing and classes.
///
/// A clone is cheap and shares the network. Threads may call one segmenter at the same time: they read, decode and
/// prepare their images at the same time and take turns in the network.
///
/// ```no_run
/// use hardnet_segmentation::Segmenter;
///
/// # fn main() -> Result<(), hardnet_segmentation::Error> {
/// let segmenter = Segmenter::from_pretrained("fc-hardnet70.upstream_cityscapes")?;
/// for area in segmenter.segment("street.png")?.areas() {
///     println!("{:5.1} % {}", 100.0 * area.share, area.name);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Segmenter(Arc<Inner>);

struct Inner {
    network: Box<dyn ComputeScores>,
    protocol: Protocol,
    views: Views,
    classes: Arc<ClassNames>,
    threads: usize,
    isa: Isa,
    weights: String,
}

/// An image that is ready for the network: its views as tensors.
#[derive(Clone, Debug)]
pub struct Prepared {
    views: Vec<ViewInput>,
    /// Columns and rows of the input at scale 1.
    input: (usize, usize),
    /// Columns and rows of the image.
    image: (usize, usize),
}

impl Prepared {
    /// The inputs of the network, one for each view.
    pub fn inputs(&self) -> impl Iterator<Item = &InputTensor> {
        self.views.iter().map(|view| &view.tensor)
    }

    /// Memory of the inputs, in bytes.
    pub fn bytes(&self) -> usize {
        self.inputs().map(|input| size_of_val(&input.values[..])).sum()
    }
}

/// A prediction and the truth in the size in which they are compared.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Compared {
    /// The predicted class of each pixel.
    pub prediction: Mask,
    /// The true class of each pixel.
    pub truth: Mask,
}

impl Segmenter {
    /// Returns the options of a segmenter to be built.
    pub fn builder() -> SegmenterBuilder {
        SegmenterBuilder::default()
    }

    /// Builds the segmenter of the weights called `name`: a tag such as `fc-hardnet70.upstream_cityscapes`, an address
    /// `hf://owner/name[@revision][/file]`, or the path of a file.
    ///
    /// Weights are found and downloaded as by [`Classifier::from_pretrained`](hardnet_classifier::Classifier): only
    /// paths work without the feature `hub`.
    ///
    /// # Errors
    ///
    /// As [`SegmenterBuilder::from_pretrained`].
    pub fn from_pretrained(name: &str) -> Result<Self> {
        Self::builder().from_pretrained(name)
    }

    /// Builds the segmenter of a weights file: safetensors, PyTorch or Paddle.
    ///
    /// # Errors
    ///
    /// As [`SegmenterBuilder::load`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder().load(path)
    }

    /// Segments an image: a path, an [`Image`], or the content of an image file.
    ///
    /// # Errors
    ///
    /// [`Error::Image`] and [`Error::Protocol`] for an image that cannot be read or prepared, [`Error::Network`] where
    /// the network cannot compute it, [`Error::NotFinite`] where its output makes no sense.
    pub fn segment<'a>(&self, image: impl Into<ImageInput<'a>>) -> Result<Segmentation> {
        let (image, _) = image.into().decode(&self.0.protocol.decode_options())?;
        self.segment_prepared(&self.prepare(&image)?)
    }

    /// Turns an image into what [`segment_prepared`](Self::segment_prepared) takes.
    ///
    /// # Errors
    ///
    /// [`Error::Protocol`] where the image cannot be resized.
    pub fn prepare(&self, image: &Image) -> Result<Prepared> {
        self.prepare_with(&mut self.resizer(), image)
    }

    /// [`prepare`](Self::prepare) with the memory of `resizer`.
    ///
    /// # Errors
    ///
    /// As [`prepare`](Self::prepare).
    pub fn prepare_with(&self, resizer: &mut Resizer, image: &Image) -> Result<Prepared> {
        let Inner { protocol, views, .. } = &*self.0;
        let (width, height) = (image.width(), image.height());
        let inputs = views.inputs(protocol, resizer, image)?;
        Ok(Prepared { views: inputs, input: protocol.input_size(width, height), image: (width, height) })
    }

    pub(crate) fn resizer(&self) -> Resizer {
        Resizer::with_isa(self.0.isa)
    }

    /// Segments an image that is prepared.
    ///
    /// # Errors
    ///
    /// [`Error::Network`] and [`Error::NotFinite`].
    pub fn segment_prepared(&self, prepared: &Prepared) -> Result<Segmentation> {
        let mask = self.mask(prepared, prepared.image)?;
        Ok(Segmentation { mask, classes: Arc::clone(&self.0.classes) })
    }

    /// Segments an image that is prepared and counts where it agrees with `truth`, the mask of the image.
    ///
    /// FC-HarDNet's protocol compares in the size of the network's input, to which the mask is resized. PaddleSeg's
    /// compares in the size of the mask.
    ///
    /// # Errors
    ///
    /// As [`segment_prepared`](Self::segment_prepared), and [`Error::Mask`] for a mask of another size than the image.
    pub fn compare(&self, prepared: &Prepared, truth: &Mask, confusion: &mut Confusion) -> Result<Compared> {
        MaskReader::check_size(truth, prepared.image)?;
        let size = match self.0.protocol.convention {
            Convention::FcHarDNet => prepared.input,
            Convention::PaddleSeg => prepared.image,
        };
        let truth = if size == prepared.image { truth.clone() } else { truth.resize(size.0, size.1)? };
        let prediction = self.mask(prepared, size)?;
        confusion.add(&truth, &prediction)?;
        Ok(Compared { prediction, truth })
    }

    fn mask(&self, prepared: &Prepared, (width, height): (usize, usize)) -> Result<Mask> {
        let Inner { network, protocol, threads, .. } = &*self.0;
        let mut views = Vec::with_capacity(prepared.views.len());
        for ViewInput { tensor, is_mirrored } in &prepared.views {
            let scores = self.logits(tensor)?;
            let scores = if *is_mirrored { scores.mirrored() } else { scores };
            views.push(View::new(scores, (tensor.width, tensor.height)));
        }
        let merge = Merge::new(network.alignment(), prepared.input).averaging(averaging(protocol.convention));
        Ok(merge.output(width, height).threads(*threads).classes(&views))
    }

    /// Computes the logits of an input, at a fraction of its size.
    ///
    /// # Errors
    ///
    /// [`Error::Network`] and [`Error::NotFinite`].
    pub fn logits(&self, input: &InputTensor) -> Result<Scores> {
        let scores = self.0.network.scores(input).map_err(Error::Network)?;
        if scores.values().iter().all(|score| score.is_finite()) {
            Ok(scores)
        } else {
            Err(Error::NotFinite { weights: self.0.weights.clone() })
        }
    }

    /// Returns the result whose mask is `mask`.
    pub fn segmentation(&self, mask: Mask) -> Segmentation {
        Segmentation { mask, classes: self.shared_classes() }
    }

    /// Returns the names of the classes and their colors.
    pub fn classes(&self) -> &ClassNames {
        &self.0.classes
    }

    /// Returns the names of the classes and their colors, shared.
    pub fn shared_classes(&self) -> Arc<ClassNames> {
        Arc::clone(&self.0.classes)
    }

    /// Returns the preprocessing.
    pub fn protocol(&self) -> &Protocol {
        &self.0.protocol
    }

    /// Returns the views of each image.
    pub fn views(&self) -> &Views {
        &self.0.views
    }

    /// Returns the name of the engine that computes.
    pub fn engine(&self) -> &'static str {
        self.0.network.engine()
    }

    /// Returns the threads of this machine that the network keeps busy.
    pub fn busy_threads(&self) -> usize {
        self.0.threads
    }
}

impl fmt::Debug for Segmenter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Segmenter of `{}` on the {} engine", self.0.weights, self.engine())
    }
}
