//! Options of a segmenter.

use std::path::Path;
use std::sync::Arc;

use hardnet_classifier::{Precision, open_weights};
use hardnet_engine::PlanOptions;
use hardnet_graph::{Config, Graph, LinkOrder};
use hardnet_params::{Metadata, Parameters, QuantizedParameters, WeightsFile, WeightsOptions};
use hardnet_quantize::{QuantizeOptions, quantize};
use hardnet_simd::Isa;
use serde_json::Value;

use super::{Inner, Segmenter};
use crate::error::{Error, Result};
use crate::native::{Native, Source};
use crate::network::ComputeScores;
use crate::palette::Palette;
use crate::protocol::{InputSize, Protocol};
use crate::segmentation::ClassNames;
use crate::views::Views;

/// Options of a [`Segmenter`].
#[derive(Clone, Debug)]
#[must_use = "a builder builds nothing until it is given a network"]
pub struct SegmenterBuilder {
    threads: usize,
    isa: Isa,
    protocol: Option<Protocol>,
    size: Option<InputSize>,
    views: Views,
    names: Option<Vec<String>>,
    palette: Option<Palette>,
    weights: WeightsOptions,
    precision: Option<Precision>,
}

impl Default for SegmenterBuilder {
    /// A thread for each processor that the process may use, the best instruction set, preprocessing and classes by the
    /// weights, the image as it is.
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            isa: Isa::best(),
            protocol: None,
            size: None,
            views: Views::default(),
            names: None,
            palette: None,
            weights: WeightsOptions::default(),
            precision: None,
        }
    }
}

impl SegmenterBuilder {
    /// Sets the threads, by default one for each processor that the process may use. Results do not depend on it.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Sets the instruction set, by default the best of this processor.
    pub fn isa(mut self, isa: Isa) -> Self {
        self.isa = isa;
        self
    }

    /// Sets the preprocessing.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = Some(protocol);
        self
    }

    /// Sets the size of the network's input, by default that of the preprocessing.
    pub fn size(mut self, size: InputSize) -> Self {
        self.size = Some(size);
        self
    }

    /// Sets the views of each image that are averaged.
    pub fn views(mut self, views: Views) -> Self {
        self.views = views;
        self
    }

    /// Sets the names of the classes.
    pub fn names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.names = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the colors of the classes.
    pub fn palette(mut self, palette: Palette) -> Self {
        self.palette = Some(palette);
        self
    }

    /// Sets what [`load`](Self::load) and [`from_pretrained`](Self::from_pretrained) read of a file: one dictionary of
    /// a checkpoint, the tensors below a prefix, a network that the file must hold.
    pub fn weights_options(mut self, options: WeightsOptions) -> Self {
        self.weights = options;
        self
    }

    /// Sets the numbers that the network computes with, by default those of the weights. Weights in floating point are
    /// quantized for [`Precision::Int8`] without images, by `hardnet_quantize::quantize`.
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = Some(precision);
        self
    }

    /// Builds the segmenter of a weights file: safetensors, PyTorch or Paddle.
    ///
    /// # Errors
    ///
    /// [`Error::Params`] where the file holds no such network, otherwise as [`from_weights`](Self::from_weights).
    pub fn load(self, path: impl AsRef<Path>) -> Result<Segmenter> {
        let file = WeightsFile::open_with(path, &self.weights)?;
        self.from_weights(file)
    }

    /// Builds the segmenter of the weights called `name`, as [`Segmenter::from_pretrained`].
    ///
    /// # Errors
    ///
    /// [`Error::Weights`] where the weights cannot be had, otherwise as [`from_weights`](Self::from_weights).
    pub fn from_pretrained(self, name: &str) -> Result<Segmenter> {
        let file = open_weights(name, &self.weights).map_err(|error| Error::Weights(Box::new(error)))?;
        self.from_weights(file)
    }

    /// Builds the segmenter of weights that are open.
    ///
    /// # Errors
    ///
    /// [`Error::NoDecoder`] for weights of a network that does not segment, [`Error::Pipeline`] for preprocessing in
    /// the file that cannot be understood, [`Error::Params`] for weights in integers where f32 is wanted,
    /// [`Error::Quantize`] where weights cannot be quantized, otherwise as [`from_network`](Self::from_network).
    pub fn from_weights(self, file: WeightsFile) -> Result<Segmenter> {
        let name = file.path().display().to_string();
        let metadata = file.metadata().cloned().unwrap_or_else(|| Metadata::new(file.config().clone()));
        if file.quantization().is_none() {
            return self.floats(&metadata, &file.into_parameters(), name);
        }
        if self.precision == Some(Precision::F32) {
            file.expect_floats()?;
        }
        self.native(&metadata, Source::Integers(&file.into_parameters()), name)
    }

    /// Builds the segmenter from parameters in memory; `metadata` describes the network.
    ///
    /// # Errors
    ///
    /// As [`from_weights`](Self::from_weights), and what `parameters` says.
    pub fn from_parameters(self, metadata: &Metadata, parameters: &dyn Parameters) -> Result<Segmenter> {
        self.floats(metadata, parameters, "parameters in memory".into())
    }

    /// Builds the segmenter of a quantized network in memory; `metadata` describes it.
    ///
    /// # Errors
    ///
    /// As [`from_weights`](Self::from_weights), and what `parameters` says.
    pub fn from_quantized(self, metadata: &Metadata, parameters: &dyn QuantizedParameters) -> Result<Segmenter> {
        self.native(metadata, Source::Integers(parameters), "parameters in memory".into())
    }

    fn floats(self, metadata: &Metadata, parameters: &dyn Parameters, weights: String) -> Result<Segmenter> {
        if self.precision != Some(Precision::Int8) {
            return self.native(metadata, Source::Floats(parameters), weights);
        }
        let graph = Graph::new(&metadata.config)?;
        let quantized = quantize(&graph, parameters, &QuantizeOptions::default())?;
        self.native(metadata, Source::Integers(&quantized), weights)
    }

    fn native(mut self, metadata: &Metadata, parameters: Source<'_>, weights: String) -> Result<Segmenter> {
        let options = PlanOptions::default().threads(self.threads).isa(self.isa);
        let network = Native::new(&metadata.config, parameters, options, &weights)?;
        if self.names.is_none() {
            self.names.clone_from(&metadata.labels);
        }
        if self.protocol.is_none() {
            self.protocol = Some(protocol_of(&metadata.config, metadata.pipeline.as_ref())?);
        }
        self.from_network(network, weights)
    }

    /// Builds the segmenter of a network of your own; `weights` is its name in messages.
    ///
    /// # Errors
    ///
    /// [`Error::ClassCount`] for another number of names or colors than classes, [`Error::Protocol`] and
    /// [`Error::Scale`] for preprocessing that makes no sense.
    pub fn from_network(self, network: impl ComputeScores + 'static, weights: impl Into<String>) -> Result<Segmenter> {
        let Self { threads, isa, protocol, size, views, names, palette, .. } = self;
        let count = network.classes();
        let weights = weights.into();
        let mut classes = names.map_or_else(|| ClassNames::guess(count), ClassNames::new);
        if let Some(palette) = palette {
            classes = classes.with_palette(palette);
        }
        for found in [classes.names.len(), classes.palette.len()] {
            if found != count {
                return Err(Error::ClassCount { weights, expected: count, found });
            }
        }
        let mut protocol = protocol.unwrap_or_else(Protocol::fchardnet);
        protocol.size = size.unwrap_or(protocol.size);
        protocol.validate()?;
        views.validate()?;
        let (network, classes) = (Box::new(network), Arc::new(classes));
        Ok(Segmenter(Arc::new(Inner { network, protocol, views, classes, threads, isa, weights })))
    }
}

/// The preprocessing of the network of `config`, whose weights file names `metadata`: a name or a table. Without it,
/// PaddleSeg's order of links is a sign of PaddleSeg's preprocessing.
///
/// # Errors
///
/// [`Error::Pipeline`] for metadata that cannot be understood.
pub fn protocol_of(config: &Config, metadata: Option<&Value>) -> Result<Protocol> {
    match metadata {
        Some(Value::String(name)) => Ok(name.parse().map_err(|error| Error::Pipeline(Box::new(error)))?),
        Some(table) => serde_json::from_value(table.clone()).map_err(|error| Error::Pipeline(Box::new(error))),
        None if config.links == LinkOrder::FarthestFirst => Ok(Protocol::paddleseg()),
        None => Ok(Protocol::fchardnet()),
    }
}
