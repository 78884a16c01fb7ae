//! Plans of 8-bit integers: against themselves by other instruction sets, threads and batches, and against f32.

mod naive;

use hardnet_engine::{Isa, Plan, PlanOptions};
use hardnet_graph::{Config, Graph, ModuleKind, NodeId, ParamInfo, Variant};
use hardnet_params::synthetic::{self, Synthetic};
use hardnet_params::{ChannelUnits, MapQuantization, Parameters, QuantizedLayer, QuantizedParameters};
use naive::Naive;

fn images(config: &Config, count: usize, height: usize, width: usize) -> Vec<Vec<f32>> {
    let values = synthetic::values("x", &[count, config.in_channels, height, width]);
    values.chunks(config.in_channels * height * width).map(<[f32]>::to_vec).collect()
}

/// The graph without its head, which is computed in f32.
fn body(config: &Config) -> Graph {
    let graph = Graph::new(config).unwrap();
    let last = graph.modules().iter().rposition(|module| module.kind != ModuleKind::Head).unwrap();
    graph.truncated(last)
}

/// Sets with fused multiply-add agree to the last bit; the portable one rounds the first convolution's sums otherwise.
#[test]
fn results_do_not_depend_on_instructions_threads_or_batches() {
    for variant in [Variant::HarDNet39Ds, Variant::HarDNet68] {
        let config = Config::from(variant);
        let (graph, naive) = (body(&config), Naive::new(&config).unwrap());
        let images = images(&config, 3, 61, 99);
        let run = |isa: Isa, threads: usize, batch: usize| {
            let options = PlanOptions::default().size(61, 99).batch(batch).threads(threads).isa(isa);
            Plan::quantized_graph(&graph, &[], &naive, &options).unwrap().run(&images).unwrap()
        };
        let mut sets = Isa::available();
        let expected = run(sets.pop().unwrap(), 1, 1);
        assert!(expected.iter().any(|&value| value != 0.0), "{variant}");
        for isa in sets {
            let found = run(isa, 1, 3);
            if isa != Isa::Portable {
                assert_eq!(found, expected, "{variant} on {isa}");
            }
            assert_eq!(run(isa, 3, 2), found, "{variant} on {isa} by 3 threads");
        }
        assert_eq!(run(Isa::best(), 2, 2), expected, "{variant} by 2 threads");
    }
}

/// The angle between logits of integers and of f32 is small, even with one scale for all maps, and so is the memory.
#[test]
fn plans_of_integers_are_near_those_of_f32_and_smaller() {
    for variant in Variant::ALL {
        let config = Config::from(variant);
        let images = images(&config, 1, 224, 224);
        let options = PlanOptions::default();
        let mut integers = Plan::quantized(&config, &Naive::new(&config).unwrap(), &options).unwrap();
        let mut floats = Plan::new(&config, &Synthetic, &options).unwrap();
        let (found, expected) = (integers.run(&images).unwrap(), floats.run(&images).unwrap());
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        let cosine = dot(&found, &expected) / (dot(&found, &found) * dot(&expected, &expected)).sqrt();
        assert!(cosine > 0.9, "{variant}: {cosine}");
        let (small, large) = (integers.memory(), floats.memory());
        assert!(small.weights < large.weights && small.arena < large.arena, "{variant}: {small:?}, {large:?}");
        let macs = |plan: &Plan| plan.steps().iter().map(|step| step.macs).sum::<u64>();
        assert_eq!(macs(&integers), macs(&floats), "{variant}");
        let mut times = vec![std::time::Duration::ZERO; integers.steps().len()];
        assert_eq!(integers.profile(&images, &mut times).unwrap(), found);
    }
}

/// A source whose maps are in other units.
struct Units(Naive);

impl Parameters for Units {
    fn values(&self, param: &ParamInfo) -> hardnet_params::Result<Vec<f32>> {
        self.0.values(param)
    }
}

impl QuantizedParameters for Units {
    fn map(&self, node: &str) -> Option<MapQuantization> {
        self.0.map(node)
    }

    fn layer(&self, node: &str) -> hardnet_params::Result<Option<QuantizedLayer>> {
        self.0.layer(node)
    }

    fn units(&self, node: &str) -> Option<ChannelUnits> {
        (node == "base.1").then(|| ChannelUnits::new((0..64).map(|channel| channel as f32).collect(), vec![0.5; 64]))
    }
}

#[test]
fn maps_are_given_in_the_units_of_the_network() {
    let config = Config::from(Variant::HarDNet68);
    let graph = Graph::new(&config).unwrap();
    let node: NodeId = graph.inference().find("base.1").unwrap();
    let images = images(&config, 2, 64, 64);
    let options = PlanOptions::default().size(64, 64).batch(2);
    let naive = Naive::new(&config).unwrap();
    let plain = Plan::quantized_graph(&graph, &[node], &naive, &options).unwrap().run(&images).unwrap();
    let found = Plan::quantized_graph(&graph, &[node], &Units(naive), &options).unwrap().run(&images).unwrap();
    let (pixels, image) = (32 * 32, plain.len() / 2);
    for (at, (&found, &plain)) in found.iter().zip(&plain).enumerate() {
        let channel = at % image / pixels;
        assert_eq!(found, if channel < 64 { channel as f32 * plain + 0.5 } else { plain }, "{at}");
    }
}
