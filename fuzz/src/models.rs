//! Files with networks: checkpoints, ONNX models and weights.

use std::collections::HashSet;
use std::sync::LazyLock;

use hardnet_checkpoint::{Checkpoint, Format, ReadOptions};
use hardnet_graph::{Config, Graph};
use hardnet_onnx::{Layers, Model};
use hardnet_params::{
    Error as ParamsError, Examined, Parameters as _, QuantizedParameters as _, WeightsFile, WeightsOptions, examine,
};

use super::{FOLDER, refused};

/// Opens a model file, once for each of its dictionaries of tensors, and reads every tensor; none is longer than the
/// file.
pub fn checkpoint(bytes: &[u8]) -> bool {
    let chosen = match Checkpoint::from_bytes(bytes.to_vec()) {
        Ok(checkpoint) => {
            check(&checkpoint);
            Ok(checkpoint)
        }
        Err(error) => {
            refused(&error);
            Err(error)
        }
    };
    let dictionaries = match &chosen {
        Ok(checkpoint) => checkpoint.dictionaries(),
        Err(hardnet_checkpoint::Error::Choice { available }) => available,
        Err(_) => &[],
    };
    // Paths are unique but for keys with periods, and many dictionaries would only repeat the work.
    for dictionary in dictionaries.iter().take(4) {
        match Checkpoint::from_bytes_with(bytes.to_vec(), &ReadOptions::default().entry(&dictionary.path)) {
            Ok(checkpoint) => {
                assert_eq!(checkpoint.wrapper().unwrap_or("."), dictionary.path);
                check(&checkpoint);
            }
            Err(error) => {
                refused(&error);
            }
        }
    }
    if chosen.is_ok() {
        match Checkpoint::from_bytes_with(bytes.to_vec(), &ReadOptions::default().entry("\u{1b} absent")) {
            Ok(_) => panic!("a dictionary that is not there was opened"),
            Err(error) => refused(&error),
        };
    }
    chosen.is_ok()
}

/// Opens a model file in memory and from disk, where the elements of tensors stay; both give the same. In fuzzing,
/// elements of 64 bytes and more stay there, of ONNX those of 8.
pub fn streamed(bytes: &[u8]) -> bool {
    FOLDER.with(|folder| {
        let path = folder.write("streamed", bytes);
        let options = ReadOptions::default().streamed(true);
        match (Checkpoint::from_bytes(bytes.to_vec()), Checkpoint::open_with(path, &options)) {
            (Ok(whole), Ok(streamed)) => {
                assert_eq!(whole.tensors(), streamed.tensors());
                assert_eq!((whole.wrapper(), whole.format()), (streamed.wrapper(), streamed.format()));
                for index in 0..whole.tensors().len() {
                    let expected = whole.read(index).expect("a listed tensor is readable");
                    assert_eq!(expected, streamed.read(index).expect("it is in memory"));
                    let mut parts = Vec::new();
                    streamed.read_parts(index, &mut |part| parts.extend_from_slice(part)).expect("it is in memory");
                    assert_eq!(*expected, parts);
                }
                true
            }
            // Of several errors in a file, either may be the first.
            (Err(_), Err(error)) => refused(&error),
            (whole, streamed) => panic!("{:?} in memory, {:?} from disk", whole.err(), streamed.err()),
        }
    })
}

fn check(checkpoint: &Checkpoint) {
    let length = checkpoint.byte_count();
    let mut names = HashSet::new();
    for (index, tensor) in checkpoint.tensors().iter().enumerate() {
        let elements = checkpoint.read(index).unwrap_or_else(|error| panic!("a listed tensor is readable: {error}"));
        let expected = tensor.shape.iter().try_fold(tensor.dtype.size(), |size, extent| size.checked_mul(*extent));
        assert_eq!(Some(elements.len()), expected, "{tensor:?}");
        // ONNX may hold a number of 8 bytes in one.
        let most = if checkpoint.format() == Format::Onnx { 8 * length } else { length };
        assert!(elements.len() <= most, "{tensor:?} is longer than its file of {length} bytes");
        assert!(names.insert(&tensor.name), "{tensor:?} is there twice");
    }
    assert!(checkpoint.read(names.len()).is_err());
    let own = checkpoint.wrapper().unwrap_or(".");
    assert!(checkpoint.dictionaries().iter().any(|dictionary| dictionary.path == own), "{own} is not listed");
    for value in checkpoint.opaque().iter().chain(checkpoint.passed_over()) {
        refused(&value.refusal());
    }
}

/// Reads a description of a network in TOML. What is accepted makes a graph, and is the same when it is written and
/// read again.
pub fn network(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let config = match Config::from_toml(text) {
        Ok(config) => config,
        Err(error) => return refused(&error),
    };
    Graph::new(&config).unwrap_or_else(|error| panic!("a valid network has a graph: {error}"));
    assert_eq!(Config::from_toml(&config.to_toml()), Ok(config));
    true
}

/// Reads an ONNX model, and looks for three small networks in it. What is accepted has as many bytes as its tensors'
/// shapes say, none of them twice in memory, and every parameter of the network.
pub fn onnx(bytes: &[u8]) -> bool {
    let model = match Model::parse(bytes) {
        Ok(model) => model,
        Err(error) => return refused(&error),
    };
    for (_, tensor) in model.tensors() {
        assert_eq!(Some(tensor.bytes.len()), tensor.info.byte_count(), "{:?}", tensor.info);
        assert!(tensor.bytes.len() <= 8 * bytes.len(), "{:?} is longer than its file", tensor.info);
    }
    let layers = Layers::new(&model);
    if let Err(error) = &layers {
        refused(error);
    }
    match Checkpoint::from_bytes(bytes.to_vec()) {
        Ok(checkpoint) => check(&checkpoint),
        Err(_) => return false,
    }
    let mut accepted = false;
    for (graph, options) in &*ONNX_NETWORKS {
        match layers
            .as_ref()
            .map(|layers| (layers.parameters(graph), layers.integers(graph, &mut |_| None), layers.maps(graph)))
        {
            Ok((Ok(floats), Ok(integers), maps)) => {
                // A layer of integers has a weight in place of a weight and a normalization.
                assert_eq!(floats.len() + 5 * integers.len(), graph.params().len());
                assert!(maps.len() < graph.nodes().len());
            }
            Ok((floats, integers, _)) => {
                for error in [floats.err(), integers.err()].iter().flatten() {
                    refused(error);
                }
            }
            Err(_) => {}
        }
        match WeightsFile::from_bytes_with("a", bytes.to_vec(), options) {
            Ok(weights) => {
                check_lengths(weights.checkpoint());
                check_layers(&weights);
                accepted = true;
            }
            Err(error) => {
                refused(&error);
            }
        }
    }
    accepted
}

/// The networks of the target `onnx`; `seeds.py` writes models of them.
static ONNX_NETWORKS: LazyLock<Vec<(Graph, WeightsOptions)>> = LazyLock::new(|| {
    let stem = "{ channels = 2, kernel = 3, stride = 2 }";
    let narrowed = format!("{stem}, {{ channels = 2, kernel = 1, stride = 1 }}");
    let block = "{ layers = 2, growth = 2, multiplier = 1.0, transition = 2, downsample = false }";
    let network = |(convs, blocks): (&str, &str)| {
        let text = format!(
            "in_channels = 3\nactivation = \"relu6\"\ndownsample = \"max_pool\"\ndepthwise = false\n\
             blocks = [{blocks}]\n[stem]\nconvs = [{convs}]\npadding = \"symmetric\"\n\
             [head]\nclasses = 2\ndropout = 0.0\n"
        );
        let config = Config::from_toml(&text).expect("the network is valid");
        let graph = Graph::new(&config).expect("a valid network has a graph");
        (graph, WeightsOptions::default().config(config))
    };
    [(stem, ""), (&narrowed, ""), (stem, block)].map(network).into()
});

/// Reads every layer of a file that was accepted: in floating point or in integers.
fn check_layers(weights: &WeightsFile) {
    let parameters = weights.parameters();
    let graph = Graph::new(weights.config()).expect("an accepted network has a graph").inference();
    let params = graph.params();
    for (id, node) in graph.nodes().iter().enumerate() {
        let layer = parameters.layer(&node.name).expect("a layer of an accepted file is readable");
        let own = || params.iter().filter(|param| param.node == id);
        match layer {
            Some(layer) => {
                assert_eq!((layer.scale.len(), layer.bias.len()), (node.out_channels, node.out_channels));
                assert!(own().any(|param| param.count() == layer.weights.len()));
                assert!(layer.scale.iter().chain(&layer.bias).all(|value| value.is_finite()));
                assert!(parameters.map(&node.name).is_some(), "a layer of integers has a map");
            }
            None => {
                for param in own() {
                    let values = parameters.values(param).expect("a parameter of an accepted file is readable");
                    assert_eq!(values.len(), param.count());
                }
            }
        }
    }
}

/// Checks that every tensor has the elements of its shape.
fn check_lengths(checkpoint: &Checkpoint) {
    for (index, tensor) in checkpoint.tensors().iter().enumerate() {
        let elements = checkpoint.read(index).unwrap_or_else(|error| panic!("a listed tensor is readable: {error}"));
        let expected = tensor.shape.iter().try_fold(tensor.dtype.size(), |size, extent| size.checked_mul(*extent));
        assert_eq!(Some(elements.len()), expected, "{tensor:?}");
    }
}

/// Looks for a network in a file whose tensors have the names and shapes of the lines: a name, and a dimension after
/// each blank. All values are zero. Every tensor of the file is a parameter, a counter, left out, or a difference.
pub fn tensors(bytes: &[u8]) -> bool {
    const MOST_VALUES: usize = 1 << 16;
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let (mut header, mut names, mut values) = (Vec::new(), HashSet::new(), 0_usize);
    for line in text.lines() {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        let Ok(shape) = words.map(str::parse::<usize>).collect::<Result<Vec<_>, _>>() else { return false };
        let Some(count) = shape.iter().try_fold(1_usize, |count, extent| count.checked_mul(*extent)) else {
            return false;
        };
        let (start, end) = (2 * values, 2 * values.saturating_add(count).min(MOST_VALUES + 1));
        values = end / 2;
        let is_plain = name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
        if values > MOST_VALUES || !is_plain || !names.insert(name) {
            return false;
        }
        header.push(format!("\"{name}\":{{\"dtype\":\"F16\",\"shape\":{shape:?},\"data_offsets\":[{start},{end}]}}"));
    }
    let header = format!("{{{}}}", header.join(","));
    let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; 2 * values]].concat();
    let Ok(checkpoint) = Checkpoint::from_bytes(file) else { return false };
    let Examined { recognized, .. } = match examine("a", &checkpoint) {
        Ok(examined) => examined,
        Err(error) => {
            assert!(matches!(error, ParamsError::Ambiguous { .. }), "{error}");
            return refused(&error);
        }
    };
    let differences = &recognized.differences;
    refused(&ParamsError::Mismatch {
        path: "a".into(),
        network: "b".into(),
        differences: Box::new(differences.clone()),
    });
    let params: HashSet<_> = recognized.params.iter().map(|named| named.key.as_str()).collect();
    for tensor in checkpoint.tensors() {
        let counts = tensor.name.ends_with("num_batches_tracked") || tensor.name.ends_with("n_averaged");
        let known = params.contains(tensor.name.as_str())
            || recognized.left_out.contains(&tensor.name)
            || differences.unexpected.contains(&tensor.name);
        assert!(known || counts, "{tensor:?} is nowhere");
    }
    differences.count() == 0
}
