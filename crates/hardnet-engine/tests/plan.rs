//! Plans without Candle: against PyTorch in float64, and against themselves by other threads and batches.

use hardnet_engine::{Isa, Plan, PlanOptions};
use hardnet_graph::{Config, Conv, Graph, GraphBuilder, ParamInfo, Pointwise, Pool, Variant};
use hardnet_params::Parameters;
use hardnet_params::synthetic::{self, Synthetic};
use hardnet_testing::golden::golden;

fn options(height: usize, width: usize, batch: usize) -> PlanOptions {
    PlanOptions::default().size(height, width).batch(batch)
}

fn images(config: &Config, count: usize, height: usize, width: usize) -> Vec<Vec<f32>> {
    let values = synthetic::values("x", &[count, config.in_channels, height, width]);
    values.chunks(config.in_channels * height * width).map(<[f32]>::to_vec).collect()
}

fn worst(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    // `f32::max` would hide what is not a number.
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |worst, d| if d > worst || d.is_nan() { d } else { worst })
}

#[test]
fn logits_agree_with_pytorch_in_float64() {
    for variant in [Variant::HarDNet39Ds, Variant::HarDNet68] {
        let config = Config::from(variant);
        for isa in Isa::of_f32() {
            let options = options(224, 224, 1).isa(isa);
            let logits = Plan::new(&config, &Synthetic, &options).unwrap().run(&images(&config, 1, 224, 224)).unwrap();
            let worst = worst(&logits, &golden(variant.name()).logits);
            assert!(worst < 2e-4, "{variant} on {isa}: logits differ by {worst}");
        }
    }
}

/// Neither threads nor the company of other images change a bit.
#[test]
fn results_do_not_depend_on_threads_or_batches() {
    for variant in [Variant::HarDNet68, Variant::HarDNet39Ds] {
        let config = Config::from(variant);
        let images = images(&config, 5, 61, 99);
        for isa in Isa::of_f32() {
            let run = |threads: usize, batch: usize| {
                let options = options(61, 99, batch).threads(threads).isa(isa);
                Plan::new(&config, &Synthetic, &options).unwrap().run(&images).unwrap()
            };
            let one = run(1, 4);
            for threads in [2, 3, 5] {
                assert_eq!(run(threads, 4), one, "{variant} on {isa} by {threads} threads");
            }
        }
    }
}

/// With algorithms chosen as for one image, an image in a batch has the logits that it has alone, to the last bit:
/// whatever the batch, the threads, and how full a batch is. The sizes have maps of one to a few tiles of 4x4 outputs,
/// for which batches would be computed by other algorithms.
#[test]
fn logits_of_a_batch_invariant_plan_are_those_of_each_image_alone() {
    for variant in Variant::ALL {
        let config = Config::from(variant).with_classes(10);
        for (height, width) in [(64, 64), (128, 96)] {
            let images = images(&config, 5, height, width);
            for isa in Isa::of_f32() {
                let plan = |batch: usize, threads: usize| {
                    let options = options(height, width, batch).threads(threads).isa(isa).batch_invariant(true);
                    Plan::new(&config, &Synthetic, &options).unwrap()
                };
                let mut single = plan(1, 1);
                let alone: Vec<f32> = images.iter().flat_map(|image| single.run(&[image]).unwrap()).collect();
                for (batch, threads) in [(2, 1), (5, 2), (8, 3)] {
                    let found = plan(batch, threads).run(&images).unwrap();
                    assert_eq!(found, alone, "{variant} {height}x{width} on {isa}: batches of {batch}");
                }
            }
        }
    }
}

/// Without the option, algorithms are chosen for the batch.
#[test]
fn algorithms_are_chosen_for_the_batch_or_for_one_image() {
    let config = Config::from(Variant::HarDNet68);
    // Which layers are fused depends on the batch too, but changes no sum.
    let kernels = |options: &PlanOptions| -> Vec<_> {
        let steps = Plan::new(&config, &Synthetic, options).unwrap().steps();
        steps.iter().map(|step| step.kernel).filter(|kernel| kernel.contains("4x4") || kernel.contains("2x2")).collect()
    };
    let options = |batch: usize| options(64, 64, batch).isa(Isa::Portable);
    assert_ne!(kernels(&options(16)), kernels(&options(1)));
    assert_eq!(kernels(&options(16).batch_invariant(true)), kernels(&options(1)));
}

/// A network of your own: what the kernels compute is what the graph says, and what they do not is named.
#[test]
fn other_networks_are_compiled_or_refused_by_the_name_of_the_layer() {
    let image = vec![0.5; 3 * 16 * 16];
    let build = |after: Pointwise| {
        let mut builder = GraphBuilder::new("own", 3);
        let stem = builder.conv("stem", &[0], Conv::new(8, 3).stride(2), Pointwise::NORM_RELU);
        let a = builder.conv("a", &[stem], Conv::new(16, 3), Pointwise::NORM_RELU6);
        let b = builder.conv("b", &[stem, a], Conv::new(8, 1), after);
        let pool = builder.pool("pool", &[b], Pool::max(2, 2));
        builder.finish(&[pool]).unwrap()
    };
    let options = options(16, 16, 1);
    let mut plan = Plan::from_graph(&build(Pointwise::NORM), &Synthetic, &options).unwrap();
    assert_eq!(plan.output_shape().to_string(), "8x4x4");
    assert_eq!(plan.run(&[image]).unwrap().len(), plan.output_len());
    // Normalization is what a convolution's bias comes from.
    let error = Plan::from_graph(&build(Pointwise::RELU), &Synthetic, &options).unwrap_err();
    assert_eq!(error.to_string(), "no kernel computes `b`");
}

#[test]
fn the_maps_of_all_nodes_are_those_of_modules_and_the_logits_stay() {
    let graph = Graph::new(&Config::from(Variant::HarDNet39Ds)).unwrap().inference();
    let (options, image) = (options(64, 64, 1), images(&Variant::HarDNet39Ds.into(), 1, 64, 64));
    let run = |mut plan: Plan| (plan.tap_shapes().to_vec(), plan.run(&image).unwrap());
    let nodes: Vec<_> = (1..graph.nodes().len()).collect();
    let (shapes, maps) = run(Plan::with_maps(&graph, &nodes, &Synthetic, &options).unwrap());
    let modules: Vec<_> = (0..graph.modules().len()).collect();
    let (module_shapes, of_modules) = run(Plan::with_taps(&graph, &modules, &Synthetic, &options).unwrap());
    let start = |id: usize| shapes[..id - 1].iter().map(|shape| shape.count()).sum::<usize>();
    let mut of_modules = &of_modules[..];
    for (module, shape) in graph.modules().iter().zip(module_shapes) {
        let nodes = module.outputs.iter().flat_map(|&id| &maps[start(id)..start(id) + shapes[id - 1].count()]);
        let (map, rest) = of_modules.split_at(shape.count());
        assert!(nodes.eq(map), "{}", module.name);
        of_modules = rest;
    }
    assert_eq!(of_modules, &maps[start(nodes.len() + 1)..]);
}

#[test]
fn fused_steps_name_the_step_that_computes_them() {
    let config = Config::from(Variant::HarDNet39Ds);
    let steps = Plan::new(&config, &Synthetic, &options(224, 224, 1)).unwrap().steps();
    assert!(steps.iter().any(|step| step.fused_into.is_some()));
    for (at, step) in steps.iter().enumerate() {
        if let Some(other) = step.fused_into {
            assert!(other > at && steps[other].fused_into.is_none(), "{} at {at}: {other}", step.name);
            assert_eq!((step.macs, step.map_bytes, step.weight_bytes), (0, 0, 0));
        }
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let config = Config::from(Variant::HarDNet39Ds);
    let message = |options: &PlanOptions| Plan::new(&config, &Synthetic, options).unwrap_err().to_string();
    assert!(message(&options(1, 0, 1)).contains("too small"));
    assert!(message(&options(1 << 16, 224, 1)).contains("too large"));

    struct Short;
    impl Parameters for Short {
        fn values(&self, param: &ParamInfo) -> hardnet_params::Result<Vec<f32>> {
            Ok(vec![0.0; param.count() - 1])
        }
    }
    let error = Plan::new(&config, &Short, &options(64, 64, 1)).unwrap_err().to_string();
    assert_eq!(error, "`base.0.norm.weight` has 23 values, expected 24");

    let mut plan = Plan::new(&config, &Synthetic, &options(64, 64, 1)).unwrap();
    let error = plan.run(&[vec![0.0; 5]]).unwrap_err().to_string();
    assert_eq!(error, "an image has 5 values, expected 12288");
    assert!(plan.run::<Vec<f32>>(&[]).unwrap().is_empty());
}

#[test]
fn a_plan_can_move_to_another_thread_and_be_shared() {
    fn check<T: Send + Sync>() {}
    check::<Plan>();
}
