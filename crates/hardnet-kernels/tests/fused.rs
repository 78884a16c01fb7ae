//! Fused layers against loops in f64, over strides, borders and sizes, on every instruction set that the
//! machine has.

#[allow(dead_code)]
mod oracle;

use hardnet_kernels::{Algorithm, Builder, Clamp, Filter, Isa, Padding, Pool, PoolKind, Shape, StepInfo};
use oracle::{Conv, Depthwise, Tensor, random};

struct Parameters {
    weights: Vec<f32>,
    scale: Vec<f64>,
    bias: Vec<f64>,
}

impl Parameters {
    fn new(outputs: usize, per_output: usize) -> Self {
        let bound = (3.0 / per_output as f32).sqrt();
        let weights = random(1, outputs * per_output).into_iter().map(|weight| weight * bound).collect();
        let bias = random(3, outputs).into_iter().map(f64::from).collect();
        Self { weights, scale: vec![1.0; outputs], bias }
    }

    fn filter(&self) -> Filter<'_> {
        Filter { weights: &self.weights, scale: &self.scale, bias: &self.bias }
    }
}

/// The layers after the image.
enum Layer {
    Conv(Conv, Parameters),
    Depthwise(Depthwise, Parameters),
    Pool(Pool),
}

fn conv(inputs: usize, channels: usize, kernel: usize, stride: usize, padding: Padding) -> Layer {
    let conv = Conv { channels, kernel, stride, padding, clamp: Clamp { low: -0.5, high: 1.5 } };
    Layer::Conv(conv, Parameters::new(channels, inputs * kernel * kernel))
}

fn depthwise(channels: usize, stride: usize, padding: Padding) -> Layer {
    Layer::Depthwise(Depthwise { stride, padding, clamp: Clamp::RELU6 }, Parameters::new(channels, 9))
}

/// Runs the layers one after the other on an image, and returns how many steps the program has.
fn check(size: Shape, layers: &[Layer]) -> usize {
    const IMAGES: usize = 3;
    let images: Vec<Vec<f32>> = (0..IMAGES).map(|n| random(n as u64 + 7, size.count())).collect();
    let mut most = 0;
    for isa in Isa::of_f32() {
        for threads in [1, 3] {
            let (mut builder, mut map) = Builder::new(isa, threads, size).unwrap();
            for layer in layers {
                map = match layer {
                    Layer::Conv(conv, parameters) => {
                        conv.add(&mut builder, &[map], Algorithm::Direct, &parameters.filter())
                    }
                    Layer::Depthwise(conv, parameters) => conv.add(&mut builder, map, &parameters.filter()),
                    Layer::Pool(pool) => builder.pool(map, pool).unwrap(),
                };
            }
            let mut program = builder.finish(&[map], 2).unwrap();
            let computes = |step: &&StepInfo| step.fused_into.is_none() && step.stores.is_none();
            most = most.max(program.steps().iter().filter(computes).count());
            let mut output = vec![f32::NAN; IMAGES * program.output_len()];
            for _ in 0..2 {
                program.run(&images, &mut output).unwrap();
            }
            for (found, image) in output.chunks(program.output_len()).zip(&images) {
                let image = Tensor::new(size.channels, size.height, size.width, image);
                let expected = layers.iter().fold(image, |map, layer| match layer {
                    Layer::Conv(conv, parameters) => oracle::conv(&map, &parameters.filter(), conv),
                    Layer::Depthwise(conv, parameters) => oracle::depthwise(&map, &parameters.filter(), conv),
                    Layer::Pool(pool) => oracle::pool(&map, pool),
                });
                assert_eq!(found.len(), expected.values.len());
                for (at, (&found, &expected)) in found.iter().zip(&expected.values).enumerate() {
                    let difference = (f64::from(found) - expected).abs();
                    assert!(
                        difference <= 2e-5,
                        "{isa} x{threads} {size:?}: value {at} is {found}, expected {expected}"
                    );
                }
            }
        }
    }
    most
}

const TOP_LEFT: Padding = Padding::top_left(1);

/// The image, two convolutions and a depthwise one; the larger size takes several turns.
#[test]
fn the_front_of_a_network_is_one_step() {
    for (height, width) in [(3, 3), (9, 8), (33, 31), (150, 161)] {
        for padding in [Padding::all(1), TOP_LEFT] {
            for stride in [1, 2] {
                let layers = [
                    conv(3, 17, 3, 2, padding),
                    conv(17, 40, 1, 1, Padding::default()),
                    depthwise(40, stride, Padding::all(1)),
                ];
                let size = Shape { channels: 3, height, width };
                assert_eq!(check(size, &layers), 1, "{size:?}");
            }
        }
    }
}

#[test]
fn convolutions_and_what_follows_them() {
    let pool = |kind| Layer::Pool(Pool::new(kind, 2, 2));
    let mut fewest = usize::MAX;
    for (height, width) in [(4, 4), (7, 7), (14, 15), (56, 60)] {
        for channels in [1, 8, 9, 24, 41] {
            let lasts = [
                depthwise(channels, 1, Padding::all(1)),
                depthwise(channels, 2, TOP_LEFT),
                pool(PoolKind::Max),
                pool(PoolKind::Average),
            ];
            for last in lasts {
                // The first layers belong to no group: the first depthwise convolution ends one at most.
                let layers = [
                    conv(2, 10, 3, 1, Padding::all(1)),
                    conv(10, 12, 1, 1, Padding::default()),
                    depthwise(12, 1, Padding::all(1)),
                    conv(12, channels, 1, 1, Padding::default()),
                    last,
                ];
                fewest = fewest.min(check(Shape { channels: 2, height, width }, &layers));
            }
        }
    }
    assert_eq!(fewest, 2);
}

/// A fused group counts as one step that reads what its first layer reads and writes what its last one writes.
#[test]
fn fused_groups_count_their_layers() {
    let size = Shape { channels: 3, height: 33, width: 31 };
    let (mut builder, image) = Builder::new(Isa::best(), 2, size).unwrap();
    let first = Conv { channels: 17, kernel: 3, stride: 2, padding: Padding::all(1), clamp: Clamp::RELU6 };
    let second = Conv { channels: 40, kernel: 1, stride: 1, padding: Padding::default(), clamp: Clamp::RELU6 };
    let last = Depthwise { stride: 2, padding: Padding::all(1), clamp: Clamp::RELU6 };
    let map = first.add(&mut builder, &[image], Algorithm::Direct, &Parameters::new(17, 27).filter());
    let map = second.add(&mut builder, &[map], Algorithm::Direct, &Parameters::new(40, 17).filter());
    let map = last.add(&mut builder, map, &Parameters::new(40, 9).filter());
    let program = builder.finish(&[map], 1).unwrap();
    let (group, before) = program.steps().split_last().unwrap();
    assert!(before.iter().all(|step| step.fused_into == Some(3) && (step.macs, step.bytes, step.weights) == (0, 0, 0)));
    assert_eq!(group.kernel, "fused");
    let (middle, end) = (17 * 16, 9 * 8);
    assert_eq!(group.macs, middle * (17 * 27 + 40 * 17) + end * 40 * 9);
    assert_eq!(group.bytes, 4 * (3 * 33 * 31 + 40 * end));
    // Weights are packed for whole blocks of eight channels.
    assert_eq!(group.weights, 4 * (24 * 27 + 40 * 17 + 40 * 9));
}

/// Maps of other sizes lie where earlier ones died, so what is around the pixels of a group's map is not zero before it
/// is written.
#[test]
fn borders_behind_fused_groups_are_zero() {
    let three = |inputs, channels| conv(inputs, channels, 3, 1, Padding::all(1));
    let one = |inputs, channels| conv(inputs, channels, 1, 1, Padding::default());
    let layers = [
        conv(2, 10, 3, 1, Padding::all(1)),
        one(10, 12),
        depthwise(12, 1, Padding::all(1)),
        three(12, 40),
        one(40, 24),
        depthwise(24, 1, Padding::all(1)),
        three(24, 16),
        one(16, 32),
        depthwise(32, 2, Padding::all(1)),
        three(32, 8),
    ];
    check(Shape { channels: 2, height: 17, width: 14 }, &layers);
}

/// A map that something else reads too is not inside a group.
#[test]
fn maps_with_other_readers_are_kept() {
    let size = Shape { channels: 2, height: 9, width: 9 };
    let (mut builder, image) = Builder::new(Isa::best(), 2, size).unwrap();
    let parameters = [Parameters::new(8, 2), Parameters::new(8, 9)];
    let one = Conv { channels: 8, kernel: 1, stride: 1, padding: Padding::default(), clamp: Clamp::NONE };
    let three = Depthwise { stride: 1, padding: Padding::all(1), clamp: Clamp::NONE };
    let first = one.add(&mut builder, &[image], Algorithm::Direct, &parameters[0].filter());
    let second = three.add(&mut builder, first, &parameters[1].filter());
    let mut program = builder.finish(&[first, second], 1).unwrap();
    let values = random(5, size.count());
    let mut output = vec![f32::NAN; program.output_len()];
    program.run(&[&values], &mut output).unwrap();
    let first = oracle::conv(&Tensor::new(2, 9, 9, &values), &parameters[0].filter(), &one);
    let second = oracle::depthwise(&first, &parameters[1].filter(), &three);
    for (found, expected) in output.iter().zip(first.values.iter().chain(&second.values)) {
        assert!((f64::from(*found) - expected).abs() < 1e-5);
    }
}
