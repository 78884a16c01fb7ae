//! Trained networks to quantize, the same with channels of other scales, and how integers compare with f32 on images.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hardnet_data::{Dataset, DecodeLimits, Pipeline, Sample, decode};
use hardnet_demo::fashion_mnist::{CLASSES, SAMPLE_TAR, VAL_LIST, WEIGHTS};
use hardnet_engine::{Plan, PlanOptions};
use hardnet_graph::{Graph, NodeId, Op, ParamInfo, ParamKind};
use hardnet_params::{Parameters, WeightsFile};
use hardnet_quantize::{
    Agreement, Calibration, Calibrator, QuantizeOptions, Quantized, RangeMethod, quantize, quantize_calibrated,
};

/// Images computed at once.
const BATCH: usize = 8;

/// The folder of the narrow network and of the training images for calibration.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("quantize")
}

/// A network that was trained on Fashion-MNIST.
pub struct Trained {
    /// `demonstration` or `narrow`.
    pub name: &'static str,
    /// Its weights.
    pub file: WeightsFile,
    /// Without dropouts.
    pub graph: Graph,
    pipeline: Pipeline,
}

impl Trained {
    /// The network of the demonstration, a `hardnet39ds` with depthwise layers, and a narrow one of the kind of
    /// `hardnet68`, without them.
    pub fn both() -> Result<[Self; 2]> {
        let narrow = std::fs::read(folder().join("narrow.safetensors"))?;
        Ok([Self::new("demonstration", WEIGHTS.to_vec())?, Self::new("narrow", narrow)?])
    }

    fn new(name: &'static str, bytes: Vec<u8>) -> Result<Self> {
        let file = WeightsFile::from_bytes(name, bytes)?;
        let graph = Graph::new(file.config())?.inference();
        let pipeline = file.metadata().and_then(|metadata| metadata.pipeline.clone());
        let pipeline = serde_json::from_value(pipeline.context("the weights name a pipeline")?)?;
        Ok(Self { name, file, graph, pipeline })
    }

    /// The images as the network takes them.
    pub fn tensors(&self, samples: &[Sample]) -> Result<Vec<Vec<f32>>> {
        let tensor = |sample: &Sample| {
            let image = match (sample.in_memory(), sample.archived()) {
                (Some(stored), _) => stored.image(),
                (None, Some(archived)) => decode(&archived.read()?, &DecodeLimits::default())?.image,
                (None, None) => decode(&std::fs::read(sample.path())?, &DecodeLimits::default())?.image,
            };
            Ok(self.pipeline.tensor(&image)?)
        };
        samples.iter().map(tensor).collect()
    }

    /// With one thread: tests run side by side.
    fn options(&self) -> PlanOptions {
        let side = self.pipeline.crop as usize;
        PlanOptions::default().size(side, side).batch(BATCH).threads(1)
    }

    /// In f32, with `parameters`.
    pub fn original(&self, parameters: &dyn Parameters) -> Result<Contender> {
        Ok(Contender::new("f32", Plan::from_graph(&self.graph, parameters, &self.options())?))
    }

    /// In integers.
    pub fn integers(&self, name: impl Into<String>, quantized: &Quantized) -> Result<Contender> {
        Ok(Contender::new(name, Plan::quantized_graph(&self.graph, &[], quantized, &self.options())?))
    }

    /// In integers, without images.
    pub fn quantized(
        &self,
        name: impl Into<String>,
        parameters: &dyn Parameters,
        options: &QuantizeOptions,
    ) -> Result<Contender> {
        self.integers(name, &quantize(&self.graph, parameters, options)?)
    }

    /// The maps of f32, measured.
    pub fn calibration(&self, samples: &[Sample]) -> Result<Calibration> {
        let mut calibrator = Calibrator::new(&self.graph, &self.file.parameters(), &self.options())?;
        for samples in samples.chunks(BATCH) {
            calibrator.add(&self.tensors(samples)?)?;
        }
        Ok(calibrator.finish())
    }

    /// In integers, with measured ranges.
    pub fn calibrated(&self, calibration: &Calibration, method: RangeMethod) -> Result<Contender> {
        let options = QuantizeOptions::default();
        let quantized = quantize_calibrated(&self.graph, &self.file.parameters(), calibration, method, &options)?;
        self.integers(method.to_string(), &quantized)
    }

    /// Computes `samples` by all `contenders`, the first of which is what the others are compared with.
    pub fn compare(&self, samples: &[Sample], contenders: &mut [Contender]) -> Result<()> {
        for samples in samples.chunks(BATCH) {
            let tensors = self.tensors(samples)?;
            let labels: Vec<usize> = samples.iter().map(|sample| sample.label().unwrap_or(u32::MAX) as usize).collect();
            let mut first: Option<Vec<f32>> = None;
            for contender in &mut *contenders {
                let logits = contender.plan.run(&tensors)?;
                contender.add(first.get_or_insert_with(|| logits.clone()), &logits, &labels);
            }
        }
        Ok(())
    }
}

/// A network that computes images, and what is counted of it.
pub struct Contender {
    /// How it was made.
    pub name: String,
    plan: Plan,
    /// Images of the right class.
    pub correct: usize,
    /// With the first contender.
    pub agreement: Agreement,
}

impl Contender {
    fn new(name: impl Into<String>, plan: Plan) -> Self {
        Self { name: name.into(), plan, correct: 0, agreement: Agreement::default() }
    }

    fn add(&mut self, original: &[f32], logits: &[f32], labels: &[usize]) {
        let classes = logits.len() / labels.len();
        for ((original, logits), &label) in original.chunks(classes).zip(logits.chunks(classes)).zip(labels) {
            let best = (0..classes).fold(0, |best, at| if logits[at] > logits[best] { at } else { best });
            self.correct += usize::from(best == label);
            self.agreement.add(original, logits);
        }
    }

    /// Correct images, in percent.
    pub fn percent(&self) -> f64 {
        100.0 * self.correct as f64 / self.agreement.images.max(1) as f64
    }
}

/// The 1,000 test images of the demonstration, in a folder that lives as long as the first value.
pub fn sample() -> Result<(tempfile::TempDir, Vec<Sample>)> {
    let folder = tempfile::tempdir()?;
    let (archive, list) = (folder.path().join("sample.tar"), folder.path().join("val_list.txt"));
    std::fs::write(&archive, SAMPLE_TAR)?;
    std::fs::write(&list, VAL_LIST)?;
    let samples = Dataset::from_list(&list, &archive, CLASSES.len())?.samples;
    Ok((folder, samples))
}

/// A network that computes the same as another in f32, whose channels have other scales: what a channel's normalization
/// gives is multiplied by a power of two from 1/16 to 16, and its readers' weights are divided by it.
///
/// A map without activation may have any factor. After ReLU6, a channel has one if it stays below 6 on all images: the
/// nearest to the drawn one by which it still does.
pub struct Spread<'a> {
    graph: &'a Graph,
    parameters: &'a dyn Parameters,
    /// Of each channel of each node.
    factors: Vec<Vec<f32>>,
}

impl<'a> Spread<'a> {
    /// Draws factors by the greatest values of the channels on `samples`.
    pub fn new(trained: &'a Trained, parameters: &'a dyn Parameters, samples: &[Sample]) -> Result<Self> {
        let graph = &trained.graph;
        let convs: Vec<NodeId> =
            (0..graph.nodes().len()).filter(|&id| matches!(graph.nodes()[id].op, Op::Conv(_))).collect();
        let mut plan = Plan::with_maps(graph, &convs, parameters, &trained.options())?;
        let shapes = plan.tap_shapes().to_vec();
        let mut greatest: Vec<Vec<f32>> = shapes.iter().map(|shape| vec![0.0; shape.channels]).collect();
        for samples in samples.chunks(BATCH) {
            let output = plan.run(&trained.tensors(samples)?)?;
            for mut image in output.chunks_exact(plan.output_len()) {
                for (shape, greatest) in shapes.iter().zip(&mut greatest) {
                    let (map, rest) = image.split_at(shape.count());
                    for (plane, most) in map.chunks_exact(shape.height * shape.width).zip(greatest) {
                        *most = plane.iter().fold(*most, |most, &value| most.max(value));
                    }
                    image = rest;
                }
            }
        }
        let mut factors: Vec<Vec<f32>> = Vec::new();
        let mut greatest = greatest.into_iter();
        for (id, node) in graph.nodes().iter().enumerate() {
            factors.push(match &node.op {
                Op::Conv(_) => {
                    let (_, bound) = node.after.bounds().context("a convolution, normalization and activation")?;
                    let greatest = greatest.next().context("all convolutions are measured")?;
                    let factor = |(channel, most)| within(drawn(id, channel), most, bound);
                    greatest.into_iter().enumerate().map(factor).collect()
                }
                // A pool of the greatest or the mean of scaled values is scaled as they are.
                Op::Pool(_) | Op::AdaptiveAveragePool { .. } => factors[node.inputs[0]].clone(),
                _ => vec![1.0; node.out_channels],
            });
        }
        Ok(Self { graph, parameters, factors })
    }

    /// Channels of convolutions, and those of them whose factor is not 1.
    pub fn channels(&self) -> (usize, usize) {
        let convs = self.graph.nodes().iter().zip(&self.factors).filter(|(node, _)| matches!(node.op, Op::Conv(_)));
        convs.fold((0, 0), |(all, spread), (_, factors)| {
            (all + factors.len(), spread + factors.iter().filter(|&&factor| factor != 1.0).count())
        })
    }
}

/// A power of two from 1/16 to 16, by node and channel.
fn drawn(node: NodeId, channel: usize) -> f32 {
    2.0_f32.powi(((channel * 7 + node * 5) % 9) as i32 - 4)
}

/// The factor nearest to `factor` by which a channel that reaches `most` keeps away from `bound`; 1 for one that
/// reaches the bound.
fn within(mut factor: f32, most: f32, bound: f32) -> f32 {
    if most >= bound {
        return 1.0;
    }
    while factor > 1.0 && most * factor >= bound {
        factor /= 2.0;
    }
    factor
}

impl Parameters for Spread<'_> {
    fn values(&self, param: &ParamInfo) -> hardnet_params::Result<Vec<f32>> {
        let mut values = self.parameters.values(param)?;
        let named = |name: &str| param.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        let id = self.graph.nodes().iter().position(|node| named(&node.name)).expect("parameters have a node's name");
        let node = &self.graph.nodes()[id];
        match (param.kind, &node.op) {
            (ParamKind::NormWeight | ParamKind::NormBias, _) => {
                values.iter_mut().zip(&self.factors[id]).for_each(|(value, factor)| *value *= factor);
            }
            (ParamKind::ConvWeight | ParamKind::LinearWeight, op) => {
                let read: Vec<f32> = node.inputs.iter().flat_map(|&input| self.factors[input].clone()).collect();
                let depthwise = matches!(op, Op::Conv(conv) if conv.is_depthwise());
                let columns = if depthwise { values.len() } else { values.len() / node.out_channels };
                let taps = columns / read.len();
                for row in values.chunks_exact_mut(columns) {
                    let pairs = row.chunks_exact_mut(taps).zip(&read);
                    pairs.for_each(|(weights, factor)| weights.iter_mut().for_each(|weight| *weight /= factor));
                }
            }
            _ => {}
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_keep_channels_away_from_the_bound() {
        assert_eq!(within(16.0, 1.0, 6.0), 4.0);
        assert_eq!(within(16.0, 5.0, f32::INFINITY), 16.0);
        assert_eq!((within(0.25, 5.0, 6.0), within(0.25, 6.0, 6.0), within(2.0, 3.0, 6.0)), (0.25, 1.0, 1.0));
    }
}
