//! Layers with the shapes that they have in the networks, named after them; the throughput is that of direct
//! convolutions' operations.

#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hardnet_kernels::{Algorithm, Builder, Clamp, Conv, FeatureMap, Filter, Isa, Program, Shape};

/// A convolution of maps of `inputs` channels, which a first layer makes of an image of one channel.
struct LayerShape {
    name: &'static str,
    inputs: &'static [usize],
    side: usize,
    conv: Conv,
    algorithms: &'static [Algorithm],
    depthwise: Option<usize>,
}

const fn three(name: &'static str, inputs: &'static [usize], side: usize, channels: usize) -> LayerShape {
    let algorithms = &[Algorithm::Direct, Algorithm::Winograd2, Algorithm::Winograd4, Algorithm::Winograd4OnTheFly];
    LayerShape { name, inputs, side, conv: Conv::new(channels, 3), algorithms, depthwise: None }
}

const fn pair(name: &'static str, inputs: &'static [usize], side: usize, channels: usize, stride: usize) -> LayerShape {
    let conv = Conv::new(channels, 1);
    LayerShape { name, inputs, side, conv, algorithms: &[Algorithm::Direct], depthwise: Some(stride) }
}

/// The widest layer of each size of map in HarDNet68, and pairs of a pointwise and a depthwise convolution of
/// HarDNet39DS.
const SHAPES: [LayerShape; 8] = [
    three("hardnet68/base.1", &[32], 112, 64),
    three("hardnet68/base.3.layers.7", &[14, 24, 40, 64], 56, 68),
    three("hardnet68/base.6.layers.15", &[20, 34, 58, 98, 256], 28, 168),
    three("hardnet68/base.11.layers.15", &[40, 68, 116, 196, 320], 14, 334),
    three("hardnet68/base.14.layers.3", &[160, 272, 640], 7, 462),
    pair("hardnet39ds/base.3.layers.3", &[16, 26, 48], 56, 40, 1),
    pair("hardnet39ds/base.7-8", &[20, 20, 20, 20, 20, 20, 20, 20, 132], 28, 320, 2),
    pair("hardnet39ds/base.9.layers.7", &[64, 102, 164, 320], 14, 262, 1),
];

fn program(shape: &LayerShape, algorithm: Algorithm, threads: usize, bias: f64) -> Program {
    let size = Shape { channels: 1, height: shape.side, width: shape.side };
    let (mut builder, image) = Builder::new(Isa::best(), threads, size).expect("a builder");
    let filter = |outputs: usize, each: usize| (vec![0.01; outputs * each], vec![1.0; outputs], vec![bias; outputs]);
    let add = |builder: &mut Builder, inputs: &[FeatureMap], conv: &Conv, algorithm, each: usize| {
        let (weights, scale, bias) = filter(conv.channels, each);
        let filter = Filter { weights: &weights, scale: &scale, bias: &bias };
        builder.conv(inputs, conv, Clamp::RELU6, algorithm, &filter).expect("a convolution")
    };
    let first = |&channels: &usize| add(&mut builder, &[image], &Conv::new(channels, 1), Algorithm::Direct, 1);
    let inputs: Vec<FeatureMap> = shape.inputs.iter().map(first).collect();
    let each = shape.inputs.iter().sum::<usize>() * shape.conv.kernel.0 * shape.conv.kernel.1;
    let mut map = add(&mut builder, &inputs, &shape.conv, algorithm, each);
    if let Some(stride) = shape.depthwise {
        let (weights, scale, bias) = filter(shape.conv.channels, 9);
        let conv = Conv::depthwise(shape.conv.channels).stride(stride);
        let filter = Filter { weights: &weights, scale: &scale, bias: &bias };
        map = builder.conv(&[map], &conv, Clamp::NONE, Algorithm::Direct, &filter).expect("a depthwise convolution");
    }
    builder.finish(&[map], 1).expect("a program")
}

fn layers(criterion: &mut Criterion) {
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    for shape in &SHAPES {
        let mut group = criterion.benchmark_group(shape.name);
        for &algorithm in shape.algorithms {
            for threads in if all == 1 { vec![1] } else { vec![1, all] } {
                let mut program = program(shape, algorithm, threads, 0.1);
                let macs: u64 = program.steps().iter().map(|step| step.macs).sum();
                group.throughput(Throughput::Elements(2 * macs));
                let image = vec![0.5; program.input_len()];
                let mut output = vec![0.0; program.output_len()];
                group.bench_function(BenchmarkId::new(format!("{algorithm:?}"), threads), |bencher| {
                    bencher.iter(|| program.run(&[&image], black_box(&mut output)).expect("a run"));
                });
            }
        }
        group.finish();
    }
}

/// Denormals among ordinary values through a whole layer.
fn denormals(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("denormals");
    for shape in [&SHAPES[2], &SHAPES[6]] {
        for &algorithm in shape.algorithms {
            let mut program = program(shape, algorithm, 1, 0.0);
            let mut output = vec![0.0; program.output_len()];
            for (name, value) in [("ordinary", 0.5), ("denormal", 1e-39)] {
                let image = vec![value; program.input_len()];
                group.bench_function(BenchmarkId::new(format!("{} {algorithm:?}", shape.name), name), |bencher| {
                    bencher.iter(|| program.run(&[&image], black_box(&mut output)).expect("a run"));
                });
            }
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(std::time::Duration::from_secs(1));
    targets = layers, denormals
}
criterion_main!(benches);
