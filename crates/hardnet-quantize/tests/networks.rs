//! Quantized networks: what the contract of `hardnet_params` demands of them, and what is refused.

use hardnet_graph::{
    Activation, Config, Conv, Graph, GraphBuilder, Op, ParamInfo, ParamKind, Pointwise, SegmentationVariant, Variant,
};
use hardnet_params::synthetic::{self, Synthetic};
use hardnet_params::{Metadata, Parameters, Quantization, QuantizedParameters, write_quantized};
use hardnet_quantize::{Error, QuantizeOptions, quantize, quantize_lazily};

fn graph(variant: Variant) -> Graph {
    Graph::new(&Config::from(variant).with_classes(10)).unwrap()
}

#[test]
fn maps_that_are_concatenated_have_one_scale_and_pools_keep_theirs() {
    for variant in [Variant::HarDNet39Ds, Variant::HarDNet68] {
        let graph = graph(variant).inference();
        for equalize in [false, true] {
            let options = QuantizeOptions::default().equalize(equalize).clip_weights(false);
            let quantized = quantize(&graph, &Synthetic, &options).unwrap();
            for node in graph.nodes() {
                let map = |id: usize| quantized.map(&graph.nodes()[id].name);
                let layer = quantized.layer(&node.name).unwrap();
                match &node.op {
                    Op::Conv(conv) if node.inputs != [0] => {
                        let layer = layer.expect("all but the first convolution are integer ones");
                        let taps = conv.kernel.0 * conv.kernel.1 * conv.channels_read(node.in_channels);
                        let counts = [layer.weights.len(), layer.scale.len(), layer.bias.len()];
                        assert_eq!(counts, [node.out_channels * taps, node.out_channels, node.out_channels]);
                        assert!(layer.weights.iter().all(|&weight| weight > -128));
                        assert!(layer.scale.iter().all(|&scale| scale > 0.0 && scale.is_finite()));
                        let first = map(node.inputs[0]).unwrap().scale;
                        assert!(node.inputs.iter().all(|&id| map(id).unwrap().scale == first), "{}", node.name);
                        let zero_point = if node.after.activation.is_some() { 0 } else { 128 };
                        assert_eq!(quantized.map(&node.name).unwrap().zero_point, zero_point, "{}", node.name);
                    }
                    Op::Conv(_) => assert!(layer.is_none() && quantized.map(&node.name).is_some()),
                    Op::Pool(_) => {
                        assert_eq!(map(node.inputs[0]), quantized.map(&node.name));
                        assert_eq!(quantized.units(&graph.nodes()[node.inputs[0]].name), quantized.units(&node.name));
                    }
                    _ => assert!(layer.is_none() && quantized.map(&node.name).is_none(), "{}", node.name),
                }
            }
        }
    }
}

#[test]
fn pools_and_interpolations_of_segmentation_networks_keep_maps_and_pixels_are_classified_in_f32() {
    for variant in SegmentationVariant::ALL {
        let graph = Graph::new(&Config::from(variant)).unwrap().inference();
        let quantized = quantize(&graph, &Synthetic, &QuantizeOptions::default()).unwrap();
        let (mut pools, mut interpolations, mut floats) = (0, 0, Vec::new());
        for node in graph.nodes() {
            let input = node.inputs.first().map(|&id| graph.nodes()[id].name.as_str());
            let map = quantized.map(&node.name);
            match node.op {
                Op::Pool(_) | Op::Upsample(_) if map.is_some() => {
                    let input = input.unwrap();
                    assert_eq!((map, quantized.units(&node.name)), (quantized.map(input), quantized.units(input)));
                    *(if matches!(node.op, Op::Pool(_)) { &mut pools } else { &mut interpolations }) += 1;
                }
                Op::Conv(conv) if !conv.bias => assert_eq!(map.map(|map| map.zero_point), Some(0)),
                _ => assert_eq!(map, None, "{}", node.name),
            }
            if quantized.layer(&node.name).unwrap().is_none() && matches!(node.op, Op::Conv(_)) {
                floats.push(node.name.as_str());
            }
        }
        assert!(pools == 4 && interpolations >= 4, "{pools} {interpolations}");
        assert_eq!(floats.len(), 2, "{floats:?}");
    }
}

#[test]
fn the_parameters_of_layers_in_f32_are_there_and_those_of_integer_layers_are_not() {
    let graph = graph(Variant::HarDNet39Ds);
    let quantized = quantize(&graph, &Synthetic, &QuantizeOptions::default()).unwrap();
    for param in graph.params() {
        let values = quantized.values(&param);
        if param.name.starts_with("base.0.") || param.name.starts_with("base.14.") {
            assert_eq!(values.unwrap().len(), param.count(), "{}", param.name);
        } else {
            let message = format!("`{}` is stored in 8-bit integers, expected floating point", param.name);
            assert_eq!(values.unwrap_err().to_string(), message);
        }
    }
}

#[test]
fn without_equalization_scales_hold_the_ranges() {
    let options = QuantizeOptions::default().equalize(false);
    let graph = graph(Variant::HarDNet68);
    let quantized = quantize(&graph, &Synthetic, &options).unwrap();
    for node in graph.inference().nodes() {
        if let Some(map) = quantized.map(&node.name) {
            assert!(map.scale <= 6.0 / 255.0 && map.scale > 5.0 / 255.0, "{}: {}", node.name, map.scale);
            assert_eq!(quantized.units(&node.name), None);
        }
    }
}

fn relu() -> Config {
    let mut config = Config::from(Variant::HarDNet68);
    config.activation = Activation::Relu;
    config
}

/// Parameters whose normalizations a reader of folded models has made up.
struct Folded;

impl Parameters for Folded {
    fn values(&self, param: &ParamInfo) -> hardnet_params::Result<Vec<f32>> {
        Ok(match param.kind {
            ParamKind::NormWeight => vec![1.0; param.count()],
            ParamKind::RunningMean => vec![0.0; param.count()],
            ParamKind::RunningVar => vec![1.0 - 1e-5; param.count()],
            _ => synthetic::values(&param.name, &param.shape),
        })
    }
}

#[test]
fn without_statistics_relu6_gives_the_ranges_and_its_absence_is_an_error() {
    let quantized = quantize(&graph(Variant::HarDNet68), &Folded, &QuantizeOptions::default()).unwrap();
    assert!(quantized.report().iter().all(|layer| layer.range == [0.0, 6.0] && layer.spread == 1.0));
    for graph in [graph(Variant::HarDNet39Ds), Graph::new(&relu()).unwrap()] {
        let error = quantize(&graph, &Folded, &QuantizeOptions::default()).unwrap_err();
        let Error::NoStatistics { node } = error else { panic!("{error}") };
        assert_eq!(node, if graph.name() == "hardnet39ds" { "base.2" } else { "base.0" });
    }
}

#[test]
fn relu_without_a_bound_takes_its_range_from_the_normalization() {
    let quantized = quantize(&Graph::new(&relu()).unwrap(), &Synthetic, &QuantizeOptions::default()).unwrap();
    assert!(quantized.report().iter().all(|layer| layer.zero_point == 0 && layer.range[1] > 6.0));
}

#[test]
fn what_has_no_form_in_integers_is_refused_by_name() {
    let mut builder = GraphBuilder::new("residual", 3);
    let stem = builder.conv("stem", &[0], Conv::new(8, 3), Pointwise::NORM_RELU6);
    let conv = builder.conv("conv", &[stem], Conv::new(8, 3), Pointwise::NORM);
    let sum = builder.add("sum", &[stem, conv], Pointwise::NONE);
    let graph = builder.finish(&[sum]).unwrap();
    let error = quantize(&graph, &Synthetic, &QuantizeOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "`sum` cannot be quantized: no kernel computes it");
}

#[test]
fn values_that_are_not_finite_are_refused_by_name() {
    struct Infinite;
    impl Parameters for Infinite {
        fn values(&self, param: &ParamInfo) -> hardnet_params::Result<Vec<f32>> {
            let mut values = synthetic::values(&param.name, &param.shape);
            if param.name == "base.1.norm.bias" {
                values[1] = f32::INFINITY;
            }
            Ok(values)
        }
    }
    let (graph, options) = (graph(Variant::HarDNet68), QuantizeOptions::default());
    let error = quantize(&graph, &Infinite, &options).unwrap_err();
    assert_eq!(error.to_string(), "`base.1.norm.bias` has values that are not finite");
    let error = quantize_lazily(&graph, &Infinite, &options).err().unwrap();
    assert_eq!(error.to_string(), "`base.1.norm.bias` has values that are not finite");
}

#[test]
fn layers_that_are_computed_when_they_are_read_are_the_same() {
    for (variant, equalize) in [(Variant::HarDNet39Ds, true), (Variant::HarDNet68, true), (Variant::HarDNet68, false)] {
        let graph = graph(variant);
        let options = QuantizeOptions::default().equalize(equalize);
        let written = |quantized: &dyn QuantizedParameters| {
            let mut metadata = Metadata::new(Config::from(variant).with_classes(10));
            metadata.quantization = Some(Quantization::new("without images", 0));
            let mut bytes = Vec::new();
            write_quantized(&metadata, quantized, &mut bytes).unwrap();
            bytes
        };
        let (held, lazy) =
            (quantize(&graph, &Synthetic, &options).unwrap(), quantize_lazily(&graph, &Synthetic, &options).unwrap());
        assert!(written(&held) == written(&lazy), "{variant}");
        for node in graph.inference().nodes() {
            let integers = held.layer(&node.name).unwrap().is_some();
            assert_eq!([held.has_integers(&node.name).unwrap(), lazy.has_integers(&node.name).unwrap()], [integers; 2]);
        }
    }
}
