//! Networks that a file describes, and those that are assumed because nothing describes them.

use hardnet_model::{Activation, Config, Downsample, Variant};
use hardnet_params::synthetic;
use hardnet_testing::torch_file::torch;
use hardnet_testing::weights_file::{Encoding, Tensors, safetensors};

use super::support::Folder;

/// The base of a detector like SSD-HarDNet85, narrow: ReLU, a stem pool, and pools after blocks 1 and 3 only.
fn ssd_like() -> Config {
    let mut config = Config::from(Variant::HarDNet85).without_head();
    config.activation = Activation::Relu;
    config.downsample = Downsample::AveragePool;
    (config.stem.convs[0].channels, config.stem.convs[1].channels) = (8, 16);
    config.blocks.truncate(5);
    for (at, block) in config.blocks.iter_mut().enumerate() {
        (block.layers, block.growth, block.transition) = (4, 8, 24 + 8 * at);
        block.downsample = at == 0 || at == 2;
    }
    config
}

/// The tensors of `config` under names without `base.`, as base files have them.
fn base_file(config: &Config) -> Tensors {
    let tensors = synthetic::parameters(config).unwrap().into_iter();
    tensors.map(|(name, shape, values)| (name["base.".len()..].to_owned(), shape, values)).collect()
}

const ASSUMED: &str = "assumed: ReLU6; strides 2 and 1 in the stem; max pooling after the stem and blocks 1 and 3, \
                       rounding sizes down; padding on all sides; pass --model FILE to say otherwise";

#[test]
fn what_shapes_do_not_tell_is_assumed_aloud_or_taken_from_a_file() {
    let folder = Folder::new();
    folder.write("base.pth", torch(&base_file(&ssd_like())));
    folder.run("info --weights base.pth --img-size 64").exits(0).says(ASSUMED);
    let run = folder.run("inspect base.pth").exits(0);
    assert!(
        run.stdout.contains("assumed   max pooling after the stem and blocks 1 and 3, rounding sizes down\n"),
        "{run:?}"
    );

    let report = folder.run("convert base.pth assumed.safetensors --json").exits(0).says(ASSUMED).json();
    assert_eq!(report["assumed"][0], "ReLU6");
    let metadata =
        |file: &str| folder.run(&format!("inspect --json {file}")).exits(0).json()["metadata"]["hardnet"].clone();
    assert_eq!(metadata("assumed.safetensors")["assumed"], report["assumed"]);
    assert_eq!(metadata("assumed.safetensors")["config"]["activation"], "relu6");
    folder.run("info --weights assumed.safetensors --img-size 64").exits(0).says(ASSUMED);

    let written = folder.run("info --weights base.pth --write-config net.toml").exits(0).says(ASSUMED);
    assert_eq!(written.stdout, "net.toml\n");
    let text = std::fs::read_to_string(folder.path("net.toml")).unwrap();
    assert!(text.contains("activation = \"relu6\"") && text.contains("downsample = \"max_pool\""), "{text}");
    folder.write("net.toml", text.replace("\"relu6\"", "\"relu\"").replace("\"max_pool\"", "\"average_pool\""));
    // From the original, and from a file whose network was assumed.
    for source in ["base.pth", "assumed.safetensors"] {
        let run = folder.run(&format!("convert {source} told.safetensors --model net.toml --force")).exits(0);
        assert!(!run.stderr.contains("assumed:"), "{run:?}");
        let metadata = metadata("told.safetensors");
        assert_eq!(metadata["config"], serde_json::to_value(ssd_like()).unwrap(), "{source}");
        assert_eq!(metadata["assumed"], serde_json::Value::Null);
    }
    folder.run("convert assumed.safetensors --hub-layout hub").exits(0);
    let card = std::fs::read_to_string(folder.path("hub/README.md")).unwrap();
    for part in [
        "| assumed, as shapes do not tell it | ReLU6; strides 2",
        "image-feature-extraction",
        "hardnet embed --weights",
    ] {
        assert!(card.contains(part), "{part} in {card}");
    }
    // Certain facts of a file are not overruled.
    folder.write("other.toml", text);
    folder
        .run("convert told.safetensors x.safetensors --model other.toml")
        .exits(2)
        .says("`told.safetensors` holds a network of its own, not the network that was given: `activation` is \"relu\", not \"relu6\"")
        .says("hint: drop --model");
}

#[test]
fn fc_hardnets_encoder_is_recognized() {
    let folder = Folder::new();
    folder.pictures("images", 3);
    let encoder = Config::fc_hardnet70_encoder();
    folder.write("petite_base.safetensors", safetensors(base_file(&encoder), Encoding::F32, None));
    let run = folder.run("info --weights petite_base.safetensors --img-size 64 --json").exits(0);
    assert!(!run.stderr.contains("assumed"), "{run:?}");
    let report = run.json();
    assert_eq!((&report["model"], &report["classes"]), (&"fc-hardnet70-encoder".into(), &0.into()));
    assert_eq!(report["config"], serde_json::to_value(&encoder).unwrap());
    folder.run("convert petite_base.safetensors out.safetensors").exits(0).says("fc-hardnet70-encoder with 0 classes");
    folder.run("info --weights out.safetensors --img-size 64").exits(0);
    folder.run("embed --weights petite_base.safetensors --img-size 64 -o v.npy images/0.png").exits(0);
    folder.run("bench --weights out.safetensors --img-size 64 --iters 1").exits(0);
    folder
        .run("predict --weights petite_base.safetensors images/0.png")
        .exits(2)
        .says("`petite_base.safetensors` is a backbone without a classifier")
        .says("hint: this command needs a network with a head");
}

/// A backbone that is trained gets the head of the network that is named with it.
#[test]
fn a_backbone_gets_the_head_of_the_named_network() {
    let folder = Folder::new();
    let mut config = ssd_like();
    config.blocks.truncate(2);
    folder.write("base.pth", torch(&base_file(&config)));
    folder.pictures("images", 9);
    folder.list(9);
    folder.run("info --weights base.pth --write-config net.toml").exits(0);
    let text = std::fs::read_to_string(folder.path("net.toml")).unwrap();
    folder.write("net.toml", text.replace("\"relu6\"", "\"relu\"") + "\n[head]\nclasses = 3\ndropout = 0.25\n");
    folder
        .run(
            "train -o run --model net.toml --weights base.pth --data-dir images --train-list list.txt --num-classes 3 \
             --epochs 1 -b 3 --img-size 32 --threads 1 -j 1 --crop none",
        )
        .exits(0)
        .says("`base.pth` has no head; adding a random one for 3 classes");
    let config =
        folder.run("info --weights run/last.safetensors --img-size 32 --json").exits(0).json()["config"].clone();
    assert_eq!((&config["head"]["dropout"], &config["activation"]), (&0.25.into(), &"relu".into()));
}

/// A network of one's own: written, changed, described, measured, trained.
#[test]
fn a_network_in_toml_goes_wherever_a_name_goes() {
    let folder = Folder::new();
    folder.run("info hardnet39ds --write-config net.toml").exits(0);
    folder.run("info hardnet39ds --write-config net.toml").exits(2).says("hint: pass --force");
    folder.run("info hardnet39ds --write-config net.toml --force").exits(0);
    assert_eq!(folder.run("info net.toml").exits(0).stdout, folder.run("info hardnet39ds").exits(0).stdout);

    let text = std::fs::read_to_string(folder.path("net.toml")).unwrap();
    let start = text.find("    { layers = 8,").unwrap();
    let end = text[start..].find("]\n").unwrap() + start;
    let own = text[..start].to_owned() + &text[end..];
    let own =
        own.replace("channels = 24", "channels = 8").replace("channels = 48", "channels = 12").replace("1000", "3");
    let own = own.replace("growth = 16", "growth = 4").replace("growth = 20", "growth = 4").replace("320", "24");
    folder.write("own.toml", &own);
    let report = folder.run("info own.toml --img-size 32 --json").exits(0).json();
    assert_eq!((&report["model"], &report["classes"]), (&"custom".into(), &3.into()));
    folder.run("bench own.toml --img-size 32 --iters 1 --json").exits(0);
    folder.pictures("images", 9);
    folder.list(9);
    folder
        .run(
            "train -o run --model own.toml --data-dir images --train-list list.txt --epochs 1 -b 3 --num-classes 3 \
             --img-size 32 --threads 1 -j 1 --crop none",
        )
        .exits(0);
    let trained = folder.run("info --weights run/last.safetensors --img-size 32 --json").exits(0).json();
    assert_eq!(trained["config"], report["config"]);
    let eval = "eval --weights run/last.safetensors --data-dir images --val-list list.txt --img-size 32";
    folder.run(&format!("{eval} --model own.toml")).exits(0);
    folder.run(&format!("{eval} --model net.toml")).exits(2).says("holds a network of its own").says("drop --model");
}

#[test]
fn what_describes_no_network_says_where() {
    let folder = Folder::new();
    folder.small_weights();
    folder.run("info hardnet68 --write-config net.toml").exits(0);
    let text = std::fs::read_to_string(folder.path("net.toml")).unwrap();
    folder.write("net.toml", text.replacen("growth = 14", "groth = 14", 1));
    folder
        .run("info net.toml")
        .exits(2)
        .says("`net.toml` does not describe a network: line ")
        .says("unknown field `groth`");
    folder.write("net.toml", text.replacen("growth = 14", "growth = 0", 1));
    folder
        .run("train -o run --model net.toml --data-dir x")
        .exits(2)
        .says("`blocks[0].growth` is 0, expected 1 to 65536");
    for command in ["info", "bench", "train -o run --data-dir x --model", "convert small.safetensors o.safetensors -m"]
    {
        folder
            .run(&format!("{command} hardnet-86"))
            .exits(2)
            .says("`hardnet-86` is neither a network nor a file; similar names: `hardnet85`");
        folder.run(&format!("{command} nothing.toml")).exits(2).says("cannot read the network `nothing.toml`");
    }
    folder.run("info resnet51").exits(2).says("similar names: `resnet50`");
    folder
        .run("info small.safetensors")
        .exits(2)
        .says("`small.safetensors` does not describe a network, expected TOML")
        .says("hint: weights go to --weights");
    folder.run("info resnet50 --write-config r.toml").exits(2).says("`resnet50` is not a HarDNet");
    folder.run("info --write-config r.toml").exits(2);
}
