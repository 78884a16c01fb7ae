//! Classifiers and embedders in 8-bit integers, on the demonstration.

use hardnet_classifier::{Classifier, EmbedOptions, Error, Precision, Stage};
use hardnet_data::{Dataset, Sample};
use hardnet_demo::fashion_mnist::{CLASSES, SAMPLE_TAR, VAL_LIST, WEIGHTS};
use hardnet_eval::{EvalOptions, Tally};
use hardnet_graph::{Graph, NodeId, ParamInfo, ParamKind};
use hardnet_params::{Metadata, Parameters, Quantization, WeightsFile, write_quantized};
use hardnet_quantize::{QuantizeOptions, quantize};

/// Images of the 1,000 whose class is the most probable in f32.
const CORRECT: usize = 941;

fn weights() -> WeightsFile {
    WeightsFile::from_bytes("demo", WEIGHTS.to_vec()).unwrap()
}

/// The images in a folder that lives as long as the first value.
fn images() -> (tempfile::TempDir, Dataset) {
    let folder = tempfile::tempdir().unwrap();
    let (archive, list) = (folder.path().join("sample.tar"), folder.path().join("val_list.txt"));
    std::fs::write(&archive, SAMPLE_TAR).unwrap();
    std::fs::write(&list, VAL_LIST).unwrap();
    let dataset = Dataset::from_list(&list, archive, CLASSES.len()).unwrap();
    (folder, dataset)
}

/// A file of the quantized network.
fn quantized() -> WeightsFile {
    let file = weights();
    let graph = Graph::new(file.config()).unwrap();
    let quantized = quantize(&graph, &file.parameters(), &QuantizeOptions::default()).unwrap();
    let mut metadata: Metadata = file.metadata().unwrap().clone();
    metadata.quantization = Some(Quantization::new("without images", 0));
    let mut bytes = Vec::new();
    write_quantized(&metadata, &quantized, &mut bytes).unwrap();
    // The file of the demonstration is in f16.
    assert!(bytes.len() * 100 < 2 * WEIGHTS.len() * 27, "{} bytes", bytes.len());
    WeightsFile::from_bytes("int8", bytes).unwrap()
}

#[test]
fn accuracy_stays_within_three_images_of_a_thousand() {
    let (_folder, dataset) = images();
    let classifier = Classifier::builder().from_weights(quantized()).unwrap();
    let mut tally = Tally::default();
    classifier.evaluate(dataset.samples, &EvalOptions::default(), &mut tally).unwrap();
    let correct = tally.top1().correct;
    assert!(correct.abs_diff(CORRECT) <= 3, "{correct} in integers, {CORRECT} in f32");
}

#[test]
fn a_file_and_quantization_on_the_fly_give_the_same_logits() {
    let (_folder, dataset) = images();
    let image = dataset.samples[3].archived().unwrap().read().unwrap();
    let logits = |classifier: Classifier| {
        let image = hardnet_data::decode(&image, &hardnet_data::DecodeLimits::default()).unwrap().image;
        classifier.logits(&[classifier.prepare(&image).unwrap()]).unwrap().as_slice().to_vec()
    };
    let stored = logits(Classifier::builder().from_weights(quantized()).unwrap());
    let on_the_fly = Classifier::builder().precision(Precision::Int8);
    assert_eq!(stored, logits(on_the_fly.clone().from_weights(weights()).unwrap()));
    let metadata = weights().metadata().unwrap().clone();
    assert_eq!(stored, logits(on_the_fly.from_parameters(&metadata, &weights().parameters()).unwrap()));
    let floats = logits(Classifier::builder().precision(Precision::F32).from_weights(weights()).unwrap());
    let worst = stored.iter().zip(&floats).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst > 0.0 && worst < 0.5, "{worst}");
}

/// Feature maps are those of the network, whatever units their channels have in integers.
#[test]
fn features_are_in_the_networks_units() {
    let (_folder, dataset) = images();
    let image = dataset.samples[5].archived().unwrap().read().unwrap();
    for stage in ["last", "stride8", "stride16-block"] {
        let options = EmbedOptions::default().stage(stage.parse::<Stage>().unwrap());
        let embed = |file: WeightsFile| Classifier::builder().embedder(file, &options).unwrap().embed(&image).unwrap();
        let (floats, integers) = (embed(weights()), embed(quantized()));
        let square = |values: &mut dyn Iterator<Item = f32>| values.map(|x| f64::from(x).powi(2)).sum::<f64>();
        let noise = square(&mut floats.iter().zip(&integers).map(|(a, b)| a - b));
        assert!(noise < 0.01 * square(&mut floats.iter().copied()), "{stage}");
    }
}

/// The correlation of two maps.
fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let mean = |values: &[f32]| values.iter().copied().map(f64::from).sum::<f64>() / values.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let pairs = || a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - mean_a, f64::from(b) - mean_b));
    let sum = |of: fn((f64, f64)) -> f64| pairs().map(of).sum::<f64>();
    sum(|(a, b)| a * b) / (sum(|(a, _)| a * a) * sum(|(_, b)| b * b)).sqrt()
}

/// The demonstration's network with a last map of other scales, by which the classifier's weights are divided: its
/// channels get units of their own.
struct Rescaled<'a> {
    parameters: &'a dyn Parameters,
    /// The node that writes the last map.
    last: NodeId,
}

impl Parameters for Rescaled<'_> {
    fn values(&self, param: &ParamInfo) -> hardnet_params::Result<Vec<f32>> {
        let mut values = self.parameters.values(param)?;
        let factor = |channel: usize| 0.5_f32.powi((channel % 5) as i32);
        match param.kind {
            ParamKind::NormWeight | ParamKind::NormBias if param.node == self.last => {
                values.iter_mut().zip(0..).for_each(|(value, channel)| *value *= factor(channel));
            }
            ParamKind::LinearWeight => {
                let channels = values.len() / CLASSES.len();
                values.iter_mut().zip(0..).for_each(|(value, at)| *value /= factor(at % channels));
            }
            _ => {}
        }
        Ok(values)
    }
}

/// The shares of classes in f32 and in integers, for images larger than the network was trained for, whose maps have
/// more places.
fn assert_same_maps(floats: &Classifier, integers: &Classifier, samples: &[Sample]) {
    for sample in samples {
        let bytes = sample.archived().unwrap().read().unwrap();
        let image = hardnet_data::decode(&bytes, &hardnet_data::DecodeLimits::default()).unwrap().image;
        let tensor = floats.prepare(&image).unwrap();
        let logits = integers.logits(&[&tensor]).unwrap().as_slice().to_vec();
        let class = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
        let classes = [class, sample.label().unwrap() as usize, 0];
        let expected = floats.activation_maps(&tensor, &classes).unwrap();
        let found = integers.activation_maps(&tensor, &classes).unwrap();
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!((found.rows, found.columns, found.values.len()), (6, 6, 36));
            let alike = correlation(&found.values, &expected.values);
            assert!(alike > 0.97, "{}, class {}: correlation {alike}", sample.name(), found.class);
            let (logit, average) = (logits[found.class], found.logit());
            assert!((logit - average).abs() < 1e-4, "{}: {average}, the logit is {logit}", sample.name());
        }
        // Where the class is seen best, up to places that are nearly as good.
        let greatest = |values: &[f32]| (0..36).max_by(|&a, &b| values[a].total_cmp(&values[b])).unwrap();
        let (here, there) = (greatest(&found[0].values), greatest(&expected[0].values));
        let loss = expected[0].values[there] - expected[0].values[here];
        assert!(loss < 0.05 * expected[0].values[there].abs(), "{}: {here}, not {there}", sample.name());
    }
}

#[test]
fn activation_maps_are_those_of_f32_and_average_to_the_logits() {
    let (_folder, dataset) = images();
    let builder = || Classifier::builder().activation_maps(true).image_size(192).threads(1);
    let floats = builder().from_weights(weights()).unwrap();
    let stored = builder().from_weights(quantized()).unwrap();
    assert_same_maps(&floats, &stored, &dataset.samples[..6]);

    let file = weights();
    let (graph, metadata) = (Graph::new(file.config()).unwrap(), file.metadata().unwrap());
    let convs = graph.params().into_iter().filter(|param| param.kind == ParamKind::ConvWeight);
    let last = convs.map(|param| param.node).max().unwrap();
    let parameters = file.parameters();
    let rescaled = Rescaled { parameters: &parameters, last };
    let floats = builder().from_parameters(metadata, &rescaled).unwrap();
    let integers = builder().precision(Precision::Int8).from_parameters(metadata, &rescaled).unwrap();
    assert_same_maps(&floats, &integers, &dataset.samples[..6]);
}

#[test]
fn integers_in_place_of_floating_point_are_refused() {
    let refused = Classifier::builder().precision(Precision::F32).from_weights(quantized());
    assert_eq!(refused.unwrap_err().to_string(), "the weights of `int8` are 8-bit integers, expected floating point");
    let candle = Classifier::builder().precision(Precision::Int8).engine(hardnet_classifier::Engine::Candle);
    assert!(matches!(candle.from_weights(weights()), Err(Error::Engine { .. })));
    assert_eq!("int8".parse(), Ok(Precision::Int8));
    assert_eq!("int4".parse::<Precision>().unwrap_err().to_string(), "unknown precision `int4`, expected f32 or int8");
}
