//! Options of a segmenter.

use std::sync::Arc;

use hardnet_simd::Isa;

use super::{Inner, Segmenter};
use crate::error::{Error, Result};
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
}

impl Default for SegmenterBuilder {
    /// A thread for each processor that the process may use, the best instruction set, FC-HarDNet's preprocessing, the
    /// image as it is.
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            isa: Isa::best(),
            protocol: None,
            size: None,
            views: Views::default(),
            names: None,
            palette: None,
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

    /// Builds the segmenter of a network of your own; `weights` is its name in messages.
    ///
    /// # Errors
    ///
    /// [`Error::ClassCount`] for another number of names or colors than classes, [`Error::Protocol`] and
    /// [`Error::Scale`] for preprocessing that makes no sense.
    pub fn from_network(self, network: impl ComputeScores + 'static, weights: impl Into<String>) -> Result<Segmenter> {
        let Self { threads, isa, protocol, size, views, names, palette } = self;
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
