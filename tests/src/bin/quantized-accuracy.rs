//! How networks in 8-bit integers compare with f32 on all images of Fashion-MNIST (Debian's `dataset-fashion-mnist`).
//!
//! ```sh
//! cargo run -p hardnet-tests --bin quantized-accuracy -- choices run/val-images.txt > choices.json
//! cargo run -p hardnet-tests --bin quantized-accuracy -- test > accuracy.json
//! ```
//!
//! `choices` varies the options on training images that neither network was trained on, which `hardnet train --hold-out
//! 5000` lists. `test` measures the defaults on the 10,000 test images. With `--network NAME` before, only that network
//! is measured: `demonstration` or `narrow`.

use std::collections::HashSet;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use hardnet_data::{Classes, Dataset, Sample};
use hardnet_params::Parameters;
use hardnet_quantize::{QuantizeOptions, RangeMethod};
use hardnet_tests::quantize::{Contender, Spread, Trained};
use serde_json::{Value, json};

/// Where Debian installs the images.
const INSTALLED: &str = "/usr/share/datasets/fashion-mnist";

/// Training images for calibration, as many as `hardnet quantize --calibrate` measures.
const CALIBRATION: usize = 1000;

/// Standard deviations on both sides of a channel's mean.
const DEVIATIONS: [f64; 11] = [3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 12.0, 16.0, 24.0];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (network, arguments) = match &arguments[..] {
        ["--network", network, rest @ ..] => (Some(*network), rest),
        all => (None, all),
    };
    let networks: Vec<Trained> =
        Trained::both()?.into_iter().filter(|trained| network.is_none_or(|network| trained.name == network)).collect();
    let found = match arguments {
        ["choices", list] => choices(&networks, Path::new(list))?,
        ["test"] => test(&networks)?,
        _ => bail!(
            "usage: quantized-accuracy [--network NAME] choices LIST, or quantized-accuracy [--network NAME] test"
        ),
    };
    writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&found)?)?;
    Ok(())
}

fn read(name: &str) -> Result<Vec<Sample>> {
    Ok(Dataset::from_idx(&Path::new(INSTALLED).join(format!("{name}-images-idx3-ubyte.gz")), Classes::of_labels())?
        .samples)
}

/// Evenly spaced ones.
fn evenly(samples: &[Sample], count: usize) -> Vec<Sample> {
    (0..count).map(|at| samples[at * samples.len() / count].clone()).collect()
}

fn row(contender: &Contender) -> Value {
    let agreement = &contender.agreement;
    let rounded = |value: Option<f64>, digits: i32| {
        value.map(|value| (value * 10_f64.powi(digits)).round() / 10_f64.powi(digits))
    };
    json!({
        "name": contender.name,
        "correct": contender.correct,
        "percent": rounded(Some(contender.percent()), 2),
        "same_class": agreement.same_class,
        "mean_kl": rounded(agreement.mean_kl(), 6),
        "logits_db": rounded(agreement.decibels(), 2),
    })
}

const METHODS: [RangeMethod; 3] =
    [RangeMethod::MeanSquaredError, RangeMethod::MinMax, RangeMethod::Percentile(RangeMethod::PERCENT)];

fn choices(trained: &[Trained], list: &Path) -> Result<Value> {
    let list = std::fs::read_to_string(list)?;
    let index = |line: &str| line.split_once(' ')?.0.parse::<usize>().ok();
    let held_out: HashSet<usize> =
        list.lines().map(index).collect::<Option<_>>().context("lines of index and label")?;
    let (held_out, trained_on): (Vec<_>, Vec<_>) =
        read("train")?.into_iter().enumerate().partition(|(at, _)| held_out.contains(at));
    let [held_out, trained_on] =
        [held_out, trained_on].map(|samples| samples.into_iter().map(|(_, sample)| sample).collect::<Vec<_>>());
    let mut networks = serde_json::Map::new();
    for trained in trained {
        let parameters = trained.file.parameters();
        let calibration = trained.calibration(&evenly(&trained_on, CALIBRATION))?;
        let default = QuantizeOptions::default();
        let mut contenders = vec![trained.original(&parameters)?];
        for deviations in DEVIATIONS {
            let name = format!("{deviations} deviations");
            contenders.push(trained.quantized(name, &parameters, &default.deviations(deviations))?);
        }
        for (name, options) in [
            ("without equalization", default.equalize(false)),
            ("without clipping", default.clip_weights(false)),
            ("without bias correction", default.correct_bias(false)),
            ("without all three", default.equalize(false).clip_weights(false).correct_bias(false)),
        ] {
            contenders.push(trained.quantized(name, &parameters, &options)?);
        }
        for method in METHODS {
            contenders.push(trained.calibrated(&calibration, method)?);
        }
        trained.compare(&held_out, &mut contenders)?;
        networks.insert(trained.name.into(), contenders.iter().map(row).collect());
    }
    Ok(json!({ "images": held_out.len(), "networks": networks }))
}

fn test(trained: &[Trained]) -> Result<Value> {
    let (train, test) = (read("train")?, read("t10k")?);
    let mut networks = serde_json::Map::new();
    for trained in trained {
        let parameters = trained.file.parameters();
        let default = QuantizeOptions::default();
        let mut contenders = vec![trained.original(&parameters)?];
        contenders.push(trained.quantized("without images", &parameters, &default)?);
        let calibration = trained.calibration(&evenly(&train, CALIBRATION))?;
        for method in METHODS {
            contenders.push(trained.calibrated(&calibration, method)?);
        }
        let spread = Spread::new(trained, &parameters, &test)?;
        let network: &dyn Parameters = &spread;
        let mut original = trained.original(network)?;
        original.name = "f32, spread".into();
        contenders.push(original);
        contenders.push(trained.quantized("without images, spread", network, &default)?);
        contenders.push(trained.quantized("without equalization, spread", network, &default.equalize(false))?);
        trained.compare(&test, &mut contenders)?;
        let (all, spread) = spread.channels();
        let rows: Value = contenders.iter().map(row).collect();
        networks.insert(trained.name.into(), json!({ "channels": all, "spread_channels": spread, "results": rows }));
    }
    Ok(json!({ "images": test.len(), "networks": networks }))
}
