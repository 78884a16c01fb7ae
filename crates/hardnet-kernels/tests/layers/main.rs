//! Every kernel against a loop in f64, over sizes around the lanes and tiles, odd strides and borders, on every
//! instruction set that the machine has.

mod interpolation;
#[path = "../oracle/mod.rs"]
mod oracle;

use hardnet_kernels::{Algorithm, Builder, Clamp, FeatureMap, Filter, Isa, Padding, Pool, PoolKind, Program, Shape};
use oracle::{Conv, Depthwise, Tensor, random};

/// A network of one layer after 1x1 convolutions that make its inputs, since an image is interleaved.
struct Bench {
    builder: Builder,
    inputs: Vec<FeatureMap>,
    images: Vec<Vec<f32>>,
    /// For each image, the inputs.
    values: Vec<Vec<Tensor>>,
}

const IMAGES: usize = 3;

/// Inputs of these channels, whose values are random and of both signs, and zero now and then.
fn bench(isa: Isa, threads: usize, channels: &[usize], height: usize, width: usize) -> Bench {
    let total: usize = channels.iter().sum();
    let size = Shape { channels: total, height, width };
    let (mut builder, image) = Builder::new(isa, threads, size).unwrap();
    let images: Vec<Vec<f32>> = (0..IMAGES).map(|n| random(n as u64 + 7, size.count())).collect();
    let mut inputs = Vec::new();
    let mut first = 0;
    for &count in channels {
        // The identity on channels `first..first + count`.
        let mut weights = vec![0.0; count * total];
        (0..count).for_each(|channel| weights[channel * total + first + channel] = 1.0);
        let conv = Conv { channels: count, kernel: 1, stride: 1, padding: Padding::default(), clamp: Clamp::NONE };
        let filter = Filter { weights: &weights, scale: &vec![1.0; count], bias: &vec![0.0; count] };
        inputs.push(conv.add(&mut builder, &[image], Algorithm::Direct, &filter));
        first += count;
    }
    let values = images
        .iter()
        .map(|image| {
            let mut rest = &image[..];
            let part = |&count: &usize| {
                let (values, others) = rest.split_at(count * height * width);
                rest = others;
                Tensor::new(count, height, width, values)
            };
            channels.iter().map(part).collect()
        })
        .collect();
    Bench { builder, inputs, images, values }
}

impl Bench {
    /// Runs the program whose output is `map` and compares every image's output with `expected` of its inputs.
    fn check(self, map: FeatureMap, tolerance: f64, what: &str, expected: impl Fn(&[Tensor]) -> Tensor) {
        self.check_all(&[map], tolerance, what, expected);
    }

    /// The same with the concatenation of `maps`; gives the program.
    fn check_all(
        self,
        maps: &[FeatureMap],
        tolerance: f64,
        what: &str,
        expected: impl Fn(&[Tensor]) -> Tensor,
    ) -> Program {
        // Two at a time, so that the last turn is smaller.
        let mut program = self.builder.finish(maps, 2).unwrap();
        let mut output = vec![f32::NAN; IMAGES * program.output_len()];
        for _ in 0..2 {
            program.run(&self.images, &mut output).unwrap();
        }
        for (found, inputs) in output.chunks(program.output_len()).zip(&self.values) {
            let expected = expected(inputs);
            assert_eq!(found.len(), expected.values.len(), "{what}");
            for (at, (&found, &expected)) in found.iter().zip(&expected.values).enumerate() {
                let difference = (f64::from(found) - expected).abs();
                assert!(difference <= tolerance, "{what}: value {at} is {found}, expected {expected}");
            }
        }
        program
    }
}

/// Instruction sets and numbers of threads.
fn machines() -> Vec<(Isa, usize)> {
    Isa::of_f32().into_iter().flat_map(|isa| [(isa, 1), (isa, 3)]).collect()
}

struct Parameters {
    weights: Vec<f32>,
    scale: Vec<f64>,
    bias: Vec<f64>,
}

impl Parameters {
    fn new(outputs: usize, per_output: usize) -> Self {
        let bound = (2.0 / per_output as f32).sqrt();
        let weights = random(1, outputs * per_output).into_iter().map(|weight| weight * bound).collect();
        let scale = random(2, outputs).into_iter().map(|scale| f64::from(scale) + 1.5).collect();
        let bias = random(3, outputs).into_iter().map(f64::from).collect();
        Self { weights, scale, bias }
    }

    fn filter(&self) -> Filter<'_> {
        Filter { weights: &self.weights, scale: &self.scale, bias: &self.bias }
    }
}

fn check_conv(channels: &[usize], height: usize, width: usize, conv: &Conv, algorithm: Algorithm, tolerance: f64) {
    let inputs: usize = channels.iter().sum();
    let parameters = Parameters::new(conv.channels, inputs * conv.kernel * conv.kernel);
    for (isa, threads) in machines() {
        let what = format!("{isa} x{threads} {algorithm:?} {channels:?} {height}x{width} {conv:?}");
        let mut bench = bench(isa, threads, channels, height, width);
        let map = conv.add(&mut bench.builder, &bench.inputs, algorithm, &parameters.filter());
        bench.check(map, tolerance, &what, |inputs| {
            oracle::conv(&Tensor::concatenation(inputs), &parameters.filter(), conv)
        });
    }
}

#[test]
fn direct_convolutions() {
    for (kernel, stride, padding) in [
        (1, 1, Padding::default()),
        (1, 2, Padding::default()),
        (3, 1, Padding::all(1)),
        (3, 2, Padding::all(1)),
        (3, 2, Padding { top: 1, left: 1, bottom: 0, right: 0 }),
        (3, 3, Padding { top: 0, left: 2, bottom: 1, right: 1 }),
        (5, 2, Padding::all(2)),
    ] {
        for (inputs, outputs, height, width) in [
            (&[1][..], 1, 5, 5),
            (&[7, 8, 9], 15, 6, 7),
            (&[16], 16, 7, 7),
            (&[3, 17], 17, 5, 13),
            (&[9], 24, 9, 5),
            (&[8, 1], 41, 14, 14),
            // Panels of five and of three blocks, sums of many products.
            (&[9, 24], 39, 15, 14),
            (&[40], 23, 3, 31),
        ] {
            let clamp = Clamp { low: -0.75, high: 1.25 };
            let conv = Conv { channels: outputs, kernel, stride, padding, clamp };
            check_conv(inputs, height, width, &conv, Algorithm::Direct, 1e-5);
        }
    }
}

#[test]
fn winograd_convolutions() {
    use Algorithm::{Winograd2, Winograd2OnTheFly, Winograd4, Winograd4OnTheFly};
    for algorithm in [Winograd2, Winograd4, Winograd2OnTheFly, Winograd4OnTheFly] {
        for (inputs, outputs, height, width) in [
            (&[1][..], 1, 1, 1),
            (&[7, 8, 9], 15, 2, 3),
            (&[16], 16, 4, 4),
            (&[3, 17], 17, 7, 7),
            (&[9, 24], 24, 8, 9),
            (&[8, 1], 41, 14, 13),
            // Several chunks of input channels, whose last is not whole, and several tasks of panels.
            (&[90, 13], 70, 9, 6),
            // The same for four tiles of one image.
            (&[90, 13], 70, 7, 8),
            // Several tile blocks to an image, and across images.
            (&[5], 7, 32, 33),
        ] {
            let clamp = Clamp { low: -0.75, high: 1.25 };
            let conv = Conv { channels: outputs, kernel: 3, stride: 1, padding: Padding::all(1), clamp };
            check_conv(inputs, height, width, &conv, algorithm, 2e-5);
        }
    }
}

#[test]
fn depthwise_convolutions() {
    for (stride, padding) in [
        (1, Padding::all(1)),
        (2, Padding::all(1)),
        (2, Padding { top: 1, left: 1, bottom: 0, right: 0 }),
        (1, Padding::default()),
    ] {
        for (channels, height, width) in [(1, 3, 3), (7, 4, 5), (8, 7, 7), (9, 8, 6), (17, 29, 31)] {
            let conv = Depthwise { stride, padding, clamp: Clamp { low: -0.75, high: 1.25 } };
            let parameters = Parameters::new(channels, 9);
            for (isa, threads) in machines() {
                let what = format!("{isa} x{threads} {channels} {height}x{width} {conv:?}");
                let mut bench = bench(isa, threads, &[channels], height, width);
                let map = conv.add(&mut bench.builder, bench.inputs[0], &parameters.filter());
                bench.check(map, 1e-5, &what, |inputs| oracle::depthwise(&inputs[0], &parameters.filter(), &conv));
            }
        }
    }
}

#[test]
fn pools_and_means() {
    for (kernel, stride, padding) in
        [(2, 2, Padding::default()), (3, 2, Padding::all(1)), (3, 1, Padding { top: 2, left: 0, bottom: 1, right: 2 })]
    {
        for kind in [PoolKind::Max, PoolKind::Average] {
            for (channels, height, width) in [(1, 3, 3), (7, 5, 4), (8, 7, 7), (9, 8, 9)] {
                let pool = Pool::new(kind, kernel, stride).padding(padding);
                for (isa, threads) in machines() {
                    let what = format!("{isa} x{threads} {channels} {height}x{width} {pool:?}");
                    let mut bench = bench(isa, threads, &[channels], height, width);
                    let map = bench.builder.pool(bench.inputs[0], &pool).unwrap();
                    bench.check(map, 1e-6, &what, |inputs| oracle::pool(&inputs[0], &pool));
                }
            }
        }
    }
    for (isa, threads) in machines() {
        let mut bench = bench(isa, threads, &[13], 7, 5);
        let map = bench.builder.mean(bench.inputs[0]).unwrap();
        bench.check(map, 1e-6, "mean", |inputs| oracle::mean(&inputs[0]));
    }
}

#[test]
fn linear_layers() {
    for (inputs, outputs) in [(1, 1), (7, 9), (8, 8), (9, 7), (64, 17), (33, 100)] {
        let parameters = Parameters::new(outputs, inputs);
        let conv = Conv { channels: outputs, kernel: 1, stride: 1, padding: Padding::default(), clamp: Clamp::NONE };
        for (isa, threads) in machines() {
            let mut bench = bench(isa, threads, &[inputs], 3, 2);
            let mean = bench.builder.mean(bench.inputs[0]).unwrap();
            let map = bench.builder.linear(mean, outputs, &parameters.filter()).unwrap();
            bench.check(map, 2e-4, &format!("{isa} x{threads} {inputs} to {outputs}"), |inputs| {
                oracle::conv(&oracle::mean(&inputs[0]), &parameters.filter(), &conv)
            });
        }
    }
}

/// Sets with fused multiply-add compute every sum in one order, whatever the width of their vectors.
#[test]
fn wide_vectors_change_no_bit() {
    let fused: Vec<Isa> = Isa::of_f32().into_iter().filter(|isa| isa.is_fused()).collect();
    for (channels, outputs, height, width) in [(&[20][..], 17, 7, 7), (&[9, 24], 70, 14, 13), (&[90, 13], 39, 9, 30)] {
        for algorithm in Algorithm::ALL {
            let run = |&isa: &Isa| {
                let mut bench = bench(isa, 2, channels, height, width);
                let clamp = Clamp::RELU6;
                let conv = Conv { channels: outputs, kernel: 3, stride: 1, padding: Padding::all(1), clamp };
                let parameters = Parameters::new(outputs, channels.iter().sum::<usize>() * 9);
                let map = conv.add(&mut bench.builder, &bench.inputs, algorithm, &parameters.filter());
                let conv = Depthwise { stride: 1, padding: Padding::all(1), clamp };
                let map = conv.add(&mut bench.builder, map, &Parameters::new(outputs, 9).filter());
                let mut program = bench.builder.finish(&[map], 2).unwrap();
                let mut output = vec![f32::NAN; IMAGES * program.output_len()];
                program.run(&bench.images, &mut output).unwrap();
                output.into_iter().map(f32::to_bits).collect::<Vec<_>>()
            };
            let outputs: Vec<_> = fused.iter().map(run).collect();
            assert!(outputs.windows(2).all(|pair| pair[0] == pair[1]), "{algorithm:?} {channels:?} {height}x{width}");
        }
    }
}

/// Denormals in images and filters are flushed to zero.
#[test]
fn denormals_are_flushed() {
    let size = Shape { channels: 3, height: 8, width: 8 };
    // Sums of nine are denormal too.
    let tiny = f32::MIN_POSITIVE / 16.0;
    let run = |isa: Isa, algorithm: Algorithm, pixel: f32, weight: f32, bias: f32| {
        let (mut builder, image) = Builder::new(isa, 1, size).unwrap();
        let conv = Conv { channels: 3, kernel: 3, stride: 1, padding: Padding::all(1), clamp: Clamp::NONE };
        let filter = |weight: f32, each: usize| (vec![weight; 3 * each], [1.0; 3], [f64::from(bias); 3]);
        let (weights, scale, bias) = filter(if weight == 1.0 { 1.0 } else { 0.5 }, 27);
        let first = Filter { weights: &weights, scale: &scale, bias: &[0.0; 3] };
        let map = conv.add(&mut builder, &[image], Algorithm::Direct, &first);
        let (weights, ..) = filter(weight, 27);
        let filter = Filter { weights: &weights, scale: &scale, bias: &bias };
        let map = conv.add(&mut builder, &[map], algorithm, &filter);
        let mut program = builder.finish(&[map], 1).unwrap();
        let mut output = vec![f32::NAN; program.output_len()];
        program.run(&[vec![pixel; size.count()]], &mut output).unwrap();
        output
    };
    for isa in Isa::of_f32() {
        for algorithm in Algorithm::ALL {
            for (pixel, weight, bias) in [(tiny, 1.0, 0.0), (1e30, tiny, 0.0), (1.0, 0.0, tiny), (-tiny, 1.0, -tiny)] {
                let found = run(isa, algorithm, pixel, weight, bias);
                assert!(found.iter().all(|&value| value == 0.0), "{isa} {algorithm:?} {pixel:e} {weight:e} {bias:e}");
            }
        }
    }
}

/// Maps of other sizes lie where earlier ones died, so what is around the pixels is not zero before a layer writes it.
#[test]
fn borders_are_zero_where_other_maps_lay() {
    let wide = Conv { channels: 16, kernel: 3, stride: 1, padding: Padding::all(1), clamp: Clamp::NONE };
    let strided = Conv { channels: 24, stride: 2, ..wide };
    let convs = [wide, strided, wide, Conv { channels: 40, ..wide }, strided, wide];
    for algorithm in [Algorithm::Direct, Algorithm::Winograd2, Algorithm::Winograd4, Algorithm::Winograd4OnTheFly] {
        for (isa, threads) in machines() {
            let mut bench = bench(isa, threads, &[8], 19, 15);
            let mut map = bench.inputs[0];
            let (mut channels, mut layers) = (8, Vec::new());
            for conv in convs {
                let parameters = Parameters::new(conv.channels, channels * conv.kernel * conv.kernel);
                let algorithm = if conv.stride == 1 { algorithm } else { Algorithm::Direct };
                map = conv.add(&mut bench.builder, &[map], algorithm, &parameters.filter());
                channels = conv.channels;
                layers.push((conv, parameters));
            }
            bench.check(map, 2e-4, &format!("{isa} x{threads} {algorithm:?}"), |inputs| {
                let first = Tensor::concatenation(inputs);
                layers.iter().fold(first, |map, (conv, parameters)| oracle::conv(&map, &parameters.filter(), conv))
            });
        }
    }
}

/// An output is kept while later layers, whose maps would fit in its place, are computed.
#[test]
fn outputs_in_the_middle_are_kept() {
    let conv = Conv { channels: 8, kernel: 3, stride: 1, padding: Padding::all(1), clamp: Clamp::RELU6 };
    let parameters = Parameters::new(8, 72);
    for (isa, threads) in machines() {
        let mut bench = bench(isa, threads, &[8], 7, 6);
        let mut maps = vec![bench.inputs[0]];
        for _ in 0..4 {
            let last = maps[maps.len() - 1];
            maps.push(conv.add(&mut bench.builder, &[last], Algorithm::Direct, &parameters.filter()));
        }
        bench.check_all(&[maps[1], maps[4]], 2e-4, &format!("{isa} x{threads}"), |inputs| {
            let layer = |map: &Tensor| oracle::conv(map, &parameters.filter(), &conv);
            let first = layer(&inputs[0]);
            let last = layer(&layer(&layer(&first)));
            Tensor::concatenation(&[first, last])
        });
    }
}

/// A map that is read with one map by a small window and with another by a larger one: all three have the same
/// halo.
#[test]
fn maps_that_share_readers_have_one_halo() {
    let one = Conv { channels: 5, kernel: 1, stride: 1, padding: Padding::default(), clamp: Clamp::NONE };
    let five = Conv { channels: 9, kernel: 5, stride: 1, padding: Padding::all(2), clamp: Clamp::NONE };
    let parameters = [Parameters::new(5, 12), Parameters::new(9, 13 * 25)];
    for (isa, threads) in machines() {
        let mut bench = bench(isa, threads, &[3, 9, 4], 7, 6);
        let [a, b, c] = bench.inputs[..] else { panic!("three inputs") };
        let x = one.add(&mut bench.builder, &[a, b], Algorithm::Direct, &parameters[0].filter());
        let y = five.add(&mut bench.builder, &[b, c], Algorithm::Direct, &parameters[1].filter());
        bench.check_all(&[x, y], 1e-4, &format!("{isa} x{threads}"), |inputs| {
            let x = oracle::conv(&Tensor::concatenation(&inputs[..2]), &parameters[0].filter(), &one);
            let y = oracle::conv(&Tensor::concatenation(&inputs[1..]), &parameters[1].filter(), &five);
            Tensor::concatenation(&[x, y])
        });
    }
}
