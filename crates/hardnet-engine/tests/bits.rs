//! Hashes of the results of sets with fused multiply-add, the same on every processor: plans of f32 and of 8-bit
//! integers, by every algorithm, and a training step. `bits.txt` has those of AVX2. After an intended change, replace
//! it with the lines that the failing test prints.

#[path = "naive/mod.rs"]
mod naive;

use std::fmt::Write;

use hardnet_engine::{Algorithm, Isa, Plan, PlanOptions};
use hardnet_graph::{Alignment, Config, Conv, Pool, Shape, StemPadding, Variant};
use hardnet_kernels::{Clamp, training};
use hardnet_params::synthetic::{self, Synthetic};
use naive::Naive;

const EXPECTED: &str = include_str!("bits.txt");

/// FNV-1a of words.
fn hash(values: &[f32]) -> u64 {
    values.iter().fold(0xCBF2_9CE4_8422_2325, |hash, value| {
        assert!(value.is_finite());
        (hash ^ u64::from(value.to_bits())).wrapping_mul(0x100_0000_01B3).rotate_left(17)
    })
}

fn images(count: usize, height: usize, width: usize) -> Vec<Vec<f32>> {
    let values = synthetic::values("x", &[count, 3, height, width]);
    values.chunks(3 * height * width).map(<[f32]>::to_vec).collect()
}

/// Compares `found`, lines of a name and a hash, with the stored lines that begin with `prefix`.
fn compare(isa: Isa, prefix: &str, found: &str) {
    let expected: String =
        EXPECTED.lines().filter(|line| line.starts_with(prefix)).fold(String::new(), |all, line| all + line + "\n");
    assert_eq!(found, expected, "{isa} found\n{found}");
}

fn fused() -> impl Iterator<Item = Isa> {
    Isa::available().into_iter().filter(|isa| isa.is_fused())
}

#[test]
fn plans_have_the_stored_bits() {
    for isa in fused().filter(|isa| Isa::of_f32().contains(isa)) {
        let mut found = String::new();
        let mut add = |variant: Variant, algorithm: Option<Algorithm>| {
            let config = Config::from(variant).with_classes(10);
            let left = config.clone().with_stem_padding(StemPadding::TopLeft);
            for (config, height, width, batch) in [(&config, 64, 64, 1), (&left, 97, 70, 2)] {
                let mut options = PlanOptions::default().size(height, width).batch(batch).threads(2).isa(isa);
                options.algorithm = algorithm;
                let mut plan = Plan::new(config, &Synthetic, &options).unwrap();
                let hash = hash(&plan.run(&images(batch, height, width)).unwrap());
                let algorithm = algorithm.map_or("chosen", Algorithm::name);
                writeln!(found, "plan {variant} {height}x{width} {algorithm}: {hash:016x}").unwrap();
            }
        };
        add(Variant::HarDNet39Ds, None);
        for algorithm in Algorithm::ALL {
            add(Variant::HarDNet68, Some(algorithm));
        }
        compare(isa, "plan ", &found);
    }
}

#[test]
fn plans_of_integers_have_the_stored_bits() {
    for isa in fused() {
        let mut found = String::new();
        for variant in [Variant::HarDNet39Ds, Variant::HarDNet68] {
            let config = Config::from(variant).with_classes(10);
            let naive = Naive::new(&config).unwrap();
            for (height, width, batch) in [(64, 64, 1), (97, 70, 3)] {
                let options = PlanOptions::default().size(height, width).batch(batch).threads(2).isa(isa);
                let mut plan = Plan::quantized(&config, &naive, &options).unwrap();
                let hash = hash(&plan.run(&images(batch, height, width)).unwrap());
                writeln!(found, "integers {variant} {height}x{width}: {hash:016x}").unwrap();
            }
        }
        compare(isa, "integers ", &found);
    }
}

/// Every operation of training, on a chain whose maps have several readers.
#[test]
fn training_has_the_stored_bits() {
    for isa in fused().filter(|isa| Isa::of_f32().contains(isa)) {
        let size = Shape { channels: 3, height: 23, width: 18 };
        let (mut builder, image) = training::Builder::new(isa, 2, size).unwrap();
        let stem = builder.conv(&[image], &Conv::new(11, 3).stride(2), Clamp::RELU6).unwrap();
        let a = builder.conv(&[stem], &Conv::new(20, 3), Clamp::RELU).unwrap();
        let b = builder.conv(&[stem, a], &Conv::new(17, 1), Clamp::RELU6).unwrap();
        let depthwise = builder.conv(&[b], &Conv::depthwise(17), Clamp::NONE).unwrap();
        let pool = builder.pool(depthwise, &Pool::max(2, 2)).unwrap();
        let up = builder.upsample(pool, (12, 9), Alignment::Corners).unwrap();
        let c = builder.conv(&[a, up], &Conv::new(24, 3), Clamp::RELU6).unwrap();
        let dropped = builder.dropout(&[c], 0.25).unwrap();
        let mean = builder.mean(dropped[0]).unwrap();
        let output = builder.linear(mean, 7).unwrap();
        let mut program = builder.finish(&[output], 3).unwrap();
        let values = |name: &str, count: usize| -> Vec<f32> {
            synthetic::values("x", &[count])
                .into_iter()
                .map(|value| if name == "pixels" { value } else { value / 4.0 })
                .collect()
        };
        let parameters = values("parameters", program.parameters());
        let mut outputs = vec![f32::NAN; 3 * program.output_len()];
        let mut statistics = vec![f32::NAN; program.statistics()];
        let mut gradients = vec![f32::NAN; program.parameters()];
        program.forward(&values("pixels", 3 * size.count()), &parameters, 5, &mut outputs, &mut statistics).unwrap();
        let weights = values("pixels", outputs.len());
        program.backward(&parameters, &weights, &mut gradients).unwrap();
        let mut found = String::new();
        for (name, values) in [("outputs", &outputs), ("statistics", &statistics), ("gradients", &gradients)] {
            writeln!(found, "training {name}: {:016x}", hash(values)).unwrap();
        }
        compare(isa, "training ", &found);
    }
}
