//! Runs of `hardnet train` that stop, move or go on.

use std::fs;

use super::support::Run;
use super::train::{TRAIN, bytes, ready};

#[test]
fn a_folder_with_a_run_is_not_overwritten() {
    let folder = ready();
    let short = format!("{TRAIN} --epochs 1");
    folder.run("train --resume run").exits(2).says("`run` has no state.safetensors, expected the folder of a run");
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
    for flags in [
        "-o other",
        "--epochs 3",
        "--lr 1",
        "--hold-out 3",
        "--img-size 32",
        "--seed 3",
        "--weights a",
        "--batch-norm shard",
    ] {
        folder.run(&format!("train --resume run {flags}")).exits(2).says("cannot be used with");
    }
    folder.run("train").exits(2).says("--output <FOLDER>").says("--data-dir <PATH>");
    folder.run("train -o run --data-dir images").exits(2).says("--model <NAME>");
}

/// Images and run may move, together or alone; the images must be the same.
#[test]
fn a_run_or_its_images_may_move() {
    let folder = ready();
    for name in ["cat", "dog", "fox"] {
        folder.pictures(&format!("a/data/train/{name}"), 4);
        folder.pictures(&format!("a/data/val/{name}"), 2);
    }
    let train = "train -o a/runs/one --weights small.safetensors --data-dir a/data/train --val-dir a/data/val -b 4 --epochs 5 \
                 --threads 1 -j 1";
    folder.run(&train.replace("a/runs/one", "whole")).exits(0);
    folder.run(&format!("{train} --stop-after 1")).exits(0);
    // The images alone: validation images follow.
    fs::rename(folder.path("a/data"), folder.path("elsewhere")).unwrap();
    folder
        .run("train --resume a/runs/one")
        .exits(2)
        .says("hint: if the images moved, pass their folder with --data-dir");
    let resume = "train --resume a/runs/one --data-dir elsewhere/train --threads 1";
    folder.run(&format!("{resume} --stop-after 2")).exits(0).says("resumed after 1 epoch");
    // The run alone.
    fs::rename(folder.path("a/runs"), folder.path("a/kept")).unwrap();
    folder.run("train --resume a/kept/one --threads 1 --stop-after 3").exits(0).says("resumed after 2 epochs");
    // Both together.
    fs::rename(folder.path("elsewhere"), folder.path("a/elsewhere")).unwrap();
    folder.run("train --resume a/kept/one --threads 1 --stop-after 4 --data-dir a/elsewhere/train").exits(0);
    fs::rename(folder.path("a"), folder.path("b")).unwrap();
    folder.run("train --resume b/kept/one --threads 1").exits(0).says("resumed after 4 epochs");
    for file in ["last.safetensors", "best.safetensors"] {
        assert!(bytes(&folder, &format!("whole/{file}")) == bytes(&folder, &format!("b/kept/one/{file}")), "{file}");
    }
    // Other images.
    fs::rename(folder.path("b/elsewhere/train/dog/3.png"), folder.path("b/elsewhere/train/dog/4.png")).unwrap();
    folder
        .run("train --resume b/kept/one")
        .exits(2)
        .says(
            "the training images are not those of the run: image 8 is `dog/4.png` of class 1, expected `dog/3.png` of",
        )
        .says("hint: pass the folder of the run's images with --data-dir");
    fs::remove_file(folder.path("b/elsewhere/train/dog/4.png")).unwrap();
    folder
        .run("train --resume b/kept/one")
        .exits(2)
        .says("image 8 is `fox/0.png` of class 2")
        .says("(11 images, expected 12)");
    folder.run("train --resume whole --train-list list.txt").exits(2).says("the run was started without --train-list");
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
