//! Interpolation, to maps and to outputs, and before 1x1 convolutions.

use hardnet_kernels::{Algorithm, Alignment, Clamp, Padding, Pool};

use super::oracle::{self, Conv, Tensor};
use super::{Parameters, bench, machines};

#[test]
fn interpolations() {
    for alignment in [Alignment::Corners, Alignment::HalfPixel] {
        for (channels, height, width) in [(1, 1, 1), (7, 5, 4), (8, 1, 7), (19, 8, 9)] {
            for size in [(1, 1), (2 * height, 2 * width), (2 * height + 1, 2 * width - 1), (3, 40), (height, width)] {
                for (isa, threads) in machines() {
                    let what = format!("{isa} x{threads} {channels} {height}x{width} to {size:?} {alignment:?}");
                    let mut bench = bench(isa, threads, &[channels], height, width);
                    let map = bench.builder.upsample(bench.inputs[0], size, alignment).unwrap();
                    bench.check(map, 1e-6, &what, |inputs| oracle::upsample(&inputs[0], size, alignment));
                    // An output that is given twice is a map.
                    let mut bench = super::bench(isa, threads, &[channels], height, width);
                    let map = bench.builder.upsample(bench.inputs[0], size, alignment).unwrap();
                    bench.check_all(&[map, map], 1e-6, &what, |inputs| {
                        let map = || oracle::upsample(&inputs[0], size, alignment);
                        Tensor::concatenation(&[map(), map()])
                    });
                }
            }
        }
    }
}

/// An interpolated map, which has a halo, next to another in the list of a convolution.
#[test]
fn interpolated_maps_are_read_in_lists() {
    let (filters, size) = (Parameters::new(5, 9 * 9), (7, 9));
    let conv = Conv { channels: 5, kernel: 3, stride: 1, padding: Padding::all(1), clamp: Clamp::RELU };
    for (isa, threads) in machines() {
        let mut bench = bench(isa, threads, &[4, 5], 7, 9);
        let small = bench.builder.pool(bench.inputs[0], &Pool::average(2, 2)).unwrap();
        let wide = bench.builder.upsample(small, size, Alignment::Corners).unwrap();
        let map = conv.add(&mut bench.builder, &[wide, bench.inputs[1]], Algorithm::Direct, &filters.filter());
        bench.check(map, 1e-5, &format!("{isa} x{threads}"), |inputs| {
            let small = oracle::pool(&inputs[0], &Pool::average(2, 2));
            let wide = oracle::upsample(&small, size, Alignment::Corners);
            let other = Tensor { values: inputs[1].values.clone(), ..inputs[1] };
            oracle::conv(&Tensor::concatenation(&[wide, other]), &filters.filter(), &conv)
        });
    }
}

/// The interpolation of two maps, one of which has a halo for another reader, follows the 1x1 convolution that reads
/// them with a third; where something else reads one of them, it does not.
#[test]
fn interpolations_commute_with_1x1_convolutions() {
    let filters = Parameters::new(9, 19 + 11);
    let conv = Conv { channels: 9, kernel: 1, stride: 1, padding: Padding::default(), clamp: Clamp::RELU };
    let beside = Conv { channels: 3, kernel: 3, padding: Padding::all(1), ..conv };
    let beside_filters = Parameters::new(3, 19 * 9);
    for (alignment, is_read) in [(Alignment::Corners, false), (Alignment::HalfPixel, false), (Alignment::Corners, true)]
    {
        for ((isa, threads), size) in
            machines().into_iter().flat_map(|machine| [(7, 9), (42, 21)].map(|size| (machine, size)))
        {
            let mut bench = bench(isa, threads, &[8, 11, 11], size.0, size.1);
            let pools = [0, 1].map(|at| bench.builder.pool(bench.inputs[at], &Pool::average(2, 2)).unwrap());
            let wide = pools.map(|pool| bench.builder.upsample(pool, size, alignment).unwrap());
            let read = if is_read { wide } else { pools };
            let inputs = [wide[0], wide[1], bench.inputs[2]];
            let map = conv.add(&mut bench.builder, &inputs, Algorithm::Direct, &filters.filter());
            let read = beside.add(&mut bench.builder, &read, Algorithm::Winograd4, &beside_filters.filter());
            let mean = bench.builder.mean(read).unwrap();
            let what = format!("{isa} x{threads} {size:?} {alignment:?}");
            let program = bench.check_all(&[map, mean], 1e-5, &what, |inputs| {
                let pools = [0, 1].map(|at| oracle::pool(&inputs[at], &Pool::average(2, 2)));
                let wide = pools.each_ref().map(|pool| oracle::upsample(pool, size, alignment));
                let read = Tensor::concatenation(if is_read { &wide } else { &pools });
                let read = oracle::mean(&oracle::conv(&read, &beside_filters.filter(), &beside));
                let other = Tensor { values: inputs[2].values.clone(), ..inputs[2] };
                let [first, second] = wide;
                let map = oracle::conv(&Tensor::concatenation(&[first, second, other]), &filters.filter(), &conv);
                let values = [&map.values[..], &read.values[..]].concat();
                Tensor { channels: 1, height: 1, width: values.len(), values }
            });
            let fused = program.steps().iter().filter(|step| step.fused_into.is_some()).count();
            assert_eq!(fused, if is_read { 0 } else { 2 }, "{what}");
        }
    }
}

/// Outputs that all threads write: maps that a step copies, and interpolations without a map, of more rows and columns
/// than a task and a tile have, beside a small one.
#[test]
fn large_outputs_have_their_places() {
    let size = (37, 1029);
    let conv = Conv { channels: 3, kernel: 1, stride: 1, padding: Padding::default(), clamp: Clamp::NONE };
    let parameters = Parameters::new(3, 11);
    for (isa, threads) in machines() {
        let mut bench = bench(isa, threads, &[11, 2], 3, 5);
        let [many, few] = bench.inputs[..] else { panic!("two inputs") };
        let map = bench.builder.upsample(many, size, Alignment::HalfPixel).unwrap();
        let reader = conv.add(&mut bench.builder, &[map], Algorithm::Direct, &parameters.filter());
        let output = bench.builder.upsample(many, size, Alignment::Corners).unwrap();
        let small = bench.builder.upsample(few, (5, 7), Alignment::Corners).unwrap();
        bench.check_all(&[map, output, few, reader, small], 1e-5, &format!("{isa} x{threads}"), |inputs| {
            let map = oracle::upsample(&inputs[0], size, Alignment::HalfPixel);
            let reader = oracle::conv(&map, &parameters.filter(), &conv);
            let output = oracle::upsample(&inputs[0], size, Alignment::Corners);
            let small = oracle::upsample(&inputs[1], (5, 7), Alignment::Corners);
            let values = [&map, &output, &inputs[1], &reader, &small].map(|part| &part.values[..]).concat();
            Tensor { channels: 1, height: 1, width: values.len(), values }
        });
    }
}
