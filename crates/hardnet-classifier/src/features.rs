//! Feature maps of a classifier.

use hardnet_graph::{FeatureInfo, Graph, Taps};

use crate::error::Result;

/// A feature map of a batch of images.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FeatureMap {
    /// The module whose output it is.
    pub info: FeatureInfo,
    /// Images, channels, rows and columns.
    pub shape: [usize; 4],
    /// The values, `[N, C, H, W]`.
    pub values: Vec<f32>,
}

impl FeatureMap {
    /// Returns the mean of every channel of every image, `[N, C]`: global average pooling.
    ///
    /// It is summed in f64 and rounded once. For the last map it is the input of the classifier, up to rounding.
    pub fn pooled(&self) -> Vec<f32> {
        let pixels = self.shape[2] * self.shape[3];
        let mean = |plane: &[f32]| (plane.iter().copied().map(f64::from).sum::<f64>() / pixels as f64) as f32;
        self.values.chunks_exact(pixels.max(1)).map(mean).collect()
    }
}

/// A module whose output is taken.
#[derive(Clone, Debug)]
pub(crate) struct Tap {
    /// Position in the modules of the graph.
    pub(crate) module: usize,
    pub(crate) info: FeatureInfo,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl Tap {
    /// The modules of `graph` that `taps` name, for images of `side` pixels.
    pub(crate) fn resolve(graph: &Graph, taps: &Taps, side: usize) -> Result<Vec<Self>> {
        graph.tapped(taps)?.into_iter().map(|module| Self::new(graph, module, side)).collect()
    }

    /// The module of `graph` at position `module`, for images of `side` pixels.
    pub(crate) fn new(graph: &Graph, module: usize, side: usize) -> Result<Self> {
        let info = &graph.modules()[module];
        let shape = graph.shapes(side, side)?[info.outputs[0]];
        Ok(Self { module, info: info.into(), rows: shape.height, columns: shape.width })
    }

    /// Values of one image.
    pub(crate) fn len(&self) -> usize {
        self.info.channels * self.rows * self.columns
    }

    /// The map of `images` images, without values yet.
    pub(crate) fn map(&self, images: usize) -> FeatureMap {
        let shape = [images, self.info.channels, self.rows, self.columns];
        FeatureMap { info: self.info.clone(), shape, values: Vec::with_capacity(images * self.len()) }
    }
}
