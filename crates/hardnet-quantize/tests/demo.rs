//! The network of the demonstration in integers, by the reference, next to the engine in f32.

use std::collections::HashMap;

use hardnet_data::{Dataset, DecodeLimits, Pipeline, decode};
use hardnet_demo::fashion_mnist::{CLASSES, SAMPLE_TAR, VAL_LIST, WEIGHTS};
use hardnet_engine::{Plan, PlanOptions};
use hardnet_graph::{Graph, NodeId, Op, ParamInfo, ParamKind, Variant};
use hardnet_params::synthetic::Synthetic;
use hardnet_params::{Parameters, QuantizedParameters, WeightsFile};
use hardnet_quantize::{
    Calibration, Calibrator, LayerErrors, QuantizeOptions, Quantized, RangeMethod, quantize, quantize_calibrated,
    reference,
};

const SIZE: (usize, usize) = (64, 64);

fn weights() -> WeightsFile {
    WeightsFile::from_bytes("demo", WEIGHTS.to_vec()).unwrap()
}

/// The first images, as the network takes them.
fn images(count: usize) -> Vec<Vec<f32>> {
    let folder = tempfile::tempdir().unwrap();
    let (archive, list) = (folder.path().join("sample.tar"), folder.path().join("val_list.txt"));
    std::fs::write(&archive, SAMPLE_TAR).unwrap();
    std::fs::write(&list, VAL_LIST).unwrap();
    let dataset = Dataset::from_list(&list, &archive, CLASSES.len()).unwrap();
    let pipeline = weights().metadata().unwrap().pipeline.clone().unwrap();
    let pipeline: Pipeline = serde_json::from_value(pipeline).unwrap();
    let tensor = |sample: &hardnet_data::Sample| {
        let image = decode(&sample.archived().unwrap().read().unwrap(), &DecodeLimits::default()).unwrap().image;
        pipeline.tensor(&image).unwrap()
    };
    dataset.samples.iter().take(count).map(tensor).collect()
}

/// A network in f32 and in integers, over some images.
struct Compared {
    /// Signal to noise of each node's map but the image, in dB.
    decibels: Vec<f64>,
    /// Images of the same class.
    agreeing: usize,
}

impl Compared {
    /// That of the logits.
    fn logits(&self) -> f64 {
        *self.decibels.last().unwrap()
    }
}

fn compare(graph: &Graph, parameters: &dyn Parameters, quantized: &Quantized, images: &[Vec<f32>]) -> Compared {
    let nodes: Vec<NodeId> = (1..graph.nodes().len()).collect();
    let options = PlanOptions::default().size(SIZE.0, SIZE.1);
    let mut plan = Plan::with_maps(graph, &nodes, parameters, &options).unwrap();
    let shapes = plan.tap_shapes().to_vec();
    let (mut sums, mut agreeing) = (vec![(0.0, 0.0); nodes.len()], 0);
    for image in images {
        let output = plan.run(&[image]).unwrap();
        let maps = reference::run(graph, quantized, image, SIZE, &HashMap::new()).unwrap();
        let mut rest = &output[..];
        for ((&id, shape), (signal, noise)) in nodes.iter().zip(&shapes).zip(&mut sums) {
            let mut values = maps[id].values();
            if let Some(units) = quantized.units(&graph.nodes()[id].name) {
                units.apply(&mut values, shape.height * shape.width);
            }
            for (&exact, found) in rest.iter().zip(values) {
                *signal += f64::from(exact).powi(2);
                *noise += f64::from(exact - found).powi(2);
            }
            rest = &rest[shape.count()..];
        }
        let top = |logits: &[f32]| (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
        agreeing += usize::from(top(rest) == top(&maps.last().unwrap().values()));
    }
    Compared { decibels: sums.iter().map(|(signal, noise)| 10.0 * (signal / noise).log10()).collect(), agreeing }
}

#[test]
fn the_network_of_the_demonstration_keeps_its_maps_and_classes() {
    let (file, images) = (weights(), images(24));
    let graph = Graph::new(file.config()).unwrap().inference();
    let quantized = quantize(&graph, &file.parameters(), &QuantizeOptions::default()).unwrap();
    let found = compare(&graph, &file.parameters(), &quantized, &images);
    assert!(found.logits() > 33.0 && found.agreeing == images.len(), "{} dB, {}", found.logits(), found.agreeing);
    let worst = found.decibels.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(worst > 18.0, "{worst} dB");
}

#[test]
fn errors_of_layers_are_those_of_the_reference_for_any_batch() {
    let (file, images) = (weights(), images(5));
    let graph = Graph::new(file.config()).unwrap().inference();
    let quantized = quantize(&graph, &file.parameters(), &QuantizeOptions::default()).unwrap();
    let errors = |batch: usize| {
        let options = PlanOptions::default().size(SIZE.0, SIZE.1).batch(batch).batch_invariant(true);
        let mut errors = LayerErrors::new(&graph, &file.parameters(), &quantized, &options).unwrap();
        errors.add(&images[..1]).unwrap();
        errors.add(&images[1..]).unwrap();
        assert_eq!(errors.images(), images.len());
        errors.decibels()
    };
    let found = errors(3);
    assert_eq!(found, errors(1));
    let expected = compare(&graph, &file.parameters(), &quantized, &images).decibels;
    for ((name, decibels), expected) in found.iter().zip(&expected) {
        assert!((decibels.unwrap() - expected).abs() < 0.1, "{name}: {decibels:?} dB, {expected} by the reference");
    }
    assert_eq!(found.len(), expected.len());
}

#[test]
fn measured_ranges_keep_the_maps_too() {
    let (file, images) = (weights(), images(412));
    let graph = Graph::new(file.config()).unwrap().inference();
    let options = PlanOptions::default().size(SIZE.0, SIZE.1).batch(4);
    let mut calibrator = Calibrator::new(&graph, &file.parameters(), &options).unwrap();
    let (tested, measured) = images.split_at(12);
    let logits = calibrator.add(measured).unwrap();
    let calibration = calibrator.finish();
    assert_eq!((logits.len(), calibration.images()), (10 * measured.len(), measured.len()));
    for (method, least) in
        [(RangeMethod::MinMax, 31.0), (RangeMethod::Percentile(99.99), 31.0), (RangeMethod::MeanSquaredError, 31.0)]
    {
        let quantized =
            quantize_calibrated(&graph, &file.parameters(), &calibration, method, &QuantizeOptions::default()).unwrap();
        let found = compare(&graph, &file.parameters(), &quantized, tested);
        assert!(found.logits() > least && found.agreeing == tested.len(), "{method}: {} dB", found.logits());
    }
}

#[test]
fn images_of_several_sizes_are_measured_together() {
    let file = weights();
    let graph = Graph::new(file.config()).unwrap();
    let (options, parameters) = (PlanOptions::default().size(SIZE.0, SIZE.1), file.parameters());
    let mut calibrator = Calibrator::new(&graph, &parameters, &options).unwrap();
    let quantized = |calibrator: Calibrator| {
        let calibration = calibrator.finish();
        let (method, options) = (RangeMethod::MinMax, QuantizeOptions::default());
        let quantized = quantize_calibrated(&graph, &parameters, &calibration, method, &options).unwrap();
        let layers = quantized.report().iter();
        (calibration.images(), layers.map(|layer| layer.range[1]).collect::<Vec<_>>())
    };
    // The same values in each channel: so are those of the first maps, but for the border.
    let (small, large) = (vec![0.5; 3 * SIZE.0 * SIZE.1], vec![2.5; 3 * 64 * 96]);
    calibrator.add(&[&small]).unwrap();
    assert!(calibrator.set_size(0, 1, &parameters).is_err());
    calibrator.add(&[&small]).unwrap();
    calibrator.set_size(64, 96, &parameters).unwrap();
    assert!(calibrator.add(&[&small]).is_err());
    calibrator.add(&[&large]).unwrap();
    let (images, both) = quantized(calibrator);
    let alone = |size: (usize, usize), image: &Vec<f32>| {
        let mut calibrator = Calibrator::new(&graph, &parameters, &options.size(size.0, size.1)).unwrap();
        calibrator.add(&[image]).unwrap();
        quantized(calibrator).1
    };
    let (small, large) = (alone(SIZE, &small), alone((64, 96), &large));
    let greatest: Vec<f64> = small.iter().zip(&large).map(|(small, large)| small.max(*large)).collect();
    assert_eq!(images, 3);
    assert!(small[0] < large[0], "{small:?} {large:?}");
    assert_eq!(both[0], greatest[0]);
}

#[test]
fn a_calibration_fits_its_network_alone() {
    let file = weights();
    let graph = Graph::new(file.config()).unwrap();
    let options = PlanOptions::default().size(SIZE.0, SIZE.1);
    let calibrator = || Calibrator::new(&graph, &file.parameters(), &options).unwrap();
    let quantize = |graph: &Graph, calibration: &Calibration| {
        let (method, options) = (RangeMethod::MinMax, QuantizeOptions::default());
        quantize_calibrated(graph, &Synthetic, calibration, method, &options).unwrap_err().to_string()
    };
    assert_eq!(quantize(&graph, &calibrator().finish()), "no images were measured, expected at least one");
    let mut calibrated = calibrator();
    calibrated.add(&images(1)).unwrap();
    let other = Graph::new(&Variant::HarDNet68.into()).unwrap();
    assert_eq!(quantize(&other, &calibrated.finish()), "`base.0` was measured in another network");
}

/// The same network with other channels: each output of a depthwise convolution is multiplied by a power of two, and
/// its readers' weights are divided by it.
struct Spread<'a> {
    graph: &'a Graph,
    parameters: &'a dyn Parameters,
}

impl Spread<'_> {
    fn factor(channel: usize) -> f32 {
        2.0_f32.powi((channel * 7 % 13) as i32 - 6)
    }

    fn is_spread(&self, id: NodeId) -> bool {
        matches!(self.graph.nodes()[id].op, Op::Conv(conv) if conv.is_depthwise())
    }
}

impl Parameters for Spread<'_> {
    fn values(&self, param: &ParamInfo) -> hardnet_params::Result<Vec<f32>> {
        let mut values = self.parameters.values(param)?;
        let node = self.graph.nodes().iter().find(|node| param.name.starts_with(&format!("{}.", node.name))).unwrap();
        let id = self.graph.find(&node.name).unwrap();
        match param.kind {
            ParamKind::NormWeight | ParamKind::NormBias if self.is_spread(id) => {
                values.iter_mut().zip(0..).for_each(|(value, channel)| *value *= Self::factor(channel));
            }
            ParamKind::ConvWeight if !self.is_spread(id) => {
                let channels = node.inputs.iter().flat_map(|&input| {
                    let spread = self.is_spread(input);
                    (0..self.graph.nodes()[input].out_channels)
                        .map(move |channel| if spread { Self::factor(channel) } else { 1.0 })
                });
                let taps = values.len() / node.in_channels / node.out_channels;
                let factors: Vec<f32> = channels.flat_map(|factor| std::iter::repeat_n(factor, taps)).collect();
                values.iter_mut().zip(factors.iter().cycle()).for_each(|(value, factor)| *value /= factor);
            }
            _ => {}
        }
        Ok(values)
    }
}

#[test]
fn equalization_makes_the_scales_of_channels_irrelevant() {
    let (file, images) = (weights(), images(6));
    let graph = Graph::new(file.config()).unwrap().inference();
    let parameters = file.parameters();
    let spread = Spread { graph: &graph, parameters: &parameters };
    let run = |equalize: bool, parameters: &dyn Parameters| {
        let quantized = quantize(&graph, parameters, &QuantizeOptions::default().equalize(equalize)).unwrap();
        compare(&graph, parameters, &quantized, &images).logits()
    };
    let (plain, with, without) = (run(true, &parameters), run(true, &spread), run(false, &spread));
    assert!((plain - with).abs() < 1.0 && plain > 33.0, "{with} dB, and {plain} dB before");
    assert!(without < plain - 15.0, "{without} dB without equalization, {plain} dB with it");
}
