//! `hardnet list`, `env`, `completions`, `--help`.

use super::support::{Folder, Run};

#[test]
fn list_has_the_networks_and_their_published_accuracies() {
    let folder = Folder::new();
    let run = folder.run("list").exits(0);
    for part in ["hardnet39ds", "3.49 M", "72.08 %", "hardnet85", "36.67 M", "93.89 %"] {
        assert!(run.stdout.contains(part), "{part} in {}", run.stdout);
    }
    assert_eq!(folder.run("models --json").exits(0).json()[2]["parameters"], 17_565_348);
}

#[test]
fn published_accuracies_are_listed_with_their_pipelines() {
    let folder = Folder::new();
    let listed = folder.run("list --weights").exits(0).stdout;
    let lines: Vec<Vec<_>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    let at = lines.iter().position(|line| line[0] == "hardnet68.paddleclas_in1k").unwrap();
    assert_eq!(lines[at][3..7], ["76.48", "%", "pil-bilinear", "Apache-2.0"]);
    assert_eq!(lines[at + 1], ["75.46", "%", "paddleclas"]);
    let rows = folder.run("list --weights --json").exits(0).json();
    let row = rows.as_array().unwrap().iter().find(|row| row["tag"] == "hardnet68.paddleclas_in1k").unwrap();
    assert_eq!(row["published"][1]["pipeline"], "paddleclas");
    assert_eq!(row["published"][1]["source"], "PaddleClas's documentation");
    assert!(row["published"][1]["preprocessing"].as_str().unwrap().starts_with("OpenCV linear"));
    let line = lines.iter().find(|line| line[0] == "fc-hardnet70.upstream_cityscapes").unwrap();
    assert_eq!(line[3..7], ["77.70", "%", "mIoU", "fchardnet"]);
    let row = rows.as_array().unwrap().iter().find(|row| row["tag"] == "fc-hardnet70-paddleseg.cityscapes").unwrap();
    assert_eq!((&row["published_miou"][0]["miou"], &row["sources"][0]["tried"]), (&79.03.into(), &false.into()));
    let described = folder.run("info hardnet68").exits(0);
    described.says("published: top-1 76.48 %, top-5 93.01 %, pipeline pil-bilinear (100 minus the errors");
}

#[test]
fn env_lists_every_variable() {
    let folder = Folder::new();
    let run = folder.run("env --threads 1").exits(0);
    for part in ["HARDNET_DEVICE", "HF_HOME", "jpeg decoder", "1 used"] {
        assert!(run.stdout.contains(part), "{part} in {}", run.stdout);
    }
    let json = folder.run("env --json").exits(0).json();
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(json["variables"]["HF_HUB_OFFLINE"], "1");
}

#[test]
fn env_says_which_instruction_set_is_wrong_and_prints_the_rest() {
    let folder = Folder::new();
    let run = |command: &str| -> Run { folder.command(command).env("HARDNET_ISA", "avx9").output().unwrap().into() };
    let said = "`avx9` is not an instruction set of this processor";
    run("list").exits(2).says(said);
    let env = run("env").exits(0).stdout;
    assert!(env.contains(said) && env.contains("jpeg decoder"), "{env}");
}

/// A container with a part of a machine's processors has no use for a thread for each core of the machine.
#[cfg(target_os = "linux")]
#[test]
fn threads_are_not_more_than_the_processors_that_may_be_used() {
    let folder = Folder::new();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    let first = allowed.split(['-', ',']).next().unwrap();
    let hardnet = folder.command("env --json");
    let mut limited = std::process::Command::new("taskset");
    limited.args(["-c", first]).arg(hardnet.get_program()).args(hardnet.get_args()).current_dir(folder.path(""));
    for (name, value) in hardnet.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited.env_remove("RAYON_NUM_THREADS");
    let run =
        |command: &mut std::process::Command| super::support::Run::from(command.output().unwrap()).exits(0).json();
    assert_eq!(run(&mut limited)["threads"], 1);
    assert_eq!(run(limited.env("RAYON_NUM_THREADS", "3"))["threads"], 3, "what is asked for is used");
}

/// `docs/environment.md` is generated from what `hardnet env` prints.
#[test]
fn the_page_of_variables_says_what_env_prints() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/environment.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows: Vec<_> =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | ")).collect();
    let folder = Folder::new();
    let printed = folder.run("env").exits(0).stdout;
    for (name, meaning) in &rows {
        let said = printed.lines().any(|line| line.split(' ').next() == Some(*name) && line.ends_with(meaning));
        assert!(said, "{name} is {meaning} in docs/environment.md, and not in:\n{printed}\nrun `cargo xtask docs`");
    }
    let variables = folder.run("env --json").exits(0).json()["variables"].as_object().unwrap().len();
    assert_eq!(rows.len(), variables, "docs/environment.md is not up to date; run `cargo xtask docs`");
}

#[test]
fn completions_are_scripts() {
    let run = Folder::new().run("completions bash").exits(0);
    assert!(run.stdout.contains("complete -F _hardnet"), "{}", &run.stdout[..200]);
}

#[test]
fn commands_that_are_nearly_right_are_suggested() {
    Folder::new().run("evla").exits(2).says("eval");
    Folder::new().run("info hardnet86").exits(2).says("expected one of `hardnet39ds`");
}

#[test]
fn inspect_tells_networks_and_formats() {
    let folder = Folder::new();
    folder.hardnet39ds();
    let json = folder.run("inspect --json hardnet39ds.safetensors").exits(0).json();
    assert_eq!(
        (&json["format"], &json["model"], &json["scheme"]),
        (&"safetensors".into(), &"hardnet39ds".into(), &"pytorch".into())
    );
    assert_eq!((&json["classes"], &json["differences"]), (&1000.into(), &serde_json::Value::Null));
    assert_eq!(json["tensors"].as_array().unwrap().len(), 372);
    assert_eq!(json["sha256"].as_str().unwrap().len(), 64);

    let foreign = concat!(env!("CARGO_MANIFEST_DIR"), "/../hardnet-checkpoint/tests/fixtures/nested.legacy.pth");
    let run = folder.run(&format!("inspect --tensors {foreign}")).exits(0);
    for part in ["PyTorch, legacy, 8 tensors, from `model.state_dict`", "network   unknown", "f32    [", "0.weight"] {
        assert!(run.stdout.contains(part), "{part} in {}", run.stdout);
    }
    folder.write("page.pth", "<!DOCTYPE html>");
    folder
        .run("inspect page.pth")
        .exits(2)
        .says("cannot read `page.pth`")
        .says("hint: check that the download is complete and not a web page");
}
