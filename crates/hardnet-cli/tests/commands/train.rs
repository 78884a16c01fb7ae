//! `hardnet train`.

use std::fs;

use super::support::{Folder, Run};

/// A folder with weights for three classes, 24 pictures of 12 x 12 in an IDX file, and nine in a list.
pub(super) fn ready() -> Folder {
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

pub(super) const TRAIN: &str = "train -o run --weights small.safetensors --data-dir train-images-idx3-ubyte --epochs 2 -b 6 --hold-out 6 \
                     --threads 1 -j 1";

pub(super) fn bytes(folder: &Folder, file: &str) -> Vec<u8> {
    fs::read(folder.path(file)).unwrap()
}

pub(super) fn last_line(run: &Run) -> &str {
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
        "train-images.txt",
        "val-images.txt",
    ];
    assert_eq!(files, expected);
    assert!(bytes(&folder, "run/last.safetensors") == bytes(&folder, "run/epoch-0002.safetensors"));
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

/// Lines that repeat are trained with, with a note, and no image is on both sides.
#[test]
fn repeated_lines_are_trained_with() {
    let folder = ready();
    let lines = |numbers: &[usize]| -> String {
        numbers.iter().map(|number| format!("{number}.png {}\n", number % 3)).collect()
    };
    folder.write("twice.txt", lines(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 2, 0, 1]));
    let train = "train -o run --weights small.safetensors --data-dir images --train-list twice.txt --epochs 1 -b 4 --threads 1 -j 1";
    folder.run(train).exits(0).says("14 lines name 9 images, since 5 lines repeat one").says("14 training images");
    folder
        .run(&format!("{train} --force --hold-out 4"))
        .exits(0)
        .says("holding out 4 of 9 training images for validation")
        .says("4 validation images");
    let names = |file: &str| -> Vec<String> {
        let text = fs::read_to_string(folder.path(file)).unwrap();
        text.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    };
    let (training, held) = (names("run/train-images.txt"), names("run/val-images.txt"));
    assert!(training.len() > 5 && held.len() == 4);
    assert!(held.iter().all(|name| !training.contains(name)), "{held:?} and {training:?}");
    folder.write("conflict.txt", lines(&[0, 1, 2]) + "1.png 2\n");
    folder
        .run(&train.replace("twice.txt", "conflict.txt").replace("-o run", "-o other"))
        .exits(2)
        .says("line 4: `1.png 2` names the file of line 2 with another label");
    folder
        .run("eval --weights small.safetensors --data-dir images --val-list twice.txt")
        .exits(2)
        .says("line 10: `0.png 0` names the file of line 1 again");
}

#[test]
fn a_loss_that_does_not_move_is_reported_with_advice() {
    let folder = ready();
    let still = format!("{TRAIN} --lr 1e-9 --freeze backbone --freeze-stats --crop none --flip 0 --epochs 3");
    let run = folder.run(&still.replace("--epochs 2", "")).exits(0).says("warning: the loss does not move: ");
    assert_eq!(run.stderr.matches("the loss does not move").count(), 1);
    run.says("guesses have 1.0986; try another --lr, freeze fewer modules, and check that the labels fit the images");
}

/// The frozen backbone is the same to the last bit, with its statistics if they are frozen too.
#[test]
fn a_frozen_backbone_is_not_changed() {
    let folder = ready();
    let values = |file: &str| -> Vec<(String, Vec<u8>)> {
        let checkpoint = hardnet_checkpoint::Checkpoint::open(folder.path(file)).unwrap();
        let value = |(index, info): (usize, &hardnet_checkpoint::TensorInfo)| {
            (info.name.clone(), checkpoint.read(index).unwrap().to_vec())
        };
        checkpoint.tensors().iter().enumerate().map(value).collect()
    };
    for (flags, shown) in [("", " modules frozen,"), (" --freeze-stats", " modules frozen with their statistics,")] {
        folder.run(&format!("{TRAIN} --force --freeze backbone{flags}")).exits(0).says(shown);
        let (before, after) = (values("small.safetensors"), values("run/last.safetensors"));
        for (name, value) in &before {
            let same = &after.iter().find(|(other, _)| other == name).unwrap().1 == value;
            let is_head = !name.contains("norm") && !name.contains("conv");
            let is_statistic = name.contains("running");
            assert_eq!(same, !is_head && (!is_statistic || !flags.is_empty()), "{name} with `{flags}`");
        }
    }
    folder
        .run(&format!("{TRAIN} --force --freeze-stats"))
        .exits(2)
        .says("--freeze-stats requires --freeze backbone or --freeze-until N");
}

/// The number of virtual shards is stored with the run, and its sums do not depend on where the run was interrupted.
#[test]
fn a_batch_is_divided_into_virtual_shards() {
    let folder = ready();
    let train = format!("{TRAIN} --virtual-shards 3");
    folder.run(&train).exits(0).says("3 virtual shards");
    let halves = train.replace("-o run", "-o halves");
    folder.run(&format!("{halves} --stop-after 1")).exits(0);
    folder.run("train --resume halves --threads 2 -j 0").exits(0).says("3 virtual shards");
    folder.run(&TRAIN.replace("-o run", "-o plain")).exits(0);
    let run = bytes(&folder, "run/last.safetensors");
    assert!(run == bytes(&folder, "halves/last.safetensors"));
    assert!(run != bytes(&folder, "plain/last.safetensors"));
    folder
        .run(&format!("{train} --batch-norm synchronized --force --stop-after 1"))
        .exits(0)
        .says("3 virtual shards with synchronized batch normalization");
    folder.run("train --resume run --threads 1").exits(0).says("with synchronized batch normalization");
    assert!(run != bytes(&folder, "run/last.safetensors"));
    folder
        .run(&train.replace("-o run", "-o other").replace("shards 3", "shards 4"))
        .exits(2)
        .says("`virtual_shards` is 4, expected a divisor of the batch size that leaves two images or more to each");
}

/// Several processes of `mpirun` would write the same network to one folder.
#[cfg(not(feature = "mpi"))]
#[test]
fn one_of_several_processes_does_not_train() {
    let folder = ready();
    let mut command = folder.command(TRAIN);
    let run = Run::from(command.env("PMI_RANK", "0").env("PMI_SIZE", "2").output().unwrap());
    run.exits(2)
        .says("training runs in one process, and this is process 0 of 2 that were started together (mpich)")
        .says("or build with --features mpi")
        .says("start `hardnet train` once");
    assert!(!folder.path("run").exists());
}
