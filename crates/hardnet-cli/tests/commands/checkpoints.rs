//! Checkpoints of training programs: which dictionary is read, and how another is chosen.

use super::support::Folder;

/// A file that `tests/trainers/make_files.py` saved.
fn saved(name: &str) -> String {
    format!("{}/../../tests/trainers/files/{name}", env!("CARGO_MANIFEST_DIR"))
}

const READS: &str =
    "reading `state_dict_ema` (32 tensors); --entry chooses another dictionary: `state_dict` (32 tensors)";

#[test]
fn averaged_weights_are_read_and_another_dictionary_is_chosen() {
    let folder = Folder::new();
    folder.pictures("images", 3);
    folder.list(3);
    let timm = saved("timm.pth.tar");
    let sized = "--img-size 32 --crop-pct 1";
    let predicted = |options: &str| {
        let run = folder.run(&format!("predict {options} {sized} --json images/0.png")).exits(0);
        run.stdout.clone()
    };
    let averaged = folder.run(&format!("predict --weights {timm} {sized} --json images/0.png")).exits(0).says(READS);
    assert_eq!(predicted(&format!("--weights {timm} --entry state_dict_ema")), averaged.stdout);
    assert_ne!(predicted(&format!("--weights {timm} --entry state_dict")), averaged.stdout);

    let wrong = folder.run(&format!("predict --weights {timm} --entry model {sized} images/0.png")).exits(2);
    wrong.says("no dictionary of tensors `model`, only `state_dict` (32 tensors), `state_dict_ema` (32 tensors)");

    let list = format!("--data-dir images --val-list list.txt {sized}");
    let eval = folder.run(&format!("eval --weights {timm} {list} --json")).exits(0).says(READS);
    assert_eq!(eval.json()["weights"]["wrapper"], "state_dict_ema");
    let eval = folder.run(&format!("eval --weights {timm} --entry state_dict {list} --json")).exits(0);
    assert_eq!(eval.json()["weights"]["wrapper"], "state_dict");

    let convert = format!("convert {timm} out.safetensors --dry-run --json");
    let json = folder.run(&convert).exits(0).says(READS).json();
    assert_eq!(json["source"]["wrapper"], "state_dict_ema");
    let json = folder.run(&format!("{convert} --entry state_dict")).exits(0).json();
    assert_eq!(json["source"]["wrapper"], "state_dict");

    for command in ["trace images/0.png", "bench --iters 1 --no-reference", "info"] {
        let sized = if command == "info" { "--img-size 32" } else { sized };
        folder.run(&format!("{command} --weights {timm} {sized}")).exits(0).says("reading `state_dict_ema`");
        folder
            .run(&format!("{command} --weights {timm} --entry state_dict {sized}"))
            .exits(0)
            .says("reading `state_dict`");
        folder.run(&format!("{command} --weights {timm} --entry ema {sized}")).exits(2).says("tensors `ema`, only");
    }
    let train = format!("train -o run --weights {timm} --entry state_dict --data-dir images --train-list list.txt");
    let train = format!("{train} {sized} --epochs 1 --batch-size 2 --device cpu");
    folder.run(&train).exits(0).says("reading `state_dict`");
}

#[test]
fn inspect_lists_what_a_checkpoint_holds() {
    let folder = Folder::new();
    let run = folder.run(&format!("inspect {}", saved("torchvision.pth"))).exits(0);
    for line in
        ["entry     `model`, 32 tensors\n", "entry     `model_ema`, 32 tensors, read\n", "counter   `n_averaged`\n"]
    {
        assert!(run.stdout.contains(line), "{line:?} in {run:?}");
    }
    let info = format!("info --img-size 32 --weights {}", saved("torchvision.pth"));
    folder.run(&info).exits(0).says("reading `model_ema` (32 tensors); --entry chooses another dictionary: `model`");
    let json = folder.run(&format!("inspect --json --entry model {}", saved("torchvision.pth"))).exits(0).json();
    assert_eq!((&json["wrapper"], &json["usable"]), (&"model".into(), &true.into()));
    assert_eq!(json["dictionaries"][0], serde_json::json!({"entry": "model", "tensors": 32}));
    // A whole module in two precisions, and objects of many classes.
    for (file, says) in [("whole_half.pth", "`ema`, 32 tensors, read"), ("objects.legacy.pth", "from `state_dict`")] {
        let run = folder.run(&format!("inspect {}", saved(file))).exits(0);
        assert!(run.stdout.contains(says) && run.stdout.contains("custom with 3 classes"), "{run:?}");
    }
}

#[test]
fn an_object_in_place_of_weights_is_named() {
    let folder = Folder::new();
    let object = b"\x80\x02}X\x0a\0\0\0state_dictcomegaconf.dictconfig\nDictConfig\n)\x81s.";
    folder.write("config.pth", object);
    for command in ["inspect config.pth", "convert config.pth out.safetensors"] {
        let run = folder.run(command).exits(2).says("global `omegaconf.dictconfig DictConfig` at offset 18 is refused");
        run.says("hint: save the `state_dict()`");
    }
}
