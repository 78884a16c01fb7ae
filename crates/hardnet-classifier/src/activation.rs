//! Class activation maps: where in an image the network sees a class.
//!
//! The head of a HarDNet is linear: the mean over the pixels of the last map, then a weight for each channel and class.
//! So the order of the two can be changed. Weighted first, every pixel `p` has a share in the logit of class `k`, and
//! their mean is the logit:
//!
//! ```text
//! share[k][p] = sum over channels c of weight[k][c] * map[c][p] + bias[k]
//! ```
//!
//! This is the class activation map of Zhou et al., Learning Deep Features for Discriminative Localization (CVPR 2016),
//! with the bias, and exact: nothing is approximated, and no gradient is needed.

mod overlay;

use hardnet_data::{Image, Region};
use hardnet_graph::{Graph, ModuleKind, Op, ParamInfo, ParamKind};
use hardnet_params::{ChannelUnits, MapQuantization, Parameters, QuantizedLayer, QuantizedParameters};

use crate::error::Result;
use crate::features::FeatureMap;

/// The share of each place of an image in the logit of a class.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ActivationMap {
    /// Index of the class.
    pub class: usize,
    /// Rows of the network's last map.
    pub rows: usize,
    /// Columns of the network's last map.
    pub columns: usize,
    /// The shares, `[rows, columns]`. Their mean is the logit, up to rounding.
    pub values: Vec<f32>,
}

impl ActivationMap {
    /// Returns the logit: the mean of all shares, summed in f64 and rounded once.
    pub fn logit(&self) -> f32 {
        let sum: f64 = self.values.iter().copied().map(f64::from).sum();
        (sum / self.values.len() as f64) as f32
    }

    /// Returns the share at `x` and `y`, between 0 and 1 from the left and top edge of what the network sees,
    /// interpolated linearly between the centers of the map's pixels.
    pub fn at(&self, x: f32, y: f32) -> f32 {
        let place = |at: f32, count: usize| {
            let last = count - 1;
            let at = (at * count as f32 - 0.5).clamp(0.0, last as f32);
            let first = (at as usize).min(last);
            (first, (first + 1).min(last), at - first as f32)
        };
        let ((left, right, dx), (top, bottom, dy)) = (place(x, self.columns), place(y, self.rows));
        let row = |y: usize| {
            let (a, b) = (self.values[y * self.columns + left], self.values[y * self.columns + right]);
            a + (b - a) * dx
        };
        let (a, b) = (row(top), row(bottom));
        a + (b - a) * dy
    }

    /// Draws the map over the part `region` of the image that it belongs to, by
    /// [`Pipeline::region`](hardnet_data::Pipeline::region) of the classifier's preprocessing.
    ///
    /// Places that speak for the class are colored, from blue to red where the share is the largest; those that speak
    /// against it are left as they are. What the network does not see is dark.
    pub fn draw(&self, image: &Image, region: Region) -> Image {
        overlay::draw(self, image, region)
    }
}

/// The weights of the linear layer at the end of a network.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// `[classes, channels]`.
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Head {
    /// Reads the head of `graph`.
    pub(crate) fn read(graph: &Graph, parameters: &dyn Parameters) -> Result<Self> {
        let params = graph.params();
        let values = |kind: ParamKind| -> Result<Vec<f32>> {
            let param = params.iter().find(|param| param.kind == kind).expect("a classifier has a linear layer");
            Ok(parameters.values(param)?)
        };
        Ok(Self { weights: values(ParamKind::LinearWeight)?, bias: values(ParamKind::LinearBias)? })
    }

    /// `parameters` with those of the head, which a file gives only once.
    pub(crate) fn among<'a, P: ?Sized>(&'a self, parameters: &'a P) -> WithHead<'a, P> {
        WithHead { head: self, parameters }
    }

    /// The head of a quantized network, which reads a map whose channels have units of their own, as one that reads the
    /// network's map.
    pub(crate) fn in_network_units(mut self, graph: &Graph, parameters: &dyn QuantizedParameters) -> Self {
        let graph = graph.inference();
        let linear = graph.nodes().iter().find(|node| matches!(node.op, Op::Linear { .. }));
        let read = linear.and_then(|node| node.inputs.first()).map(|&input| &graph.nodes()[input].name);
        let Some(ChannelUnits { scale, offset, .. }) = read.and_then(|name| parameters.units(name)) else {
            return self;
        };
        for (row, bias) in self.weights.chunks_exact_mut(scale.len()).zip(&mut self.bias) {
            for ((weight, scale), offset) in row.iter_mut().zip(&scale).zip(&offset) {
                *weight /= scale;
                *bias -= *weight * offset;
            }
        }
        self
    }

    /// The position in the modules of `graph` of the one whose map the head reads.
    pub(crate) fn module(graph: &Graph) -> usize {
        let head = graph.modules().iter().position(|module| module.kind == ModuleKind::Head);
        head.and_then(|head| head.checked_sub(1)).expect("a classifier has a head after its last block")
    }

    /// The activation map of `class`, for the first image of `map`.
    pub(crate) fn activation(&self, map: &FeatureMap, class: usize) -> ActivationMap {
        let [_, channels, rows, columns] = map.shape;
        let mut sums = vec![f64::from(self.bias[class]); rows * columns];
        let weights = &self.weights[class * channels..(class + 1) * channels];
        for (weight, plane) in weights.iter().zip(map.values.chunks_exact(rows * columns)) {
            let shares = plane.iter().map(|&value| f64::from(*weight) * f64::from(value));
            sums.iter_mut().zip(shares).for_each(|(sum, share)| *sum += share);
        }
        let values = sums.into_iter().map(|sum| sum as f32).collect();
        ActivationMap { class, rows, columns, values }
    }
}

/// Parameters of which those of the head were read.
pub(crate) struct WithHead<'a, P: ?Sized> {
    head: &'a Head,
    parameters: &'a P,
}

impl<P: QuantizedParameters + ?Sized> QuantizedParameters for WithHead<'_, P> {
    fn map(&self, node: &str) -> Option<MapQuantization> {
        self.parameters.map(node)
    }

    fn layer(&self, node: &str) -> hardnet_params::Result<Option<QuantizedLayer>> {
        self.parameters.layer(node)
    }

    fn units(&self, node: &str) -> Option<ChannelUnits> {
        self.parameters.units(node)
    }
}

impl<P: Parameters + ?Sized> Parameters for WithHead<'_, P> {
    fn values(&self, param: &ParamInfo) -> hardnet_params::Result<Vec<f32>> {
        match param.kind {
            ParamKind::LinearWeight => Ok(self.head.weights.clone()),
            ParamKind::LinearBias => Ok(self.head.bias.clone()),
            _ => self.parameters.values(param),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_interpolated_between_the_centers_of_pixels() {
        let map = ActivationMap { class: 0, rows: 2, columns: 2, values: vec![0.0, 4.0, 8.0, 12.0] };
        let places = [(0.0, 0.0), (0.25, 0.25), (0.5, 0.25), (0.5, 0.5), (1.0, 1.0), (0.75, 0.5)];
        assert_eq!(places.map(|(x, y)| map.at(x, y)), [0.0, 0.0, 2.0, 6.0, 12.0, 8.0]);
        assert_eq!(map.logit(), 6.0);
        let single = ActivationMap { class: 0, rows: 1, columns: 1, values: vec![3.0] };
        assert_eq!((single.at(0.0, 1.0), single.at(0.7, 0.2)), (3.0, 3.0));
    }
}
