//! `hardnet train`.

use std::fs;

use super::support::{Folder, Run};

/// A folder with weights for three classes, 24 pictures of 12 x 12 in an IDX file, and nine in a list.
fn ready() -> Folder {
    let folder = Folder::new();
    folder.small_weights();
    let mut images = vec![0, 0, 8, 3, 0, 0, 0, 24, 0, 0, 0, 12, 0, 0, 0, 12];
    images.extend((0..24u32 * 144).map(|at| ((at / 144 % 3) * 90 + at * at % 60) as u8));
    folder.write("train-images-idx3-ubyte", images);
    folder.write("train-labels-idx1-ubyte", [&[0, 0, 8, 1, 0, 0, 0, 24][..], &[0, 1, 2].repeat(8)].concat());
    folder.pictures("images", 9);
    folder.list(9);
    folder
}

const TRAIN: &str = "train -o run --weights small.safetensors --data-dir train-images-idx3-ubyte --epochs 2 -b 6 --hold-out 6 \
                     --threads 1 -j 1";

fn bytes(folder: &Folder, file: &str) -> Vec<u8> {
    fs::read(folder.path(file)).unwrap()
}

fn last_line(run: &Run) -> &str {
    run.stdout.lines().last().unwrap()
}

/// A run, stopped in its middle and resumed, is the run that was not stopped; what it writes, eval takes.
#[test]
fn a_run_is_resumed_and_its_weights_are_evaluated() {
    let folder = ready();
    let run = folder
        .run(TRAIN)
        .exits(0)
        .says("holding out 6 of 24 training images for validation")
        .says("recipe upstream: 2 epochs, batch size 6, SGD, momentum 0.9 (Nesterov), weight decay 0.00006 on all parameters")
        .says("learning rate 0.05, cosine schedule to 0, updated each epoch");
    let starts: Vec<_> = run.stdout.lines().map(|line| line.split("  ").next().unwrap()).collect();
    assert_eq!(starts, ["epoch 1/2", "epoch 2/2", "run/best.safetensors"]);

    let halves = TRAIN.replace("-o run", "-o halves");
    folder.run(&format!("{halves} --stop-after 1")).exits(0).says("resume with: hardnet train --resume halves");
    let run = folder.run("train --resume halves --threads 1 -j 0").exits(0).says("resumed after 1 epoch");
    assert_eq!(run.stdout.lines().count(), 2);
    for file in ["last.safetensors", "best.safetensors"] {
        assert!(bytes(&folder, &format!("run/{file}")) == bytes(&folder, &format!("halves/{file}")), "{file}");
    }

    let weights = last_line(&run);
    let report = folder
        .run(&format!("eval --weights {weights} --data-dir train-images-idx3-ubyte --json"))
        .exits(0)
        .says("pipeline: custom: resize short side to 32 (bicubic), center crop 24 (from the weights file)")
        .json();
    assert_eq!(report["top1"]["total"], 24);
    let predicted = folder.run(&format!("predict --weights {weights} images/0.png")).exits(0);
    assert!(["shirt", "shoe", "bag"].iter().any(|name| predicted.stdout.contains(name)), "{predicted:?}");
}

#[test]
fn what_ran_and_what_came_out_are_written_for_programs() {
    let folder = ready();
    let report =
        folder.run(&format!("{TRAIN} --json --recipe notebook --lr 0.01 --keep-epochs --seed 9")).exits(0).json();
    let keys: Vec<_> = report.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["best", "epochs", "finished", "last", "output", "schema_version"]);
    assert_eq!((&report["finished"], &report["best"]), (&true.into(), &"run/best.safetensors".into()));
    let lines = fs::read_to_string(folder.path("run/metrics.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(report["epochs"].as_array().unwrap(), &lines);
    let keys: Vec<_> = lines[0].as_object().unwrap().keys().map(String::as_str).collect();
    let expected = "best epoch images_per_second learning_rate seconds steps train_errors train_images train_loss train_top1 validation";
    assert_eq!(keys, expected.split(' ').collect::<Vec<_>>());
    assert_eq!((&lines[1]["epoch"], &lines[1]["steps"]), (&2.into(), &6.into()));
    assert_eq!((&lines[1]["learning_rate"], &lines[1]["validation"]["images"]), (&0.01.into(), &6.into()));
    let settings: serde_json::Value = serde_json::from_slice(&bytes(&folder, "run/run.json")).unwrap();
    assert_eq!((&settings["recipe_name"], &settings["seed"]), (&"notebook".into(), &9.into()));
    assert_eq!(settings["recipe"]["momentum"], 0.0);
    assert_eq!(settings["origin"]["path"], "small.safetensors");
    let mut files: Vec<_> = fs::read_dir(folder.path("run"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let expected = [
        ".lock",
        "best.safetensors",
        "curves.svg",
        "epoch-0001.safetensors",
        "epoch-0002.safetensors",
        "last.safetensors",
        "metrics.jsonl",
        "run.json",
        "state.safetensors",
    ];
    assert_eq!(files, expected);
    assert!(bytes(&folder, "run/last.safetensors") == bytes(&folder, "run/epoch-0002.safetensors"));
}

#[test]
fn a_folder_with_a_run_is_not_overwritten() {
    let folder = ready();
    let short = format!("{TRAIN} --epochs 1");
    folder.run("train --resume run").exits(2).says("`run` holds no run to resume");
    folder.run(&short.replace("--epochs 2", "")).exits(0);
    let before = bytes(&folder, "run/last.safetensors");
    folder
        .run(TRAIN)
        .exits(2)
        .says("`run` already holds a run")
        .says("hint: continue it with: hardnet train --resume run");
    assert!(bytes(&folder, "run/last.safetensors") == before);
    folder.run(&format!("{TRAIN} --force --seed 1")).exits(0);
    assert!(bytes(&folder, "run/last.safetensors") != before);
}

#[test]
fn flags_of_a_new_run_do_not_go_with_resume() {
    let folder = ready();
    for flags in ["-o other", "--epochs 3", "--lr 1", "--data-dir images", "--img-size 32", "--seed 3", "--weights a"] {
        folder.run(&format!("train --resume run {flags}")).exits(2).says("cannot be used with");
    }
    folder.run("train").exits(2).says("--output <FOLDER>").says("--data-dir <PATH>");
    folder.run("train -o run --data-dir images").exits(2).says("--model <NAME>");
}

/// Class folders define the classes and their names. A head for other classes is replaced, with a warning.
#[test]
fn classes_come_from_the_images() {
    let folder = ready();
    for class in ["ant", "bee", "cat", "dog"] {
        folder.pictures(&format!("animals/{class}"), 2);
    }
    let run = folder
        .run("train -o run --weights small.safetensors --data-dir animals --epochs 1 -b 4 --threads 1 -j 1 --freeze-until 3")
        .exits(0)
        .says("warning: no validation set; pass --val-dir or --hold-out")
        .says("warning: the head of `small.safetensors` has 3 classes; replacing it with a random one for 4")
        .says("first 3 modules frozen");
    assert_eq!(last_line(&run), "run/last.safetensors");
    let predicted = folder.run("predict --weights run/last.safetensors images/0.png").exits(0);
    assert!(["ant", "bee", "cat", "dog"].iter().all(|name| predicted.stdout.contains(name)), "{predicted:?}");
}

/// From random weights, with a list for training and another for validation, and one file that is not an image.
#[test]
fn lists_are_trained_with_and_bad_images_counted() {
    let folder = ready();
    folder.write("images/3.png", "no image");
    folder.write("val.txt", "1.png 1\n2.png 2\n");
    let run = folder
        .run(
            "train -o run --weights small.safetensors --data-dir images --train-list list.txt --val-list val.txt --epochs 1 \
             -b 3 --threads 1 -j 2 --crop none",
        )
        .exits(0)
        .says("images/3.png")
        .says("9 training images, 2 validation images");
    assert!(run.stdout.contains("1 unreadable image "), "{run:?}");
}

#[test]
fn a_rate_that_diverges_is_an_error_with_a_remedy() {
    let folder = ready();
    folder
        .run(&format!("{TRAIN} --lr 1e30 --momentum 0 --flip 0"))
        .exits(2)
        .says("training has diverged")
        .says("hint: lower --lr");
    folder.run("train --resume run").exits(2).says("training has diverged");
}

/// A file that cannot be written, as on a full disk, is an error; the run goes on from what was saved before.
#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_written_costs_nothing_that_was_saved() {
    let folder = ready();
    folder.run(&format!("{TRAIN} --stop-after 1")).exits(0);
    let before = bytes(&folder, "run/state.safetensors");
    // Files of at most 40 blocks of 512 bytes; writing more fails instead of ending the program.
    let limited =
        format!("trap '' XFSZ; ulimit -f 40; exec {} train --resume run --threads 1", env!("CARGO_BIN_EXE_hardnet"));
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &limited]).current_dir(folder.path("run").parent().unwrap());
    let run: Run = command.output().unwrap().into();
    run.exits(2)
        .says("error: cannot write `run/")
        .says("hint: the last saved state is intact; continue with: hardnet train --resume run");
    assert!(bytes(&folder, "run/state.safetensors") == before);
    assert!(
        !fs::read_dir(folder.path("run"))
            .unwrap()
            .any(|entry| { entry.unwrap().file_name().to_string_lossy().ends_with(".partial") })
    );
    folder.run("train --resume run --threads 1").exits(0);
    let whole = TRAIN.replace("-o run", "-o whole");
    folder.run(&whole).exits(0);
    assert!(bytes(&folder, "run/last.safetensors") == bytes(&folder, "whole/last.safetensors"));
}

/// Ctrl-C saves the step in hand.
#[cfg(unix)]
#[test]
fn an_interrupt_saves_and_is_resumed() {
    let folder = ready();
    let long = TRAIN.replace("--epochs 2", "--epochs 500");
    let mut child = folder
        .command(&long)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while !folder.path("run/last.safetensors").exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(child.try_wait().unwrap().is_none(), "it ended before its first epoch");
    }
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let run: Run = child.wait_with_output().unwrap().into();
    run.exits(130).says("stopped; resume with: hardnet train --resume run");
    folder.run("train --resume run --stop-after 1 --threads 1").says("resumed after");
}
