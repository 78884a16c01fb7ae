//! Weights whose names begin with something, and files that hold more than a network.

use hardnet_demo::fashion_mnist::{SAMPLE_TAR, VAL_LIST, WEIGHTS};
use hardnet_model::{Config, Graph, Parameters, Variant, WeightsFile};
use hardnet_params::synthetic;
use hardnet_testing::torch_file::torch;
use hardnet_testing::weights_file::{Encoding, Tensors, safetensors};

use super::support::Folder;

const EVAL: &str = "--img-size 64 --crop-pct 1 --data-dir images.tar --val-list val_list.txt --num-samples 100";

/// The demonstration's weights.
fn trained() -> Tensors {
    let file = WeightsFile::from_bytes("demo", WEIGHTS.to_vec()).unwrap();
    let params = Graph::new(file.config()).unwrap().params().into_iter();
    let values = file.parameters();
    params.map(|param| (param.name.clone(), param.shape.clone(), values.values(&param).unwrap())).collect()
}

fn prefixed(tensors: &Tensors, prefix: &str) -> Tensors {
    tensors.iter().map(|(name, shape, values)| (format!("{prefix}{name}"), shape.clone(), values.clone())).collect()
}

fn other(name: &str) -> Tensors {
    vec![(name.into(), vec![2, 3], vec![0.5; 6])]
}

fn ready() -> Folder {
    let folder = Folder::new();
    folder.write("images.tar", SAMPLE_TAR);
    folder.write("val_list.txt", VAL_LIST);
    folder
}

#[test]
fn prefixed_weights_have_the_accuracy_of_plain_ones() {
    let folder = ready();
    let plain = trained();
    folder.write("plain.pth", torch(&plain));
    folder.write("compiled.pth", torch(&prefixed(&plain, "_orig_mod.")));
    folder.write("parallel.pth", torch(&prefixed(&plain, "module.")));
    folder.write("compiled_ddp.pth", torch(&prefixed(&plain, "module._orig_mod.")));
    let lightning = [other("criterion.weight"), prefixed(&plain, "model."), other("teacher.fc.weight")].concat();
    folder.write("lightning.ckpt", torch(&lightning));
    folder.write("compiled.safetensors", safetensors(prefixed(&plain, "net._orig_mod."), Encoding::F32, None));
    let correct = |weights: &str, says: &[&str]| {
        let run = folder.run(&format!("eval --weights {weights} {EVAL} --json")).exits(0);
        let run = says.iter().fold(run, |run, text| run.says(text));
        run.json()["top1"]["correct"].as_u64().unwrap()
    };
    let expected = correct("plain.pth", &[]);
    assert!(expected > 85, "{expected} of 100");
    assert_eq!(correct("compiled.pth", &["names begin with `_orig_mod.`: stripped"]), expected);
    assert_eq!(correct("parallel.pth", &["names begin with `module.`: stripped"]), expected);
    assert_eq!(correct("compiled_ddp.pth", &["names begin with `module._orig_mod.`: stripped"]), expected);
    assert_eq!(correct("compiled.safetensors", &["names begin with `net._orig_mod.`: stripped"]), expected);
    let says =
        ["names begin with `model.`: stripped", "left out: 2 other tensors (`criterion.weight`, `teacher.fc.weight`)"];
    assert_eq!(correct("lightning.ckpt", &says), expected);

    let run = folder.run("inspect lightning.ckpt").exits(0);
    assert!(run.stdout.contains("prefix    `model.`\nleft out  2 other tensors (`criterion.weight`, ...)"), "{run:?}");
    let run = folder.run("inspect --json compiled.pth").exits(0).json();
    assert_eq!(
        (&run["prefix"], &run["usable"], &run["scheme"]),
        (&"_orig_mod.".into(), &true.into(), &"pytorch".into())
    );
    let converted = folder.run("convert lightning.ckpt out.safetensors --json").exits(0).json();
    assert_eq!(converted["source"]["prefix"], "model.");
    assert_eq!(correct("out.safetensors", &[]), expected);
}

#[test]
fn a_file_of_two_networks_needs_a_choice() {
    let folder = ready();
    let student = trained();
    let teacher = synthetic::parameters(&Config::from(Variant::HarDNet39Ds).with_classes(10)).unwrap();
    let both = [prefixed(&student, "student."), prefixed(&teacher, "teacher.")].concat();
    folder.write("both.pth", torch(&both));
    let eval = |flags: &str| folder.run(&format!("eval --weights both.pth {EVAL} {flags}"));
    eval("")
        .exits(2)
        .says("`both.pth` holds several networks: hardnet39ds under `student.`, hardnet39ds under `teacher.`")
        .says("hint: choose one with --prefix, such as --prefix student.");
    let report = eval("--prefix student --json").exits(0).says("left out: 372 other tensors").json();
    assert!(report["top1"]["correct"].as_u64().unwrap() > 85, "{report}");
    assert_eq!(report["weights"]["prefix"], "student.");
    let report = eval("--prefix teacher. --json").exits(0).json();
    assert!(report["top1"]["correct"].as_u64().unwrap() < 50, "{report}");
    eval("--prefix net.")
        .exits(2)
        .says("no tensor of `both.pth` has a name that begins with `net.`, expected one of `student.`, `teacher.`");
    let run = folder.run("inspect both.pth").exits(0);
    assert!(run.stdout.contains("holds several networks"), "{run:?}");
    let run = folder.run("inspect both.pth --prefix teacher.").exits(0);
    assert!(run.stdout.contains("network   hardnet39ds with 10 classes"), "{run:?}");

    // Twice the same network under two names is one.
    folder.write("twice.pth", torch(&[prefixed(&student, "model."), prefixed(&student, "compiled.")].concat()));
    let run = folder.run(&format!("eval --weights twice.pth {EVAL} --json")).exits(0);
    run.says("names begin with `model.`: stripped");
}
