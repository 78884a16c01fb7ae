//! Training against the definitions in f64: outputs and statistics, and gradients against central differences of a loss
//! of the outputs by parameters of every layer; over shapes around the lanes and tiles, strides and borders, on every
//! instruction set that the machine has.

mod oracle;
mod part;
mod parts;

use hardnet_kernels::training::{Builder, Program};
use hardnet_kernels::{Alignment, Clamp, Isa, Padding, Pool, PoolKind, Shape};
use oracle::{Conv, Depthwise, Layer, Network, random};

/// The program of `network` for as many images as it has.
fn program(network: &Network, isa: Isa, threads: usize) -> Program {
    let (mut builder, image) = Builder::new(isa, threads, network.size).unwrap();
    let mut maps = vec![vec![image]];
    for layer in &network.layers {
        let all = |inputs: &[usize]| inputs.iter().flat_map(|&input| maps[input].clone()).collect::<Vec<_>>();
        let next = match layer {
            Layer::Conv(inputs, conv) => vec![builder.conv(&all(inputs), &conv.layer(), conv.clamp).unwrap()],
            Layer::Depthwise(input, conv) => {
                let input = maps[*input][0];
                let channels = builder.size(input).unwrap().channels;
                vec![builder.conv(&[input], &conv.layer(channels), conv.clamp).unwrap()]
            }
            Layer::Pool(input, pool) => vec![builder.pool(maps[*input][0], pool).unwrap()],
            Layer::Mean(input) => vec![builder.mean(maps[*input][0]).unwrap()],
            Layer::Upsample(input, size, alignment) => {
                vec![builder.upsample(maps[*input][0], *size, *alignment).unwrap()]
            }
            Layer::Dropout(inputs, probability) => builder.dropout(&all(inputs), *probability).unwrap(),
            Layer::Linear(input, channels) => vec![builder.linear(maps[*input][0], *channels).unwrap()],
        };
        maps.push(next);
    }
    let outputs: Vec<_> = network.outputs.iter().flat_map(|&output| maps[output].clone()).collect();
    builder.finish(&outputs, network.images).unwrap()
}

/// Outputs, statistics and gradients of a program by a loss that is `weights` times the outputs.
struct Results {
    outputs: Vec<f32>,
    statistics: Vec<f32>,
    gradients: Vec<f32>,
}

const SEED: u64 = 5;

fn run(program: &mut Program, pixels: &[f32], parameters: &[f32], weights: &[f32]) -> Results {
    let mut outputs = vec![f32::NAN; weights.len()];
    let mut statistics = vec![f32::NAN; program.statistics()];
    let mut gradients = vec![f32::NAN; program.parameters()];
    program.forward(pixels, parameters, SEED, &mut outputs, &mut statistics).unwrap();
    program.backward(parameters, weights, &mut gradients).unwrap();
    Results { outputs, statistics, gradients }
}

fn close(found: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1.0, |most: f64, value| most.max(value.abs()));
    for (at, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let difference = (f64::from(found) - expected).abs();
        assert!(difference <= tolerance * scale, "{what} {at}: {found}, expected {expected}");
    }
}

/// Compares `network` on every machine with the oracle, and threads with one another to the last bit.
fn check(what: &str, network: &Network) {
    check_at(what, network, &network.sample());
}

/// The same with the gradients at the positions of `sample`.
fn check_at(what: &str, network: &Network, sample: &[usize]) {
    let parameters = network.parameters();
    let pixels = random(11, network.images * network.size.count());
    let (outputs, statistics) = network.forward(&pixels, &parameters, SEED);
    let weights = random(13, outputs.len());
    let expected = network.gradients(&pixels, &parameters, SEED, &weights, sample);
    for isa in Isa::of_f32() {
        let mut before: Option<Results> = None;
        for threads in [1, 3] {
            let mut program = program(network, isa, threads);
            // Values that an earlier pass left in memory must not matter.
            run(&mut program, &random(17, pixels.len()), &parameters, &weights);
            let found = run(&mut program, &pixels, &parameters, &weights);
            let name = |part: &str| format!("{what}, {isa:?}, {threads} threads: {part}");
            close(&found.outputs, &outputs, 1e-5, &name("output"));
            close(&found.statistics, &statistics, 1e-5, &name("statistic"));
            let gradients: Vec<f32> = sample.iter().map(|&at| found.gradients[at]).collect();
            close(&gradients, &expected, 1e-4, &name("gradient"));
            assert!(found.gradients.iter().all(|gradient| gradient.is_finite()), "{}", name("gradient"));
            if let Some(before) = &before {
                let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&before.outputs), bits(&found.outputs), "{}", name("output"));
                assert_eq!(bits(&before.gradients), bits(&found.gradients), "{}", name("gradient"));
            }
            before = Some(found);
        }
    }
}

fn conv(channels: usize, kernel: usize, stride: usize, padding: Padding, clamp: Clamp) -> Conv {
    Conv { channels, kernel, stride, padding, clamp }
}

fn network(images: usize, size: (usize, usize, usize), layers: Vec<Layer>) -> Network {
    let outputs = vec![layers.len()];
    let size = Shape { channels: size.0, height: size.1, width: size.2 };
    Network { images, size, layers, outputs }
}

/// A 1x1 convolution of the image, since gradients of images are not computed.
fn first(channels: usize) -> Layer {
    Layer::Conv(vec![0], conv(channels, 1, 1, Padding::default(), Clamp::NONE))
}

#[test]
fn convolutions_of_the_image_agree() {
    for (kernel, stride, padding) in [
        (1, 1, Padding::default()),
        (3, 1, Padding::all(1)),
        (3, 2, Padding::all(1)),
        (3, 2, Padding::top_left(1)),
        (3, 3, Padding::default()),
        (5, 2, Padding { top: 0, bottom: 3, left: 2, right: 1 }),
    ] {
        for (channels, height, width) in [(3, 6, 7), (1, 5, 5), (9, 5, 9)] {
            let layer = Layer::Conv(vec![0], conv(5, kernel, stride, padding, Clamp::RELU6));
            check(&format!("{kernel}x{kernel} by {stride}"), &network(2, (channels, height, width), vec![layer]));
        }
    }
}

#[test]
fn convolutions_of_maps_agree() {
    for (kernel, padding) in
        [(1, Padding::default()), (3, Padding::all(1)), (3, Padding::top_left(1)), (5, Padding::all(2))]
    {
        for (inputs, outputs) in [(1, 1), (7, 8), (8, 9), (9, 17), (17, 24)] {
            let layer = Layer::Conv(vec![1], conv(outputs, kernel, 1, padding, Clamp::RELU));
            let layers = vec![first(inputs), layer];
            check(&format!("{kernel}x{kernel} of {inputs} by {outputs}"), &network(2, (2, 5, 6), layers));
        }
    }
}

/// Maps that several layers read in different places and by different kernels.
#[test]
fn links_agree() {
    let three = |channels| conv(channels, 3, 1, Padding::all(1), Clamp::RELU6);
    let one = |channels| conv(channels, 1, 1, Padding::default(), Clamp::RELU6);
    let layers = vec![
        first(9),
        Layer::Conv(vec![1], three(6)),
        Layer::Conv(vec![2, 1], three(11)),
        Layer::Conv(vec![3], three(4)),
        Layer::Conv(vec![4, 3, 1], three(8)),
        Layer::Conv(vec![2, 4, 5], one(10)),
    ];
    for images in [1, 3] {
        check("links", &network(images, (2, 5, 7), layers.clone()));
    }
    let mut several = network(2, (2, 5, 7), layers);
    several.outputs = vec![3, 6, 1];
    check("several outputs", &several);
}

#[test]
fn depthwise_convolutions_agree() {
    for (stride, padding) in [
        (1, Padding::all(1)),
        (2, Padding::all(1)),
        (2, Padding::top_left(1)),
        (1, Padding::top_left(1)),
        (1, Padding { top: 0, bottom: 2, left: 1, right: 0 }),
        (1, Padding::default()),
    ] {
        for (channels, height, width) in [(1, 5, 5), (8, 6, 4), (9, 7, 8), (18, 4, 5)] {
            let depthwise = Depthwise { stride, padding, clamp: Clamp::NONE };
            let layers = vec![first(channels), Layer::Depthwise(1, depthwise)];
            check(&format!("depthwise by {stride}"), &network(3, (2, height, width), layers));
        }
    }
    // Also where the map has another reader.
    for stride in [1, 2] {
        let depthwise = Depthwise { stride, padding: Padding::all(1), clamp: Clamp::RELU };
        let mut network = network(
            2,
            (2, 5, 6),
            vec![
                first(9),
                Layer::Depthwise(1, depthwise),
                Layer::Conv(vec![1], conv(3, 3, 1, Padding::all(1), Clamp::RELU6)),
            ],
        );
        network.outputs = vec![2, 3];
        check("depthwise next to a convolution", &network);
    }
}

/// Sums over the pixels of a plane are cut into stretches, and small maps of several images are taken together: planes
/// of some stretches and a rest, and planes small enough that two fit into one, with a third image that is left over.
#[test]
fn sums_over_several_stretches_agree() {
    for (height, width) in [(23, 13), (11, 11)] {
        let layers = vec![
            first(3),
            Layer::Conv(vec![1], conv(9, 3, 1, Padding::all(1), Clamp::RELU6)),
            Layer::Depthwise(2, Depthwise { stride: 1, padding: Padding::all(1), clamp: Clamp::NONE }),
            Layer::Conv(vec![3], conv(5, 1, 1, Padding::default(), Clamp::NONE)),
        ];
        let network = network(3, (1, height, width), layers);
        let sample: Vec<usize> = network.sample().into_iter().step_by(2).collect();
        check_at(&format!("{height}x{width}"), &network, &sample);
    }
}

/// Maps of so many channels that a convolution takes their pixels in parts, the last one smaller.
#[test]
fn wide_maps_agree() {
    let layers = vec![first(600), Layer::Conv(vec![1], conv(11, 1, 1, Padding::default(), Clamp::RELU6))];
    let network = network(2, (3, 9, 11), layers);
    let sample: Vec<usize> = network.sample().into_iter().step_by(149).collect();
    check_at("600 channels", &network, &sample);
}

/// Memory of other maps is reused, so that the values around the pixels are not zero before a layer or its
/// gradient is written.
#[test]
fn borders_are_zero_where_other_maps_lay() {
    let three = |input, channels| Layer::Conv(vec![input], conv(channels, 3, 1, Padding::all(1), Clamp::RELU6));
    let layers = vec![
        first(3),
        three(1, 17),
        Layer::Depthwise(2, Depthwise { stride: 2, padding: Padding::all(1), clamp: Clamp::NONE }),
        three(3, 9),
        three(4, 24),
        Layer::Depthwise(5, Depthwise { stride: 1, padding: Padding::all(1), clamp: Clamp::NONE }),
        three(6, 5),
    ];
    let network = network(2, (1, 7, 9), layers);
    let sample: Vec<usize> = network.sample().into_iter().step_by(7).collect();
    check_at("seven layers", &network, &sample);
}

#[test]
fn pools_agree() {
    for kind in [PoolKind::Max, PoolKind::Average] {
        for (kernel, stride, padding) in
            [(2, 2, Padding::default()), (3, 2, Padding::all(1)), (3, 1, Padding::all(1)), (3, 2, Padding::top_left(1))]
        {
            for (channels, height, width) in [(1, 5, 5), (8, 6, 4), (9, 7, 8)] {
                let pool = Pool::new(kind, kernel, stride).padding(padding);
                let layers = vec![first(channels), Layer::Pool(1, pool)];
                check(&format!("{kind:?} {kernel} by {stride}"), &network(2, (2, height, width), layers));
            }
        }
    }
}

/// Maps that pools or means and a convolution read; each adds to their gradient.
#[test]
fn pools_beside_convolutions_agree() {
    let pool = |kind| Layer::Pool(1, Pool::new(kind, 2, 2));
    for reader in [pool(PoolKind::Max), pool(PoolKind::Average), Layer::Mean(1)] {
        let layers = vec![first(9), reader, Layer::Conv(vec![1], conv(4, 3, 1, Padding::all(1), Clamp::RELU))];
        let mut network = network(2, (2, 4, 6), layers);
        network.outputs = vec![2, 3];
        check("a pool next to a convolution", &network);
    }
}

/// Strided convolutions after other layers, next to ones of stride 1, at sizes that the stride does not divide.
#[test]
fn strided_convolutions_of_maps_agree() {
    for (kernel, stride, padding) in
        [(3, 2, Padding::all(1)), (3, 2, Padding { top: 0, bottom: 1, left: 0, right: 1 }), (1, 3, Padding::default())]
    {
        for (height, width) in [(6, 8), (7, 9)] {
            let layers = vec![
                first(9),
                Layer::Conv(vec![1], conv(5, 3, 1, Padding::all(1), Clamp::RELU)),
                Layer::Conv(vec![1, 2], conv(11, kernel, stride, padding, Clamp::RELU)),
                Layer::Conv(vec![2], conv(4, 3, 1, Padding::all(1), Clamp::NONE)),
            ];
            let mut network = network(2, (2, height, width), layers);
            network.outputs = vec![3, 4];
            check("a strided convolution", &network);
        }
    }
}

/// A small map beside the one that it was pooled from, as in a decoder; and an output of another size.
#[test]
fn interpolations_agree() {
    for alignment in [Alignment::Corners, Alignment::HalfPixel] {
        for size in [(5, 7), (4, 6)] {
            let layers = vec![
                first(9),
                Layer::Pool(1, Pool::average(2, 2)),
                Layer::Upsample(2, size, alignment),
                Layer::Conv(vec![3, 1], conv(5, 1, 1, Padding::default(), Clamp::RELU)),
                Layer::Upsample(4, (11, 9), alignment),
                Layer::Upsample(2, (3, 3), alignment),
            ];
            let mut network = network(2, (2, size.0, size.1), layers);
            network.outputs = vec![5, 6];
            check("a decoder", &network);
        }
    }
}

/// One of equal maxima takes the whole gradient.
#[test]
fn equal_maxima_share_one_gradient() {
    let pool =
        |input, kernel, stride, padding| Layer::Pool(input, Pool::max(kernel, stride).padding(Padding::all(padding)));
    // Windows that overlap have the same maxima next to each other, which the second pool sees as ties.
    let layers = vec![
        first(8),
        pool(1, 3, 1, 1),
        pool(2, 2, 2, 0),
        Layer::Conv(vec![3], conv(4, 1, 1, Padding::default(), Clamp::NONE)),
    ];
    check("ties", &network(2, (2, 6, 8), layers));
}

/// No gradient passes where the result is a bound, ties of a pool at 0 among them.
#[test]
fn gradients_end_at_bounds() {
    let pool = Pool::max(2, 2);
    let layers = vec![
        Layer::Conv(vec![0], conv(8, 1, 1, Padding::default(), Clamp { low: -9.0, high: 0.0 })),
        Layer::Pool(1, pool),
        Layer::Conv(vec![2], conv(4, 1, 1, Padding::default(), Clamp::NONE)),
    ];
    check("bounds", &network(2, (2, 4, 6), layers));
}

#[test]
fn heads_agree() {
    for (channels, classes) in [(1, 1), (8, 9), (13, 17)] {
        for probability in [0.0, 0.4] {
            for images in [2, 5] {
                let layers = vec![
                    first(channels),
                    Layer::Mean(1),
                    Layer::Dropout(vec![2], probability),
                    Layer::Linear(3, classes),
                ];
                check("head", &network(images, (2, 3, 4), layers));
            }
        }
    }
}

/// Dropout of a concatenation, one of whose maps another layer reads.
#[test]
fn dropout_of_several_maps_agrees() {
    let one = |channels| conv(channels, 1, 1, Padding::default(), Clamp::RELU6);
    let layers =
        vec![first(9), Layer::Conv(vec![1], one(6)), Layer::Dropout(vec![1, 2], 0.3), Layer::Conv(vec![3], one(7))];
    check("dropout", &network(2, (2, 3, 5), layers));
}

#[test]
fn one_forward_pass_has_one_backward_pass() {
    let network = network(2, (2, 4, 4), vec![first(3)]);
    let mut program = program(&network, Isa::best(), 1);
    let parameters = network.parameters();
    let pixels = random(1, 2 * 32);
    let weights = vec![1.0; 2 * 48];
    let mut gradients = vec![0.0; program.parameters()];
    assert!(program.backward(&parameters, &weights, &mut gradients).is_err());
    run(&mut program, &pixels, &parameters, &weights);
    assert!(program.backward(&parameters, &weights, &mut gradients).is_err());
}

/// A program for more images computes fewer as one made for them.
#[test]
fn smaller_batches_agree() {
    let layers = vec![first(9), Layer::Conv(vec![1], conv(5, 3, 1, Padding::all(1), Clamp::RELU6))];
    let (large, small) = (network(4, (2, 5, 6), layers.clone()), network(3, (2, 5, 6), layers));
    let parameters = small.parameters();
    let pixels = random(11, 3 * small.size.count());
    let weights = random(13, 3 * 5 * 30);
    let expected = run(&mut program(&small, Isa::best(), 2), &pixels, &parameters, &weights);
    let found = run(&mut program(&large, Isa::best(), 2), &pixels, &parameters, &weights);
    assert_eq!(expected.outputs, found.outputs);
    let expected: Vec<f64> = expected.gradients.iter().copied().map(f64::from).collect();
    close(&found.gradients, &expected, 1e-5, "gradient");
}
