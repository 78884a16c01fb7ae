//! Layers of bytes against loops in i64, to the last bit, on every instruction set that the machine has, for several
//! numbers of threads and images.

use hardnet_graph::Alignment;
use hardnet_kernels::{
    Algorithm, Builder, Clamp, Conv, Error, FeatureMap, Filter, Isa, Padding, Pool, Program, Quantization,
    QuantizedFilter, Shape,
};

const IMAGES: usize = 3;

/// The scale of all inputs: a power of two, so that images of f32 give their bytes exactly.
const SCALE: f32 = 1.0 / 32.0;

/// A map of bytes: `[channels, height, width]`, with its zero point.
#[derive(Clone)]
struct Bytes {
    channels: usize,
    height: usize,
    width: usize,
    zero_point: u8,
    values: Vec<u8>,
}

impl Bytes {
    /// The value less the zero point, which surrounds the map.
    fn get(&self, channel: usize, y: isize, x: isize) -> i64 {
        let inside = (0..self.height as isize).contains(&y) && (0..self.width as isize).contains(&x);
        if !inside {
            return 0;
        }
        let value = self.values[(channel * self.height + y as usize) * self.width + x as usize];
        i64::from(value) - i64::from(self.zero_point)
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 20
    }

    /// Bytes, the bounds among them.
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let byte = |value: u64| [0, 255, value as u8, (value >> 8) as u8][(value >> 16) as usize % 4];
        (0..count).map(|_| byte(self.next())).collect()
    }

    fn weights(&mut self, count: usize) -> Vec<i8> {
        self.bytes(count).into_iter().map(|byte| byte.cast_signed().max(-127)).collect()
    }
}

/// Inputs of some channels and zero points, for each image.
struct Inputs(Vec<Vec<Bytes>>);

impl Inputs {
    fn new(maps: &[(usize, u8)], height: usize, width: usize) -> Self {
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let mut map = |&(channels, zero_point): &(usize, u8)| {
            let values = random.bytes(channels * height * width);
            Bytes { channels, height, width, zero_point, values }
        };
        Self((0..IMAGES).map(|_| maps.iter().map(&mut map).collect()).collect())
    }

    /// The images that give these inputs.
    fn images(&self) -> Vec<Vec<f32>> {
        let value = |map: &Bytes, byte: u8| SCALE * (f32::from(byte) - f32::from(map.zero_point));
        let image = |maps: &Vec<Bytes>| {
            maps.iter().flat_map(|map| map.values.iter().map(|&byte| value(map, byte)).collect::<Vec<_>>()).collect()
        };
        self.0.iter().map(image).collect()
    }

    /// A program under construction, and the maps.
    fn builder(&self, isa: Isa, threads: usize) -> (Builder, Vec<FeatureMap>) {
        let maps = &self.0[0];
        let total: usize = maps.iter().map(|map| map.channels).sum();
        let size = Shape { channels: total, height: maps[0].height, width: maps[0].width };
        let (mut builder, image) = Builder::new(isa, threads, size).unwrap();
        let mut first = 0;
        let inputs = maps.iter().map(|map| {
            // The identity on channels `first..first + count`.
            let count = map.channels;
            let mut weights = vec![0.0; count * total];
            (0..count).for_each(|channel| weights[channel * total + first + channel] = 1.0);
            first += count;
            let filter = Filter { weights: &weights, scale: &vec![1.0; count], bias: &vec![0.0; count] };
            let conv = Conv::new(count, 1);
            let floats = builder.conv(&[image], &conv, Clamp::NONE, Algorithm::Direct, &filter).unwrap();
            builder.quantize(floats, Quantization { scale: SCALE, zero_point: map.zero_point }).unwrap()
        });
        let inputs = inputs.collect();
        (builder, inputs)
    }

    /// Runs programs of all instruction sets and some threads, two images at a time, and compares every output with
    /// `expected` of an image's inputs.
    fn check(
        &self,
        what: &str,
        add: impl Fn(&mut Builder, &[FeatureMap]) -> FeatureMap,
        expected: impl Fn(&[Bytes]) -> Vec<f32>,
    ) {
        let expected: Vec<f32> = self.0.iter().flat_map(|maps| expected(maps)).collect();
        let images = self.images();
        for isa in Isa::available() {
            for (threads, batch) in [(1, 2), (3, 1), (2, 3)] {
                let (mut builder, inputs) = self.builder(isa, threads);
                // Tiles of both sizes.
                builder.expect_images(if threads == 3 { 1 } else { 1000 });
                let map = add(&mut builder, &inputs);
                let mut program: Program = builder.finish(&[map], batch).unwrap();
                let mut found = vec![f32::NAN; IMAGES * program.output_len()];
                for _ in 0..2 {
                    program.run(&images, &mut found).unwrap();
                }
                assert_eq!(found.len(), expected.len(), "{what}");
                let wrong = found.iter().zip(&expected).position(|(found, expected)| found != expected);
                if let Some(at) = wrong {
                    panic!("{what} on {isa} x{threads}: value {at} is {}, expected {}", found[at], expected[at]);
                }
            }
        }
    }
}

struct Parameters {
    weights: Vec<i8>,
    scale: Vec<f32>,
    bias: Vec<f32>,
}

impl Parameters {
    /// Results of about 60 units of [`SCALE`] on either side of zero.
    fn new(outputs: usize, per_output: usize) -> Self {
        let mut random = Random(77);
        let weights = random.weights(outputs * per_output);
        let unit = SCALE / (150.0 * (per_output as f32).sqrt());
        let mut number = || (random.next() % 1000) as f32 / 1000.0 + 0.5;
        let scale = (0..outputs).map(|_| unit * number()).collect();
        let bias = (0..outputs).map(|_| 60.0 * SCALE * (number() - 1.0)).collect();
        Self { weights, scale, bias }
    }

    fn filter(&self) -> QuantizedFilter<'_> {
        QuantizedFilter { weights: &self.weights, scale: &self.scale, bias: &self.bias }
    }

    /// The contract's arithmetic from a sum to a result.
    fn result(&self, channel: usize, sum: i64, output: Option<Quantization>, clamp: Clamp) -> f32 {
        let sum = i32::try_from(sum).unwrap() as f32;
        let (scale, bias) = (self.scale[channel], self.bias[channel]);
        let Some(map) = output else { return (sum * scale + bias).max(clamp.low).min(clamp.high) };
        let (unit, zero) = (f64::from(map.scale), f64::from(map.zero_point));
        let (m, b) = ((f64::from(scale) / unit) as f32, (f64::from(bias) / unit + zero) as f32);
        let low = (f64::from(clamp.low) / unit + zero).round_ties_even().max(0.0);
        let high = (f64::from(clamp.high) / unit + zero).round_ties_even().min(255.0);
        let byte = (sum * m + b).round_ties_even().max(low as f32).min(high as f32);
        map.scale * (byte - f32::from(map.zero_point))
    }
}

fn windows(map: &Bytes, kernel: usize, stride: usize, padding: Padding) -> Vec<(isize, isize)> {
    let height = (map.height + padding.top + padding.bottom - kernel) / stride + 1;
    let width = (map.width + padding.left + padding.right - kernel) / stride + 1;
    let first = |at: usize, padding: usize| (at * stride) as isize - padding as isize;
    (0..height).flat_map(|y| (0..width).map(move |x| (first(y, padding.top), first(x, padding.left)))).collect()
}

/// Where results go: bytes with a zero point of either kind, or f32.
const OUTPUTS: [(Option<Quantization>, Clamp); 3] = [
    (Some(Quantization { scale: 6.0 / 255.0, zero_point: 0 }), Clamp::RELU6),
    (Some(Quantization { scale: 0.021, zero_point: 128 }), Clamp::NONE),
    (None, Clamp { low: -0.75, high: 1.25 }),
];

fn check_conv(maps: &[(usize, u8)], (height, width): (usize, usize), conv: &Conv, kind: usize) {
    let inputs = Inputs::new(maps, height, width);
    let total: usize = maps.iter().map(|map| map.0).sum();
    let kernel = conv.kernel.0;
    let parameters = Parameters::new(conv.channels, total * kernel * kernel);
    let (output, clamp) = OUTPUTS[kind];
    inputs.check(
        &format!("{maps:?} {height}x{width} {conv:?} to {output:?}"),
        |builder, maps| builder.quantized_conv(maps, conv, clamp, output, &parameters.filter()).unwrap(),
        |maps| {
            let mut values = Vec::new();
            for channel in 0..conv.channels {
                for &(y, x) in &windows(&maps[0], kernel, conv.stride, conv.padding) {
                    let (mut sum, mut weights) = (0, parameters.weights[channel * total * kernel * kernel..].iter());
                    for (map, source) in maps.iter().flat_map(|map| (0..map.channels).map(move |at| (map, at))) {
                        for (i, j) in (0..kernel as isize).flat_map(|i| (0..kernel as isize).map(move |j| (i, j))) {
                            sum += i64::from(*weights.next().unwrap()) * map.get(source, y + i, x + j);
                        }
                    }
                    values.push(parameters.result(channel, sum, output, clamp));
                }
            }
            values
        },
    );
}

/// Channels and zero points of inputs, output channels, rows and columns.
type Case<'a> = (&'a [(usize, u8)], usize, usize, usize);

#[test]
fn dense_convolutions() {
    let windows = [
        (1, 1, Padding::default()),
        (3, 1, Padding::all(1)),
        (3, 2, Padding { top: 1, left: 1, bottom: 0, right: 0 }),
        (3, 3, Padding { top: 0, left: 2, bottom: 1, right: 1 }),
        (1, 2, Padding::default()),
        (5, 2, Padding::all(2)),
    ];
    let sizes: [Case<'_>; 8] = [
        (&[(1, 128)], 1, 5, 5),
        (&[(7, 0), (16, 128), (17, 3)], 15, 6, 7),
        (&[(16, 0)], 16, 7, 7),
        (&[(3, 255), (18, 128)], 17, 5, 13),
        // Panels of three blocks and of two, and of one.
        (&[(9, 0)], 41, 9, 15),
        (&[(8, 0), (1, 128)], 90, 14, 14),
        (&[(9, 5)], 80, 7, 7),
        (&[(40, 0)], 23, 3, 31),
    ];
    for (at, (kernel, stride, padding)) in windows.into_iter().enumerate() {
        for (nth, (maps, outputs, height, width)) in sizes.into_iter().enumerate() {
            let conv = Conv::new(outputs, kernel).stride(stride).padding(padding);
            check_conv(maps, (height, width), &conv, (at + nth) % OUTPUTS.len());
        }
    }
}

/// Convolutions that some sets compute by Winograd's algorithm: odd sizes, several tasks, panels of both widths.
#[test]
fn convolutions_of_3x3() {
    let sizes: [Case<'_>; 9] = [
        (&[(1, 128)], 1, 1, 1),
        (&[(7, 0), (16, 128), (17, 3)], 15, 2, 3),
        (&[(3, 255), (18, 128)], 33, 13, 14),
        (&[(90, 0), (13, 128)], 20, 7, 7),
        (&[(5, 0)], 18, 32, 33),
        (&[(75, 7)], 50, 12, 15),
        // Channels of several chunks; tiles past the last row and column, on sets with products of bytes too.
        (&[(150, 0), (161, 128)], 17, 8, 8),
        (&[(390, 3), (13, 0)], 33, 14, 14),
        (&[(90, 0), (13, 128)], 17, 8, 8),
    ];
    for (nth, (maps, outputs, height, width)) in sizes.into_iter().enumerate() {
        check_conv(maps, (height, width), &Conv::new(outputs, 3), nth % 2);
    }
}

#[test]
fn depthwise_convolutions() {
    for (at, (stride, padding)) in [
        (1, Padding::all(1)),
        (2, Padding::all(1)),
        (2, Padding { top: 1, left: 1, bottom: 0, right: 0 }),
        (1, Padding::default()),
    ]
    .into_iter()
    .enumerate()
    {
        let sizes = [(1, 0, 3, 3), (7, 128, 4, 5), (16, 0, 7, 7), (19, 255, 8, 6), (40, 7, 29, 31)];
        for (nth, (channels, zero_point, height, width)) in sizes.into_iter().enumerate() {
            let conv = Conv::depthwise(channels).stride(stride).padding(padding);
            let parameters = Parameters::new(channels, 9);
            let (output, clamp) = OUTPUTS[(at + nth) % OUTPUTS.len()];
            Inputs::new(&[(channels, zero_point)], height, width).check(
                &format!("{channels} {height}x{width} {conv:?} to {output:?}"),
                |builder, maps| builder.quantized_conv(maps, &conv, clamp, output, &parameters.filter()).unwrap(),
                |maps| {
                    let mut values = Vec::new();
                    for channel in 0..channels {
                        for &(y, x) in &windows(&maps[0], 3, stride, padding) {
                            let weights = parameters.weights[channel * 9..][..9].iter().enumerate();
                            let product = |(tap, &weight): (usize, &i8)| {
                                let (i, j) = (tap as isize / 3, tap as isize % 3);
                                i64::from(weight) * maps[0].get(channel, y + i, x + j)
                            };
                            values.push(parameters.result(channel, weights.map(product).sum(), output, clamp));
                        }
                    }
                    values
                },
            );
        }
    }
}

#[test]
fn pools_means_and_conversions() {
    for (channels, zero_point, height, width) in [(1, 0, 3, 3), (17, 128, 5, 4), (24, 9, 7, 7), (9, 0, 8, 300)] {
        let inputs = Inputs::new(&[(channels, zero_point)], height, width);
        let value = |map: &Bytes, channel: usize, y: isize, x: isize| SCALE * map.get(channel, y, x) as f32;
        let all = |map: &Bytes| -> Vec<f32> {
            let pixels = (0..height as isize).flat_map(|y| (0..width as isize).map(move |x| (y, x)));
            let pixels: Vec<_> = pixels.collect();
            (0..channels).flat_map(|channel| pixels.iter().map(move |&(y, x)| value(map, channel, y, x))).collect()
        };
        let what = format!("{channels} {height}x{width}");
        inputs.check(&what, |_, maps| maps[0], |maps| all(&maps[0]));
        inputs.check(&what, |builder, maps| builder.dequantize(maps[0]).unwrap(), |maps| all(&maps[0]));
        for pool in [Pool::max(2, 2), Pool::max(3, 2).padding(Padding::all(1))] {
            inputs.check(
                &format!("{what} {pool:?}"),
                |builder, maps| builder.pool(maps[0], &pool).unwrap(),
                |maps| {
                    let map = &maps[0];
                    let inside = |y, x| (0..height as isize).contains(&y) && (0..width as isize).contains(&x);
                    let side = 0..pool.kernel as isize;
                    let most = |channel: usize, (y, x): (isize, isize)| {
                        let window = side.clone().flat_map(|i| side.clone().map(move |j| (y + i, x + j)));
                        let values = window.filter(|&(y, x)| inside(y, x)).map(|(y, x)| value(map, channel, y, x));
                        values.fold(f32::NEG_INFINITY, f32::max)
                    };
                    let windows = windows(map, pool.kernel, pool.stride, pool.padding);
                    (0..channels).flat_map(|at| windows.iter().map(move |&window| most(at, window))).collect()
                },
            );
        }
        for pool in [Pool::average(2, 2), Pool::average(3, 1), Pool::average(3, 2).padding(Padding::all(1))] {
            inputs.check(
                &format!("{what} {pool:?}"),
                |builder, maps| builder.pool(maps[0], &pool).unwrap(),
                |maps| {
                    let map = &maps[0];
                    let side = 0..pool.kernel as isize;
                    let mean = |channel: usize, (y, x): (isize, isize)| {
                        let window = side.clone().flat_map(|i| side.clone().map(move |j| (y + i, x + j)));
                        let sum: i64 = window.map(|(y, x)| map.get(channel, y, x)).sum();
                        let zero = f64::from(zero_point);
                        let byte = (sum as f64 / (pool.kernel * pool.kernel) as f64 + zero).round_ties_even();
                        SCALE * (byte - zero) as f32
                    };
                    let windows = windows(map, pool.kernel, pool.stride, pool.padding);
                    (0..channels).flat_map(|at| windows.iter().map(move |&window| mean(at, window))).collect()
                },
            );
        }
        inputs.check(
            &format!("{what} mean"),
            |builder, maps| builder.mean(maps[0]).unwrap(),
            |maps| {
                let mean = |channel: usize| {
                    let rows = 0..height as isize;
                    let sum: i64 =
                        rows.flat_map(|y| (0..width as isize).map(move |x| maps[0].get(channel, y, x))).sum();
                    (sum as f64 * (f64::from(SCALE) / (height * width) as f64)) as f32
                };
                (0..channels).map(mean).collect()
            },
        );
    }
}

/// Weights at their bounds on inputs at theirs: instructions that saturate at 16 bits give less.
#[test]
fn extreme_sums_are_exact() {
    let channels = 700;
    let mut inputs = Inputs::new(&[(channels, 0)], 2, 3);
    inputs.0.iter_mut().for_each(|maps| maps[0].values.fill(255));
    let filter = QuantizedFilter { weights: &vec![127; channels * 9 * 17], scale: &[1.0; 17], bias: &[0.0; 17] };
    // To bytes, too large for tiles of 4x4 outputs.
    let millions = Quantization { scale: 1e6, zero_point: 0 };
    for output in [None, Some(millions)] {
        inputs.check(
            "extreme sums",
            |builder, maps| builder.quantized_conv(maps, &Conv::new(17, 3), Clamp::NONE, output, &filter).unwrap(),
            |_| {
                // Windows of two rows, and of two or three columns.
                let pixel = |x: usize| (2 * if x == 1 { 3 } else { 2 } * channels * 255 * 127) as f32;
                let value = |x: usize| output.map_or(pixel(x), |map| (pixel(x) * 1e-6).round_ties_even() * map.scale);
                (0..17 * 2).flat_map(|_| (0..3).map(value)).collect()
            },
        );
    }
}

#[test]
fn layers_that_do_not_fit_are_refused() {
    let inputs = Inputs::new(&[(2, 0), (3, 128)], 4, 4);
    let (mut builder, maps) = inputs.builder(Isa::best(), 1);
    let floats = builder.dequantize(maps[0]).unwrap();
    let scaled = builder.quantize(floats, Quantization { scale: 1.0, zero_point: 0 }).unwrap();
    let filter = |inputs: usize| (vec![1; inputs], [1.0]);
    let mut conv = |maps: &[FeatureMap], inputs: usize, scale: f32| {
        let (weights, bias) = filter(inputs);
        let filter = QuantizedFilter { weights: &weights, scale: &[scale], bias: &bias };
        let output = Some(Quantization { scale: 1e-3, zero_point: 0 });
        builder.quantized_conv(maps, &Conv::new(1, 1), Clamp::NONE, output, &filter).map_err(|error| error.to_string())
    };
    assert!(conv(&maps, 5, 1.0).is_ok());
    let message = |result: Result<FeatureMap, String>| result.unwrap_err();
    assert_eq!(message(conv(&maps, 4, 1.0)), "the filter's weights has 4 values, expected 5");
    assert_eq!(message(conv(&[floats], 2, 1.0)), "no kernel for a map of f32 as the input of an operation on bytes");
    assert_eq!(message(conv(&[maps[0], scaled], 4, 1.0)), "maps of the scales 0.03125 and 1 are not one input");
    assert!(message(conv(&maps, 5, 1e38)).contains("not finite"));
    let filter = Filter { weights: &[1.0; 2], scale: &[1.0], bias: &[0.0] };
    let error = builder.conv(&maps[..1], &Conv::new(1, 1), Clamp::NONE, Algorithm::Direct, &filter).unwrap_err();
    assert!(error.to_string().contains("a map of bytes as the input"), "{error}");
    assert!(matches!(builder.dequantize(floats), Err(Error::Unsupported(_))));
    let error = builder.quantize(floats, Quantization { scale: 0.0, zero_point: 0 }).unwrap_err();
    assert_eq!(error.to_string(), "0 is not the scale of a map");
}

/// Interpolations in f64 are within half a step, and a rounding error, of bytes.
#[test]
fn interpolations() {
    for (channels, zero_point, height, width) in [(3, 0, 3, 4), (17, 128, 5, 2), (33, 9, 1, 9)] {
        let inputs = Inputs::new(&[(channels, zero_point)], height, width);
        for (alignment, rows, columns) in
            [(Alignment::Corners, 6, 9), (Alignment::HalfPixel, 10, 8), (Alignment::Corners, height, width)]
        {
            let map = |values: &[f32], image: usize| -> Vec<f64> {
                let source = &inputs.0[image][0];
                let value = |channel: usize, y: usize, x: usize| source.get(channel, y as isize, x as isize) as f64;
                let expected = |channel: usize, y: usize, x: usize| {
                    let (y, x) = (alignment.between(y, rows, height), alignment.between(x, columns, width));
                    let row = |at: usize| {
                        value(channel, at, x.first) * (1.0 - x.weight) + value(channel, at, x.second) * x.weight
                    };
                    row(y.first) * (1.0 - y.weight) + row(y.second) * y.weight
                };
                let at = |index: usize| (index / (rows * columns), index / columns % rows, index % columns);
                let error = |(index, &found): (usize, &f32)| {
                    let (channel, y, x) = at(index);
                    (f64::from(found / SCALE) - expected(channel, y, x)).abs()
                };
                values.iter().enumerate().map(error).collect()
            };
            let mut first: Option<Vec<f32>> = None;
            for isa in Isa::available() {
                for (threads, batch) in [(1, 2), (3, 1)] {
                    let (mut builder, maps) = inputs.builder(isa, threads);
                    let large = builder.upsample(maps[0], (rows, columns), alignment).unwrap();
                    let mut program = builder.finish(&[large], batch).unwrap();
                    let mut found = vec![f32::NAN; IMAGES * program.output_len()];
                    program.run(&inputs.images(), &mut found).unwrap();
                    for (image, values) in found.chunks_exact(program.output_len()).enumerate() {
                        let worst = map(values, image).into_iter().fold(0.0, f64::max);
                        assert!(worst <= 0.5 + 1e-4, "{channels} {alignment:?} on {isa}: {worst} steps");
                    }
                    let first = first.get_or_insert_with(|| found.clone());
                    assert!(*first == found, "{channels} {alignment:?} on {isa}, {threads} threads");
                }
            }
        }
    }
}

/// 66,312 products of the greatest weight and input do not fit.
#[test]
fn weights_whose_sums_may_overflow_are_refused() {
    let channels = 66_312 / 9;
    let inputs = Inputs::new(&[(channels + 1, 0)], 1, 1);
    let (mut builder, maps) = inputs.builder(Isa::best(), 1);
    let weights = vec![127; (channels + 1) * 9];
    let filter = QuantizedFilter { weights: &weights, scale: &[1.0], bias: &[0.0] };
    let error = builder.quantized_conv(&maps, &Conv::new(1, 3), Clamp::NONE, None, &filter).unwrap_err();
    assert_eq!(error.to_string(), "the sums of channel 0 may not fit 32 bits");
}
