//! The engine's integer layers against the reference, bit for bit.

use std::collections::HashMap;

use hardnet_engine::{Isa, Plan, PlanOptions};
use hardnet_graph::{Config, Graph, NodeId, ParamInfo, SegmentationVariant, Variant};
use hardnet_params::synthetic::{self, Synthetic};
use hardnet_params::{MapQuantization, Parameters, QuantizedLayer, QuantizedParameters};
use hardnet_quantize::reference::{self, Map};
use hardnet_quantize::{QuantizeOptions, Quantized, quantize};

const SIZE: (usize, usize) = (40, 56);

/// A quantized network whose maps are given as they are, without the units of their channels.
struct Raw(Quantized);

impl Parameters for Raw {
    fn values(&self, param: &ParamInfo) -> hardnet_params::Result<Vec<f32>> {
        self.0.values(param)
    }
}

impl QuantizedParameters for Raw {
    fn map(&self, node: &str) -> Option<MapQuantization> {
        self.0.map(node)
    }

    fn layer(&self, node: &str) -> hardnet_params::Result<Option<QuantizedLayer>> {
        self.0.layer(node)
    }
}

/// The bytes that a map in f32 stands for.
fn bytes(values: &[f32], map: MapQuantization) -> Vec<u8> {
    let byte = |&value: &f32| {
        let q = map.quantize(value);
        assert_eq!(map.value(q), value);
        q
    };
    values.iter().map(byte).collect()
}

fn config(variant: impl Into<Config>, blocks: usize) -> Config {
    let mut config = variant.into().with_classes(5);
    config.blocks.truncate(blocks);
    config
}

#[test]
fn every_instruction_set_computes_the_bytes_of_the_reference() {
    for config in [
        config(Variant::HarDNet68, 2),
        config(Variant::HarDNet39Ds, 2),
        config(SegmentationVariant::FcHarDNet70, 3),
        config(SegmentationVariant::PaddleSeg, 3),
    ] {
        let graph = Graph::new(&config).unwrap().inference();
        let image = synthetic::values("x", &[1, 3, SIZE.0, SIZE.1]);
        for equalize in [true, false] {
            let options = QuantizeOptions::default().equalize(equalize);
            let quantized = Raw(quantize(&graph, &Synthetic, &options).unwrap());
            let nodes: Vec<NodeId> = (1..graph.nodes().len()).collect();
            for isa in Isa::available() {
                let options = PlanOptions::default().size(SIZE.0, SIZE.1).isa(isa);
                let mut plan = Plan::quantized_graph(&graph, &nodes, &quantized, &options).unwrap();
                let output = plan.run(&[&image]).unwrap();
                let mut rest = &output[..];
                let mut maps: HashMap<NodeId, &[f32]> = HashMap::new();
                for (&id, shape) in nodes.iter().zip(plan.tap_shapes()) {
                    let (map, after) = rest.split_at(shape.count());
                    maps.insert(id, map);
                    rest = after;
                }
                // The first convolution is one of f32, whose sums the engine rounds in another order.
                let stem = quantized.map(&graph.nodes()[1].name).unwrap();
                let given = HashMap::from([(1, Map::Bytes(bytes(maps[&1], stem), stem))]);
                let expected = reference::run(&graph, &quantized, &image, SIZE, &given).unwrap();
                let mut compared = 0;
                for &id in &nodes {
                    if let Map::Bytes(expected, map) = &expected[id] {
                        assert!(*expected == bytes(maps[&id], *map), "{} on {isa}", graph.nodes()[id].name);
                        compared += 1;
                    }
                }
                assert!(compared > 20, "{compared} maps");
                let logits = expected.last().unwrap().values();
                let worst = rest.iter().zip(&logits).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                let most = logits.iter().map(|logit| logit.abs()).fold(1.0, f32::max);
                assert!(worst < 1e-4 * most, "logits differ by {worst} on {isa}");
            }
        }
    }
}
