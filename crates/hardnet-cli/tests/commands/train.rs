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
        "train-images.txt",
        "val-images.txt",
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

/// The class names in the metadata of a weights file.
fn class_names(folder: &Folder, file: &str) -> Vec<String> {
    let file = hardnet_model::WeightsFile::open(folder.path(file)).unwrap();
    file.metadata().unwrap().labels.clone().unwrap()
}

const FOLDERS: &str = "train -o run --weights small.safetensors --epochs 1 -b 4 --threads 1 -j 1";

/// Folders are classes in the order of their names as text, whatever they are called, and evaluation agrees by name.
#[test]
fn classes_are_named_after_folders() {
    for names in [&["1", "2", "3"][..], &["0", "1", "10", "11", "2", "3", "4", "5", "6", "7", "8", "9"]] {
        let folder = ready();
        for name in names {
            folder.pictures(&format!("train/{name}"), 2);
        }
        // Evaluated in part, where folders cannot be told by their number.
        folder.pictures(&format!("val/{}", names[2]), 3);
        folder.run(&format!("{FOLDERS} --data-dir train --val-dir val")).exits(0).says("3 validation images");
        assert_eq!(class_names(&folder, "run/last.safetensors"), names);
        let settings: serde_json::Value = serde_json::from_slice(&bytes(&folder, "run/run.json")).unwrap();
        assert_eq!(settings["metadata"]["labels"], serde_json::json!(names));
        let eval = "eval --weights run/last.safetensors --data-dir val --predictions predictions.jsonl";
        folder.run(eval).exits(0).says(&format!("class names, 1 of {} classes", names.len()));
        let predictions = fs::read_to_string(folder.path("predictions.jsonl")).unwrap();
        let line: serde_json::Value = serde_json::from_str(predictions.lines().next().unwrap()).unwrap();
        assert_eq!(line["label"], 2);
        folder.run("train --resume run --threads 1").exits(0).says("resumed after 1 epoch");
    }
}

/// Weights that name exactly these classes keep their order, so that their head fits.
#[test]
fn classes_of_the_weights_keep_their_order() {
    let folder = ready();
    for name in ["bag", "shirt", "shoe"] {
        folder.pictures(&format!("same/{name}"), 2);
        folder.pictures(&format!("other/{name}s"), 2);
    }
    folder.run(&format!("{FOLDERS} --data-dir same")).exits(0).says("labels: class names, 3 of 3 classes");
    assert_eq!(class_names(&folder, "run/last.safetensors"), ["shirt", "shoe", "bag"]);
    folder
        .run(&format!("{FOLDERS} --data-dir other --force"))
        .exits(0)
        .says("starts from the head of `small.safetensors`, whose classes have other names");
    assert_eq!(class_names(&folder, "run/last.safetensors"), ["bags", "shirts", "shoes"]);
    // With names of one's own, folders are found again by theirs.
    folder.write("names.txt", "x\ny\nz\n");
    let named = FOLDERS.replace("--epochs 1", "--epochs 2 --stop-after 1");
    folder.run(&format!("{named} --data-dir other --force --labels names.txt")).exits(0);
    assert_eq!(class_names(&folder, "run/last.safetensors"), ["x", "y", "z"]);
    folder.run("train --resume run --threads 1").exits(0).says("labels: class names, 3 of 3 classes");
}

/// A class map gives the classes their order and their first names, and may merge labels.
#[test]
fn a_class_map_says_what_labels_mean() {
    let folder = ready();
    for name in ["train/a", "train/b", "train/c", "val/c"] {
        folder.pictures(name, 2);
    }
    folder.write("map.csv", "label,index\r\nb,0\r\na,1\r\nc,1\r\n");
    let start = FOLDERS.replace("--epochs 1", "--epochs 2 --stop-after 1");
    let train = format!("{start} --data-dir train --val-dir val --class-map map.csv");
    folder.run(&train).exits(0).says("2 of 2 classes").says("1 of 2 classes");
    assert_eq!(class_names(&folder, "run/last.safetensors"), ["b", "a"]);
    folder.run("train --resume run --threads 1").exits(0).says("labels: class map `");
    let eval = "eval --weights run/last.safetensors --class-map map.csv --data-dir val --predictions p.jsonl";
    folder.run(eval).exits(0);
    assert!(fs::read_to_string(folder.path("p.jsonl")).unwrap().lines().all(|line| line.contains("\"label\":1,")));
}

#[test]
fn validation_folders_are_those_of_training() {
    let folder = ready();
    for name in ["train/cat", "train/dog", "train/fox", "val/bird", "val/cat", "val/dog"] {
        folder.pictures(name, 2);
    }
    let run = folder.run(&format!("{FOLDERS} --data-dir train --val-dir val")).exits(2);
    run.says("`bird`").says("`fox`");
    assert!(!folder.path("run").exists());
    fs::remove_dir_all(folder.path("val/bird")).unwrap();
    folder.run(&format!("{FOLDERS} --data-dir train --val-dir val")).exits(0).says("class names, 2 of 3 classes");
}

#[test]
fn folders_of_systems_are_not_classes() {
    let folder = ready();
    for name in ["train/cat", "train/dog"] {
        folder.pictures(name, 3);
    }
    folder.write("train/__MACOSX/cat/._0.png", [0, 5, 22, 7]);
    folder.write("train/@eaDir/cat/0.png", "thumbnail");
    fs::create_dir(folder.path("train/lost+found")).unwrap();
    folder.write("train/Thumbs.db", "thumbnails");
    folder.run(&format!("{FOLDERS} --data-dir train")).exits(0).says("6 training images");
    assert_eq!(class_names(&folder, "run/last.safetensors"), ["cat", "dog"]);
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

/// Uneven classes are noted unless something is done about them, which is stored and shown.
#[test]
fn uneven_classes_are_weighted_or_drawn_alike() {
    let folder = ready();
    folder.pictures("train/cat", 10);
    folder.pictures("train/dog", 2);
    folder.pictures("train/fox", 4);
    let note = "the classes are uneven, from 2 images of `dog` to 10 of `cat`";
    let train = format!("{FOLDERS} --data-dir train --force");
    folder.run(&train).exits(0).says(note).says("--class-weights balanced or --sampler balanced");
    folder.write("weights.csv", "name,weight\nfox,1.5\ndog,4\ncat,0.5\n");
    let balanced = serde_json::json!("balanced");
    let file = serde_json::json!({"values": [0.5, 4.0, 1.5]});
    for (flags, shown, stored) in [
        ("--class-weights balanced", ", balanced class weights", ("class_weights", &balanced)),
        ("--class-weights weights.csv", ", class weights 0.5 to 4", ("class_weights", &file)),
        ("--sampler balanced", ", balanced sampler", ("sampler", &balanced)),
    ] {
        let run = folder.run(&format!("{train} {flags}")).exits(0).says(shown);
        assert!(!run.stderr.contains("uneven"), "{run:?}");
        let settings: serde_json::Value = serde_json::from_slice(&bytes(&folder, "run/run.json")).unwrap();
        assert_eq!(&settings["recipe"][stored.0], stored.1);
    }
    folder.write("weights.csv", "fox,1.5\ndog,4\n");
    folder
        .run(&format!("{train} --class-weights weights.csv"))
        .exits(2)
        .says("`weights.csv` has no weight for the class `cat`");
    folder
        .run(&format!("{train} --class-weights absent.csv"))
        .exits(2)
        .says("cannot read `absent.csv`")
        .says("hint: pass balanced, or a file");
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
