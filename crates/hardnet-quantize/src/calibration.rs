//! Ranges and means of all maps, measured on images by the engine in f32.

use std::fmt;
use std::str::FromStr;

use hardnet_engine::{Plan, PlanOptions};
use hardnet_graph::{Graph, NodeId};
use hardnet_params::Parameters;

use crate::error::{Error, Result};
use crate::histogram::Histogram;
use crate::network::{Network, Role};
use crate::statistics::{Statistics, concatenated};

/// How the range of a channel follows from its measured values.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum RangeMethod {
    /// From the least to the greatest value.
    MinMax,
    /// So that this percentage of the values lies below its end, and as many above its beginning.
    Percentile(f64),
    /// The range that makes the mean square error of rounded and cut-off values least.
    MeanSquaredError,
}

impl RangeMethod {
    /// The percentage of [`RangeMethod::Percentile`] where none is given.
    pub const PERCENT: f64 = 99.99;
}

impl fmt::Display for RangeMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MinMax => f.write_str("min-max"),
            Self::Percentile(percent) => write!(f, "percentile {percent}"),
            Self::MeanSquaredError => f.write_str("mse"),
        }
    }
}

impl FromStr for RangeMethod {
    type Err = Error;

    /// `min-max`, `percentile`, `percentile=99.9` or `mse`.
    fn from_str(text: &str) -> Result<Self> {
        let unknown = || Error::UnknownMethod(text.into());
        match text.split_once(['=', ' ']) {
            None if text == "min-max" => Ok(Self::MinMax),
            None if text == "percentile" => Ok(Self::Percentile(Self::PERCENT)),
            None if text == "mse" => Ok(Self::MeanSquaredError),
            Some(("percentile", percent)) => {
                let percent: f64 = percent.parse().map_err(|_| unknown())?;
                (percent > 50.0 && percent <= 100.0).then_some(Self::Percentile(percent)).ok_or_else(unknown)
            }
            _ => Err(unknown()),
        }
    }
}

/// Measures the maps of a network on images.
///
/// Its memory depends on the network and the size of images, and not on their number.
///
/// ```
/// use hardnet_engine::PlanOptions;
/// use hardnet_graph::{Config, Graph, Variant};
/// # use hardnet_params::synthetic::Synthetic;
/// use hardnet_quantize::{Calibrator, QuantizeOptions, RangeMethod, quantize_calibrated};
///
/// # fn main() -> hardnet_quantize::Result<()> {
/// # let parameters = Synthetic;
/// let graph = Graph::new(&Config::from(Variant::HarDNet39Ds).with_classes(10))?;
/// let mut calibrator = Calibrator::new(&graph, &parameters, &PlanOptions::default().size(64, 64))?;
/// let image = vec![0.5; 3 * 64 * 64]; // normalized, `[3, 64, 64]`
/// calibrator.add(&[image])?;
/// let calibration = calibrator.finish();
/// let options = QuantizeOptions::default();
/// let quantized = quantize_calibrated(&graph, &parameters, &calibration, RangeMethod::MinMax, &options)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Calibrator {
    graph: Graph,
    plan: Plan,
    calibration: Calibration,
}

/// Measured maps of a network.
#[derive(Clone, Debug)]
pub struct Calibration {
    /// Positions in the inference graph, names and histograms of the channels.
    maps: Vec<(NodeId, String, Vec<Histogram>)>,
    images: usize,
}

impl Calibrator {
    /// Compiles the network of `graph` for images of the size of `options`, with its parameters from `parameters`.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`] for a network that the engine does not compute, or for another size.
    pub fn new(graph: &Graph, parameters: &dyn Parameters, options: &PlanOptions) -> Result<Self> {
        let graph = graph.inference();
        let measured = |id: &NodeId| crate::network::measured(&graph.nodes()[*id].op);
        let nodes: Vec<NodeId> = (1..graph.nodes().len()).filter(measured).collect();
        let plan = Plan::with_maps(&graph, &nodes, parameters, options)?;
        let map = |&id: &NodeId| {
            let node = &graph.nodes()[id];
            let signed = crate::network::is_signed(&graph, id);
            (id, node.name.clone(), vec![Histogram::new(signed); node.out_channels])
        };
        let calibration = Calibration { maps: nodes.iter().map(map).collect(), images: 0 };
        Ok(Self { plan, calibration, graph })
    }

    /// Measures images of another size from here on. The parameters are those of [`new`](Self::new).
    ///
    /// # Errors
    ///
    /// [`Error::Engine`] for a size that the engine does not compute; the size then stays what it was.
    pub fn set_size(&mut self, height: usize, width: usize, parameters: &dyn Parameters) -> Result<()> {
        let options = *self.plan.options();
        if (options.height, options.width) != (height, width) {
            let nodes: Vec<NodeId> = self.calibration.maps.iter().map(|(id, ..)| *id).collect();
            self.plan = Plan::with_maps(&self.graph, &nodes, parameters, &options.size(height, width))?;
        }
        Ok(())
    }

    /// Adds normalized images, each `[C, H, W]`, and gives the network's outputs of them.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`] for an image of another size, [`Error::NotFinite`] for a map with a value that is infinite or
    /// NaN.
    pub fn add<I: AsRef<[f32]>>(&mut self, images: &[I]) -> Result<Vec<f32>> {
        let shapes = self.plan.tap_shapes().to_vec();
        let mut outputs = Vec::new();
        for images in images.chunks(self.plan.options().batch.max(1)) {
            let values = self.plan.run(images)?;
            for mut image in values.chunks_exact(self.plan.output_len().max(1)) {
                for (shape, (_, name, channels)) in shapes.iter().zip(&mut self.calibration.maps) {
                    let (map, rest) = image.split_at(shape.count());
                    for (plane, channel) in map.chunks_exact(shape.height * shape.width).zip(channels) {
                        if !channel.add(plane) {
                            return Err(Error::NotFinite { node: name.clone() });
                        }
                    }
                    image = rest;
                }
                outputs.extend_from_slice(image);
                self.calibration.images += 1;
            }
        }
        Ok(outputs)
    }

    /// The measured maps.
    pub fn finish(self) -> Calibration {
        self.calibration
    }
}

impl Calibration {
    /// Images that were measured.
    pub fn images(&self) -> usize {
        self.images
    }

    /// Ranges by `method`, and measured moments.
    pub(crate) fn statistics(&self, network: &Network<'_>, method: RangeMethod) -> Result<Vec<Option<Statistics>>> {
        if self.images == 0 {
            return Err(Error::NoImages);
        }
        let mut all: Vec<Option<Statistics>> = vec![None; network.roles.len()];
        for (id, name, channels) in &self.maps {
            let fits = network.graph.nodes().get(*id);
            let fits = fits.is_some_and(|node| node.name == *name && node.out_channels == channels.len());
            if !fits {
                return Err(Error::OtherNetwork { node: name.clone() });
            }
            let range = |channel: &Histogram| match method {
                RangeMethod::MinMax => channel.range(),
                RangeMethod::Percentile(percent) => {
                    (channel.quantile(1.0 - percent / 100.0), channel.quantile(percent / 100.0))
                }
                RangeMethod::MeanSquaredError => channel.least_error(),
            };
            let (low, high): (Vec<f64>, Vec<f64>) = channels.iter().map(range).unzip();
            // A map without negative values begins at zero, whatever its least value is.
            let signed = crate::network::is_signed(&network.graph, *id);
            let low = if signed { low } else { vec![0.0; high.len()] };
            let moments = Some(channels.iter().map(Histogram::moments).collect());
            all[*id] = Some(Statistics { low, high, moments });
        }
        for (id, role) in network.roles.iter().enumerate() {
            if let Role::Upsample(_) = role {
                all[id] = concatenated(network, id, &all);
            }
        }
        let missing = network.roles.iter().enumerate().find(|(id, role)| role.writes_bytes() && all[*id].is_none());
        match missing {
            Some((id, _)) => Err(Error::OtherNetwork { node: network.node(id).name.clone() }),
            None => Ok(all),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_read_as_they_are_written() {
        let methods = [RangeMethod::MinMax, RangeMethod::Percentile(99.9), RangeMethod::MeanSquaredError];
        for method in methods {
            assert_eq!(method.to_string().parse::<RangeMethod>().unwrap(), method);
        }
        assert_eq!("percentile".parse::<RangeMethod>().unwrap(), RangeMethod::Percentile(99.99));
        assert_eq!("percentile=100".parse::<RangeMethod>().unwrap(), RangeMethod::Percentile(100.0));
        for text in ["", "max", "percentile=", "percentile=50", "percentile=101", "percentile=nan", "mse=1"] {
            let error = text.parse::<RangeMethod>().unwrap_err().to_string();
            let expected = "expected min-max, percentile, percentile=P with P above 50 and at most 100, or mse";
            assert_eq!(error, format!("unknown method `{text}`, {expected}"));
        }
    }
}
