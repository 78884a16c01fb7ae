//! The reference implementation's answers: PyTorch in float64 on the formula's weights and input.

use std::collections::BTreeMap;

use serde_json::Value;

/// The whole table; `tests/golden/README.md` describes it.
fn table() -> Value {
    serde_json::from_str(include_str!("../../../tests/golden/golden.json")).expect("the stored table is JSON")
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().expect("a list").iter().map(|v| v.as_f64().expect("a number") as f32).collect()
}

/// The first four values of some tensors, by name.
pub fn first_values() -> BTreeMap<String, Vec<f32>> {
    let table = table();
    let values = table["first_four_values"].as_object().expect("a table by name");
    values.iter().map(|(name, values)| (name.clone(), floats(values))).collect()
}

/// One entry of `base` in the reference run.
pub struct Module {
    /// Its name, as `base.3`.
    pub name: String,
    /// Shape of its output.
    pub shape: Vec<usize>,
    /// Mean over its output.
    pub mean: f64,
    /// Mean magnitude over its output.
    pub abs_mean: f64,
    /// Largest value of its output.
    pub max: f64,
}

/// The reference run of one model on the input `x` of shape [1, 3, 224, 224].
pub struct Golden {
    /// Statistics of every entry of `base` in order.
    pub modules: Vec<Module>,
    /// The 1,000 logits.
    pub logits: Vec<f32>,
}

/// The reference run of `model`: `hardnet39ds` or `hardnet68`.
pub fn golden(model: &str) -> Golden {
    let table = table();
    let run = &table["models"][model];
    let modules = run["modules"].as_array().expect("a list of modules").iter().map(|module| {
        let number = |key: &str| module[key].as_f64().expect("a number");
        Module {
            name: module["module"].as_str().expect("a name").into(),
            shape: module["shape"]
                .as_array()
                .expect("a shape")
                .iter()
                .map(|d| d.as_u64().unwrap_or(0) as usize)
                .collect(),
            mean: number("mean"),
            abs_mean: number("abs_mean"),
            max: number("max"),
        }
    });
    Golden { modules: modules.collect(), logits: floats(&run["logits"]) }
}

/// One training-mode run of a network in the reference, by `tests/golden/train_mode.py` or
/// `tests/training/train_step.py`.
pub struct TrainMode {
    /// Logits of the four images of the batch, one after the other.
    pub logits: Vec<f32>,
    /// Cross entropy against the labels 0, 1, 2, 3.
    pub loss: f64,
    /// Euclidean norm of the loss's gradient, by parameter.
    pub gradient_norms: BTreeMap<String, f64>,
    /// Sum over the channels of every running statistic after the run, by name.
    pub running_sums: BTreeMap<String, f64>,
}

/// The run of a small network: `dense` or `depthwise`.
pub fn train_mode(network: &str) -> TrainMode {
    train_run(include_str!("../../../tests/golden/train_mode.json"), network)
}

/// The run of a published network with ten classes by its name, on four images of 64x64 pixels.
pub fn train_step(variant: &str) -> TrainMode {
    train_run(include_str!("../../../tests/training/train_step.json"), variant)
}

/// The same where every value is far from the bounds of ReLU6.
pub fn smooth_step(variant: &str) -> TrainMode {
    train_run(include_str!("../../../tests/training/smooth_step.json"), variant)
}

fn train_run(table: &str, network: &str) -> TrainMode {
    let table: Value = serde_json::from_str(table).expect("it is JSON");
    let run = &table[network];
    let numbers = |key: &str| {
        let numbers = run[key].as_object().expect("a table by name");
        numbers.iter().map(|(name, value)| (name.clone(), value.as_f64().expect("a number"))).collect()
    };
    TrainMode {
        logits: run["logits"].as_array().expect("a row per image").iter().flat_map(floats).collect(),
        loss: run["loss"].as_f64().expect("a number"),
        gradient_norms: numbers("gradient_norms"),
        running_sums: numbers("running_sums"),
    }
}

/// Width and height of the [`picture`].
pub const PICTURE_SIZE: (usize, usize) = (331, 281);

/// The picture of `tests/golden/picture_logits.py`: RGB, row by row.
pub fn picture() -> Vec<u8> {
    let (width, height) = PICTURE_SIZE;
    let value = |x: usize, y: usize, c: usize| ((3 * x * x + 5 * y * y + 7 * x * y * c) / 64 % 256) as u8;
    (0..height).flat_map(|y| (0..width).flat_map(move |x| (0..3).map(move |c| value(x, y, c)))).collect()
}

/// ONNX Runtime's logits of `model` for the [`picture`], prepared by Pillow.
pub fn picture_logits(model: &str) -> Vec<f32> {
    let table: Value =
        serde_json::from_str(include_str!("../../../tests/golden/picture_logits.json")).expect("it is JSON");
    floats(&table[model])
}

/// Class activation maps of a network with ten classes.
pub struct ActivationMaps {
    /// The logits.
    pub logits: Vec<f32>,
    /// The maps of some classes, row by row.
    pub maps: BTreeMap<usize, Vec<f32>>,
}

/// PyTorch's maps of a published network by its name, for an image of 96x96 pixels, by
/// `tests/golden/activation_maps.py`.
pub fn activation_maps(variant: &str) -> ActivationMaps {
    let table = include_str!("../../../tests/golden/activation_maps.json");
    let table: Value = serde_json::from_str(table).expect("it is JSON");
    let maps = table[variant]["maps"].as_object().expect("a table by class").iter();
    let values = |rows: &Value| rows.as_array().expect("a list of rows").iter().flat_map(floats).collect();
    ActivationMaps {
        logits: floats(&table[variant]["logits"]),
        maps: maps.map(|(class, rows)| (class.parse().expect("an index"), values(rows))).collect(),
    }
}
