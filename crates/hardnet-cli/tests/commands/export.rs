//! `hardnet export`.

use std::fs;

use hardnet_graph::Graph;
use hardnet_onnx::Model;
use hardnet_params::{QuantizedParameters, WeightsFile};
use hardnet_testing::weights_file::{self, Encoding};

use super::support::{Folder, notebook_metadata, weights};

#[test]
fn export_writes_the_same_bytes_each_time_and_prints_the_path() {
    let folder = Folder::new();
    folder.small_weights();
    let run = folder.run("export small.safetensors a.onnx").exits(0).says("opset 17, IR version 8");
    assert_eq!(run.stdout, "a.onnx\n");
    folder.run("export small.safetensors b.onnx").exits(0);
    let bytes = fs::read(folder.path("a.onnx")).unwrap();
    assert!(bytes == fs::read(folder.path("b.onnx")).unwrap());
    let model = Model::parse(&bytes).unwrap();
    assert_eq!(
        (model.inputs[0].to_string(), model.outputs[0].to_string()),
        ("input: f32[1, 3, 24, 24]".into(), "logits: f32[1, 3]".into())
    );
    assert_eq!(fs::read_dir(folder.path("")).unwrap().count(), 3);
}

#[test]
fn export_replaces_nothing_unless_told() {
    let folder = Folder::new();
    folder.small_weights();
    folder.write("out.onnx", "mine");
    folder
        .run("export small.safetensors out.onnx")
        .exits(2)
        .says("`out.onnx` already exists")
        .says("hint: pass --force");
    assert_eq!(fs::read(folder.path("out.onnx")).unwrap(), b"mine");
    folder.run("export --force small.safetensors out.onnx").exits(0);
    assert!(Model::parse(&fs::read(folder.path("out.onnx")).unwrap()).is_ok());
    folder.run("export small.safetensors no/such/out.onnx").exits(2).says("cannot write in `no/such`");
    folder.run("export small.safetensors").exits(2).says("<OUT>");
    folder.run("export missing.safetensors x.onnx").exits(2).says("missing.safetensors");
}

#[test]
fn metadata_tell_where_the_weights_come_from() {
    let folder = Folder::new();
    folder.small_weights();
    folder.write("names.txt", "red\ngreen\nblue\n");
    let texts = |flags: &str| {
        let json = folder.run(&format!("export --force --json small.safetensors x.onnx {flags}")).exits(0).json();
        let bytes = fs::read(folder.path("x.onnx")).unwrap();
        (json, Model::parse(&bytes).unwrap().metadata)
    };
    let find = |texts: &[(String, String)], name: &str| {
        texts.iter().find(|(key, _)| key == name).map(|(_, text)| text.clone())
    };
    let (json, own) = texts("");
    let inspected = folder.run("inspect --json small.safetensors").exits(0).json();
    assert_eq!((&json["sha256"], &json["written"]), (&inspected["sha256"], &"x.onnx".into()));
    assert_eq!(find(&own, "weights.sha256").as_deref(), json["sha256"].as_str());
    assert_eq!(find(&own, "labels").unwrap(), "[\"shirt\",\"shoe\",\"bag\"]");
    assert_eq!(find(&own, "preprocessing.mean").unwrap(), "[0.5,0.5,0.5]");
    assert_eq!(find(&own, "network").unwrap(), "custom");
    let all: serde_json::Value = serde_json::from_str(&find(&own, "hardnet").unwrap()).unwrap();
    assert_eq!((&all["labels"][1], &all["pipeline"]["crop"]), (&"shoe".into(), &24.into()));
    let (_, named) = texts("--labels names.txt --pipeline paddle-cv2");
    assert_eq!(find(&named, "labels").unwrap(), "[\"red\",\"green\",\"blue\"]");
    assert_eq!(find(&named, "preprocessing.channels").unwrap(), "BGR");
    let (_, part) = texts("--features stride8");
    assert_eq!(find(&part, "features").as_deref(), Some("stride8"));
    assert_eq!((find(&part, "labels"), find(&part, "hardnet")), (None, None));
    folder.write("two.txt", "red\ngreen\n");
    let refused = folder.run("export small.safetensors y.onnx --labels two.txt").exits(2);
    refused.says("2 class names for a network of 3 classes").says("hint: --labels needs");
}

#[test]
fn preprocessing_that_is_not_known_is_not_stated() {
    let folder = Folder::new();
    let (config, metadata) = notebook_metadata();
    folder.write("own.safetensors", weights(&config, Some(&metadata)));
    let texts = |flags: &str| {
        folder.run(&format!("export --force own.safetensors x.onnx {flags}")).exits(0);
        let bytes = fs::read(folder.path("x.onnx")).unwrap();
        Model::parse(&bytes).unwrap().metadata("preprocessing.mean").map(str::to_owned)
    };
    assert_eq!(texts("--img-size 32 --pipeline pil-bicubic").unwrap(), "[0.485,0.456,0.406]");
    assert_eq!(texts(""), None);
    assert!(texts("--with-preprocessing").is_some());
}

#[test]
fn forms_are_chosen_by_options() {
    let folder = Folder::new();
    folder.small_weights();
    let export =
        |flags: &str| folder.run(&format!("export --force --json small.safetensors x.onnx {flags}")).exits(0).json();
    let json = export("--opset 13 --batch dynamic --dynamic-size --keep-norm");
    assert_eq!((&json["opset"], &json["ir_version"], &json["norm"]), (&13.into(), &7.into(), &"kept".into()));
    assert_eq!(json["inputs"][0], "input: f32[batch, 3, height, width]");
    let json =
        export("--opset 21 --with-preprocessing --softmax --dtype f16 --img-size 32 --batch 4 --keep-norm --fold-norm");
    assert_eq!((&json["ir_version"], &json["norm"], &json["dtype"]), (&10.into(), &"folded".into(), &"f16".into()));
    assert_eq!(
        (&json["inputs"][0], &json["outputs"][0]),
        (&"input: u8[4, 32, 32, 3]".into(), &"probabilities: f16[4, 3]".into())
    );
    let json = export("--features stride4,stride8-block,base.1,last");
    let outputs: Vec<_> = json["outputs"].as_array().unwrap().iter().map(|output| output.as_str().unwrap()).collect();
    assert_eq!(outputs[0], "base.4: f32[1, 96, 6, 6]");
    assert_eq!(outputs.len(), 4, "{outputs:?}");
    let refused = |flags: &str| folder.run(&format!("export small.safetensors y.onnx {flags}")).exits(2);
    refused("--opset 12").says("opset 12 is not supported, expected 13 to 21");
    refused("--batch 0").says("batch `0` is not a number of images");
    refused("--dtype bf16").says("expected f32 or f16");
    refused("--features stride7").says("no feature map at stride 7");
    refused("--features stride4 --softmax").says("cannot be used with");
    assert!(!folder.path("y.onnx").exists());
}

#[test]
fn a_backbone_gives_features_and_no_probabilities() {
    let folder = Folder::new();
    folder.write("net.toml", hardnet_graph::Config::fc_hardnet70_encoder().to_toml());
    let config = hardnet_graph::Config::fc_hardnet70_encoder();
    folder.write("encoder.safetensors", weights(&config, None));
    let json = folder.run("export --json encoder.safetensors x.onnx --model net.toml --img-size 64").exits(0).json();
    assert_eq!(
        (&json["outputs"][0], &json["model"]),
        (&"features: f32[1, 320, 1, 1]".into(), &"fc-hardnet70-encoder".into())
    );
    let run = folder.run("export encoder.safetensors y.onnx --softmax").exits(2);
    run.says("is a backbone without a classifier").says("hint: drop --softmax");
}

#[test]
fn an_exported_file_is_a_weights_file() {
    let folder = Folder::new();
    folder.small_weights();
    folder.pictures("photos", 2);
    for (flags, name) in
        [("", "a.onnx"), ("--keep-norm --opset 13", "b.onnx"), ("--with-preprocessing --softmax", "c.onnx")]
    {
        folder.run(&format!("export small.safetensors {name} {flags}")).exits(0);
        let logits = |weights: &str| {
            let run = folder.run(&format!("predict --logits --weights {weights} photos/0.png")).exits(0);
            let line = &run.json_lines()[0];
            line["logits"].as_array().unwrap().iter().map(|logit| logit.as_f64().unwrap()).collect::<Vec<_>>()
        };
        for (found, expected) in logits(name).iter().zip(logits("small.safetensors")) {
            assert!((found - expected).abs() < 1e-4, "{found} {expected}");
        }
        let json = folder.run(&format!("inspect --json {name}")).exits(0).json();
        assert_eq!((&json["usable"], &json["format"], &json["classes"]), (&true.into(), &"ONNX".into(), &3.into()));
    }
    // Back to safetensors, with the metadata.
    folder.run("convert a.onnx back.safetensors").exits(0).says("ONNX");
    let json = folder.run("inspect --json back.safetensors").exits(0).json();
    assert_eq!(json["metadata"]["hardnet"]["labels"][1], "shoe");
    // A part of a network is not read as one.
    folder.run("export small.safetensors part.onnx --features stride4,stride8").exits(0);
    let part = folder.run("predict --weights part.onnx photos/0.png").exits(2);
    part.says("it gives the feature maps `stride4,stride8`, expected a whole network").says("without --features");
    folder.write("cut.onnx", &fs::read(folder.path("a.onnx")).unwrap()[..1000]);
    folder.run("predict --weights cut.onnx photos/0.png").exits(2).says("bytes are announced");
}

/// Files that an exporter of PyTorch wrote of a network of its own do not describe it.
#[test]
fn a_foreign_file_of_a_custom_network_needs_its_description() {
    let folder = Folder::new();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../hardnet-params/tests/onnx/dense.dynamo.onnx");
    let networks = concat!(env!("CARGO_MANIFEST_DIR"), "/../hardnet-params/tests/onnx/networks.json");
    let all: serde_json::Value = serde_json::from_slice(&fs::read(networks).unwrap()).unwrap();
    let config: hardnet_graph::Config = serde_json::from_value(all["dense"]["config"].clone()).unwrap();
    folder.write("net.toml", config.to_toml());
    fs::copy(file, folder.path("net.onnx")).unwrap();
    folder
        .run("convert net.onnx net.safetensors")
        .exits(2)
        .says("`net.onnx` does not hold hardnet68")
        .says("hint: if it is a network of your own, pass --model FILE that describes it");
    folder.run("convert net.onnx net.safetensors --model net.toml").exits(0);
}

/// Each is refused with its reason, and without work that its size does not earn.
#[test]
fn hostile_files_are_refused_with_a_reason() {
    let folder = Folder::new();
    let stored = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus-stored/onnx");
    for (name, reason) in [
        ("cycle", "which no earlier node writes"),
        ("huge", "is f32[2, 1099511627776] and has 8 bytes, expected 8796093022208"),
        ("external", "the elements of a tensor are in another file"),
        ("short", "bytes, expected"),
        ("cut", "bytes are announced"),
        ("found-no-output", "it has no output"),
    ] {
        fs::copy(format!("{stored}/{name}"), folder.path("x.onnx")).unwrap();
        folder.run("convert x.onnx x.safetensors").exits(2).says(reason);
        assert!(!folder.path("x.safetensors").exists());
    }
}

#[test]
fn integers_are_pairs_of_nodes() {
    let folder = Folder::new();
    folder.small_weights();
    let json = folder.run("export --json small.safetensors x.onnx --int8 qdq --batch dynamic").exits(0).json();
    assert_eq!((&json["int8"], &json["dtype"]), (&"qdq".into(), &"f32".into()));
    let bytes = fs::read(folder.path("x.onnx")).unwrap();
    let model = Model::parse(&bytes).unwrap();
    assert_eq!(model.metadata("int8"), Some("qdq"));
    let count = |op: &str| model.nodes.iter().filter(|node| node.op == op).count();
    assert!(count("QuantizeLinear") > 5 && count("DequantizeLinear") > 2 * count("QuantizeLinear"));
    let weight = model.initializers.iter().find(|tensor| tensor.info.name == "base.1.conv.weight").unwrap();
    assert_eq!(weight.info.element.to_string(), "i8");
    // Back to a file of integers.
    let json = folder.run("inspect --json x.onnx").exits(0).json();
    assert_eq!((&json["usable"], &json["classes"]), (&true.into(), &3.into()));
    for other in ["--dtype f16", "--keep-norm", "--features stride4"] {
        folder.run(&format!("export small.safetensors y.onnx --int8 qdq {other}")).exits(2).says("cannot be used with");
    }
    folder.run("export small.safetensors y.onnx --int8 ops").exits(2).says("possible values: qdq");
}

/// A quantized file gives the model that its scales are, and the model read gives the file's layers.
#[test]
fn quantized_files_are_exported_with_their_scales() {
    let folder = Folder::new();
    folder.small_weights();
    folder.pictures("photos", 3);
    let model = |name: &str| fs::read(folder.path(name)).unwrap();
    folder.run("quantize small.safetensors free.safetensors").exits(0);
    folder.run("quantize small.safetensors measured.safetensors --calibrate photos --method min-max").exits(0);
    for (weights, method) in [("free", "without images"), ("measured", "min-max")] {
        folder.run(&format!("export {weights}.safetensors {weights}.onnx --int8 qdq")).exits(0);
        let bytes = model(&format!("{weights}.onnx"));
        let described = Model::parse(&bytes).unwrap().metadata("hardnet").unwrap().to_owned();
        assert!(described.contains(&format!("\"method\":\"{method}")), "{described}");
        let [file, read] = ["safetensors", "onnx"]
            .map(|ending| WeightsFile::open(folder.path(&format!("{weights}.{ending}"))).unwrap());
        assert_eq!(file.config(), read.config());
        let graph = Graph::new(file.config()).unwrap().inference();
        let (file, read) = (file.parameters(), read.parameters());
        let mut integers = 0;
        for node in graph.nodes() {
            assert_eq!(file.map(&node.name), read.map(&node.name), "{}", node.name);
            assert_eq!(file.units(&node.name), read.units(&node.name), "{}", node.name);
            let (file, read) = (file.layer(&node.name).unwrap(), read.layer(&node.name).unwrap());
            let (Some(file), Some(read)) = (&file, &read) else {
                assert_eq!(file, read, "{}", node.name);
                continue;
            };
            integers += 1;
            assert_eq!(file.weights, read.weights, "{}", node.name);
            for ((scale, bias), (own_scale, own_bias)) in
                file.scale.iter().zip(&file.bias).zip(read.scale.iter().zip(&read.bias))
            {
                // A quotient and a product are rounded, and the bias to the unit of the sums.
                assert!((scale - own_scale).abs() <= f32::EPSILON * scale, "{}: {scale}, {own_scale}", node.name);
                assert!((bias - own_bias).abs() <= 0.51 * scale + f32::EPSILON * bias.abs(), "{}", node.name);
            }
        }
        assert!(integers > 5, "{integers} layers of integers");
    }
    // Quantizing on the way is the same.
    folder.run("export small.safetensors direct.onnx --int8 qdq").exits(0);
    let (direct, free) = (model("direct.onnx"), model("free.onnx"));
    let (direct, free) = (Model::parse(&direct).unwrap(), Model::parse(&free).unwrap());
    assert!(direct.nodes == free.nodes && direct.initializers == free.initializers);
    // From a model to a model.
    folder.run("export measured.onnx again.onnx --int8 qdq").exits(0);
    let (measured, again) = (model("measured.onnx"), model("again.onnx"));
    assert!(Model::parse(&measured).unwrap().nodes == Model::parse(&again).unwrap().nodes);
    folder.run("export measured.safetensors no.onnx").exits(2).says("8-bit integers").says("or --int8 qdq");
    folder.run("export measured.safetensors no.onnx --int8 qdq --dtype f16").exits(2).says("cannot be used with");
    assert!(!folder.path("no.onnx").exists());
}

/// Both segmentation networks, of a fixed size, of any size, and with probabilities.
#[test]
fn segmentation_networks_are_exported() {
    let folder = Folder::new();
    let config = hardnet_model::Config::from(hardnet_model::SegmentationVariant::PaddleSeg).with_classes(3);
    let tensors = hardnet_params::synthetic::parameters(&config).unwrap();
    let metadata = hardnet_model::Metadata::new(config).to_json();
    let bytes = weights_file::safetensors(tensors, Encoding::F32, Some(&metadata));
    std::fs::write(folder.path("seg.safetensors"), bytes).unwrap();
    let json = folder.run("export seg.safetensors seg.onnx --size 97x131 --json").exits(0).json();
    assert_eq!(json["outputs"][0], "logits: f32[1, 3, 97, 131]");
    let json = folder.run("export seg.safetensors free.onnx --dynamic-size --softmax --json").exits(0).json();
    assert_eq!(json["outputs"][0], "probabilities: f32[1, 3, ?, ?]");
    folder.run("export seg.safetensors no.onnx --with-preprocessing").exits(2).says("is not exported");
    let text = folder.run("inspect seg.safetensors").exits(0).stdout;
    assert!(text.contains("fc-hardnet70-paddleseg with 3 classes"), "{text}");
    folder.run("predict --weights seg.safetensors -").exits(2).says("segments images, expected a classifier");
}

/// The weights stay on disk: a file with another tensor of 1 GiB is exported in less address space than that.
#[cfg(target_os = "linux")]
#[test]
fn weights_are_not_held_in_memory() {
    use super::support::{Run, metadata, small};

    const HUGE: usize = 1 << 30;
    let folder = Folder::new();
    let tensors = hardnet_params::synthetic::parameters(&small()).unwrap().into_iter();
    let tensors = tensors.map(|(name, shape, values)| (format!("net.{name}"), shape, values)).collect();
    let bytes = weights_file::safetensors(tensors, Encoding::F32, Some(&metadata(small())));
    let (length, rest) = bytes.split_first_chunk().unwrap();
    let (header, values) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let mut header: serde_json::Value = serde_json::from_slice(header).unwrap();
    let end = values.len() + HUGE;
    header["huge"] = serde_json::json!({ "dtype": "F32", "shape": [HUGE / 4], "data_offsets": [values.len(), end] });
    let header = header.to_string();
    let start = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
    let path = folder.write("large.safetensors", [&start[..], values].concat());
    // A hole, which takes no space on disk.
    fs::File::options().append(true).open(path).unwrap().set_len((start.len() + end) as u64).unwrap();

    let limited = "ulimit -v 900000; exec \"$0\" export large.safetensors out.onnx --prefix net --threads 1";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", limited, env!("CARGO_BIN_EXE_hardnet")]).current_dir(folder.path(""));
    Run::from(command.output().unwrap()).exits(0);
    assert!(Model::parse(&fs::read(folder.path("out.onnx")).unwrap()).is_ok());
}
