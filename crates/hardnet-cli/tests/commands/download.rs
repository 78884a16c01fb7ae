//! `hardnet download`, `hardnet list --weights` and `--weights` by tag and address, from a Hub on the loopback
//! interface.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use hardnet_model::{Config, Variant};
use hardnet_testing::hub_host::HubHost;

use super::support::{Folder, Run, metadata, small, weights};

const TAG: &str = "hardnet39ds.upstream_in1k";

/// A Hub with weights of a small network in `someone/net` and those of [`TAG`] in its repository.
fn hub() -> HubHost {
    let hub = HubHost::start();
    hub.put_large("someone/net", "model.safetensors", &weights(&small(), Some(&metadata(small()))));
    let published = weights(&Config::from(Variant::HarDNet39Ds), None);
    hub.put_large(&format!("someone/{TAG}"), "model.safetensors", &published);
    hub
}

/// The program with that Hub.
fn command(folder: &Folder, hub: &HubHost, arguments: &str) -> Command {
    let mut command = folder.command(arguments);
    command.env("HF_ENDPOINT", hub.endpoint()).env("HARDNET_HUB_OWNER", "someone").env_remove("HF_HUB_OFFLINE");
    for name in ["HF_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

fn run(folder: &Folder, hub: &HubHost, arguments: &str) -> Run {
    command(folder, hub, arguments).output().unwrap().into()
}

/// Every file below `path`.
fn files(path: PathBuf) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(path) } else { vec![path] }).collect()
}

#[test]
fn download_says_what_it_does_and_prints_the_path() {
    let (folder, hub) = (Folder::new(), hub());
    let first = run(&folder, &hub, "download hf://someone/net").exits(0);
    let path = PathBuf::from(first.stdout.trim_end());
    assert!(path.starts_with(folder.path("huggingface/hub/models--someone--net/snapshots")), "{first:#?}");
    assert!(fs::read(path).unwrap() == weights(&small(), Some(&metadata(small()))));
    let address = format!("from {}/someone/net/resolve/main/model.safetensors", hub.endpoint());
    let said = first.stdout.clone();
    first.says("fetching hf://someone/net@main/model.safetensors").says(&address).says("downloading 0.9 MB");
    let asked = hub.requests().len();
    let second = run(&folder, &hub, "download hf://someone/net").exits(0);
    assert_eq!((second.stdout, second.stderr), (said, String::new()));
    assert_eq!(hub.requests().len(), asked);
}

#[test]
fn addresses_are_those_of_huggingface_hub() {
    let (folder, hub) = (Folder::new(), hub());
    for (address, revision) in [
        ("hf://models/someone/net", "main"),
        ("hf://someone/net@refs/pr/1", "refs%2Fpr%2F1"),
        ("hf://someone/net@refs%2Fpr%2F1/model.safetensors", "refs%2Fpr%2F1"),
        ("hf://models/someone/net@feature%2Fx/model.safetensors", "feature%2Fx"),
    ] {
        let from = format!("from {}/someone/net/resolve/{revision}/model.safetensors", hub.endpoint());
        run(&folder, &hub, &format!("download --force {address}")).exits(0).says(&from);
        run(&folder, &hub, &format!("download --offline {address}")).exits(0);
    }
    for revision in ["main", "refs/pr/1", "feature/x"] {
        let commit = fs::read_to_string(folder.path("huggingface/hub/models--someone--net/refs").join(revision));
        assert_eq!(commit.unwrap(), hardnet_testing::hub_host::COMMIT, "{revision}");
    }
    run(&folder, &hub, "download hf://datasets/someone/net").exits(2).says("it names a dataset");
    run(&folder, &hub, "predict --weights hf://spaces/someone/net a.png").exits(2).says("it names a space");
}

#[test]
fn a_tag_is_listed_with_what_the_cache_has() {
    let (folder, hub) = (Folder::new(), hub());
    let row = || {
        let run = run(&folder, &hub, "list --weights").exits(0);
        run.stdout.lines().find(|line| line.starts_with(TAG)).unwrap().split_whitespace().last().unwrap().to_owned()
    };
    assert_eq!(row(), "-");
    let path = run(&folder, &hub, &format!("download {TAG}")).exits(0).stdout;
    assert_eq!(row(), "verified");
    let rows = run(&folder, &hub, "list --weights --json").exits(0).json();
    assert_eq!(rows.as_array().unwrap().len(), 13);
    assert_eq!((&rows[0]["tag"], &rows[0]["cached"]), (&TAG.into(), &path.trim_end().into()));
    assert_eq!((&rows[0]["check"], &rows[1]["cached"]), (&"verified".into(), &serde_json::Value::Null));
    assert_eq!(rows[0]["published"][0]["top1"], 72.08);
    assert_eq!(rows[0]["sources"][0]["hash"], "sha256:0e6c6fa9");
}

/// Weights that come with the program are a file for whoever wants one, without any request.
#[test]
fn bundled_weights_are_unpacked() {
    let (folder, hub) = (Folder::new(), hub());
    let tag = "hardnet39ds.fashion_mnist";
    let path = run(&folder, &hub, &format!("download {tag} --offline")).exits(0).stdout;
    assert_eq!(std::fs::read(path.trim_end()).unwrap(), hardnet_demo::fashion_mnist::WEIGHTS);
    let listed = run(&folder, &hub, "list --weights").exits(0).stdout;
    assert!(listed.lines().any(|line| line.starts_with(tag) && line.ends_with("bundled")), "{listed}");
    // A file that was changed since is not used.
    std::fs::write(path.trim_end(), "other").unwrap();
    assert_eq!(run(&folder, &hub, &format!("download {tag}")).exits(0).stdout, path);
    assert_eq!(std::fs::read(path.trim_end()).unwrap(), hardnet_demo::fashion_mnist::WEIGHTS);
    assert!(hub.requests().is_empty());
}

#[test]
fn the_first_use_of_weights_fetches_them_and_the_next_needs_nobody() {
    let (folder, hub) = (Folder::new(), hub());
    folder.pictures("photos", 1);
    let predict = "predict --format jsonl photos/0.png --weights";
    let first = run(&folder, &hub, &format!("{predict} {TAG}")).exits(0).says("downloading 14.1 MB").says("verified)");
    let second = run(&folder, &hub, &format!("{predict} {TAG} --offline")).exits(0);
    assert_eq!(first.stdout, second.stdout);
    folder.list(1);
    let eval = "eval --json --data-dir photos --val-list list.txt --weights";
    let report = run(&folder, &hub, &format!("{eval} {TAG}")).exits(0).json();
    assert_eq!((&report["weights"]["path"], &report["weights"]["check"]), (&TAG.into(), &"verified".into()));
    let small = run(&folder, &hub, &format!("{predict} hf://someone/net")).exits(0);
    assert!(small.stdout.contains("shirt"), "{small:#?}");
    assert_eq!(run(&folder, &hub, &format!("info --weights {TAG} --json")).exits(0).json()["model"], "hardnet39ds");
}

#[test]
fn a_dry_run_says_size_and_source_and_fetches_nothing() {
    let (folder, hub) = (Folder::new(), hub());
    let tag = run(&folder, &hub, &format!("download --dry-run {TAG}")).exits(0);
    let lines: Vec<&str> = tag.stdout.lines().collect();
    assert_eq!(lines[0], format!("hf://someone/{TAG}@main/model.safetensors  (hash is known)"));
    assert_eq!(
        lines[1],
        "https://ping-chao.com/hardnet/hardnet39ds-0e6c6fa9.pth  (hash is inferred from the file name)"
    );
    assert!(lines[3].ends_with(".pdparams  (hash is unknown)"), "{lines:?}");
    tag.says("download size: about 14.0 MB").says("nothing was downloaded");
    assert_eq!(hub.requests().len(), 0);
    let address = run(&folder, &hub, "download --dry-run hf://someone/net").exits(0).says("download size: 0.9 MB");
    assert!(address.stdout.starts_with(&hub.endpoint()), "{address:#?}");
    assert!(files(folder.path("")).is_empty(), "nothing is written");
    assert!(hub.content().requests().is_empty());
    run(&folder, &hub, "download --dry-run hf://someone/other")
        .exits(2)
        .says("the repository does not exist or is private");

    let path = run(&folder, &hub, "download hf://someone/net").exits(0).stdout;
    assert_eq!(run(&folder, &hub, "download --dry-run hf://someone/net").exits(0).says("is cached").stdout, path);
    run(&folder, &hub, "download --dry-run --force hf://someone/net").exits(0).says("download size: 0.9 MB");
    run(&folder, &hub, "download --dry-run --offline hf://someone/net@v1").exits(2).says("--offline was given");
    run(&folder, &hub, "download --dry-run hardnet68.notebook_in1k").exits(0).says("is not cached");
    folder.run("download --dry-run hardnet68.notebook_in1k").exits(2).says("HF_HUB_OFFLINE is set");
}

#[test]
fn offline_names_the_folder_and_the_reason() {
    let (folder, hub) = (Folder::new(), hub());
    for (weights, cache) in [("hf://someone/net", "huggingface/hub"), (TAG, "cache/weights")] {
        let cache = folder.path(cache).display().to_string();
        folder
            .run(&format!("download {weights}"))
            .exits(2)
            .says("HF_HUB_OFFLINE is set")
            .says(&cache)
            .says("hint: run once with network access");
        run(&folder, &hub, &format!("info --offline --weights {weights}")).exits(2).says("--offline").says(&cache);
    }
    assert_eq!(hub.requests().len(), 0);
}

#[test]
fn refusals_hint_at_the_remedy_and_hide_the_token() {
    let (folder, hub) = (Folder::new(), hub());
    hub.require("hf_right");
    let fetch = |token: &str| {
        Run::from(command(&folder, &hub, "download hf://someone/net").env("HF_TOKEN", token).output().unwrap())
    };
    run(&folder, &hub, "download hf://someone/net").exits(2).says("401").says("hint: check the name, or set HF_TOKEN");
    let wrong = fetch("hf_wrong").exits(2).says("the token was rejected").says("hint: check the name and HF_TOKEN");
    assert!(!wrong.stderr.contains("hf_wrong"), "{wrong:#?}");
    fetch("hf_right").exits(0);
    let env: Run = folder.command("env").env("HF_TOKEN", "hf_right").output().unwrap().into();
    assert!(env.stdout.contains("(hidden)") && !env.stdout.contains("hf_right"), "{env:#?}");
    hub.gate();
    run(&folder, &hub, "download --force hf://someone/net").exits(2).says("401");
    let gated: Run = command(&folder, &hub, "download --force hf://someone/net")
        .env("HF_TOKEN", "hf_right")
        .output()
        .unwrap()
        .into();
    gated.exits(2).says("403").says("hint: accept the license");
}

#[test]
fn names_that_are_nothing_are_refused_before_anyone_is_asked() {
    let (folder, hub) = (Folder::new(), hub());
    run(&folder, &hub, "download hardnet68").exits(2).says("no weights named").says("`hardnet68.upstream_in1k`");
    run(&folder, &hub, "bench hardnet39ds --weights hardnet39ds.fashion")
        .exits(2)
        .says("neither a file nor a tag; `hardnet list --weights`");
    run(&folder, &hub, "bench hardnet68 --weights hardnet68")
        .says("a network; the tags of its weights are `hardnet68.");
    run(&folder, &hub, "bench hardnet68 --weights hardnet68.upstream_in1")
        .exits(2)
        .says("similar tags: `hardnet68.upstream_in1k`");
    run(&folder, &hub, "download hf://someone").exits(2).says("expected hf://owner/name");
    run(&folder, &hub, &format!("download {TAG} --accept-sha256 c0ffee")).exits(2).says("expected 64 hexadecimal");
    run(&folder, &hub, "download hardnet68.notebook_in1k").exits(2).says("hardnet68.notebook_in1k");
    let none: Run = command(&folder, &hub, "download hardnet68.notebook_in1k")
        .env_remove("HARDNET_HUB_OWNER")
        .output()
        .unwrap()
        .into();
    none.exits(2).says("no public source").says("hint: pass the path of a file, or set HARDNET_HUB_OWNER");
}

#[test]
fn without_a_home_there_is_an_error_and_no_panic() {
    for arguments in [format!("download {TAG}"), "download hf://someone/net".into(), "list --weights".into()] {
        let folder = Folder::new();
        let mut command = folder.command(&arguments);
        for name in ["HARDNET_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HOME"] {
            command.env_remove(name);
        }
        // The system may know a home all the same; nobody is asked in either case.
        Run::from(command.output().unwrap()).exits(if arguments.starts_with("list") { 0 } else { 2 });
    }
}

#[cfg(unix)]
#[test]
fn a_download_that_is_killed_leaves_a_part_and_goes_on() {
    use std::time::{Duration, Instant};

    use hardnet_testing::file_host::Fault;

    let (folder, hub) = (Folder::new(), hub());
    hub.content().fail([Fault::StallAfter(1000)]);
    let mut killed = command(&folder, &hub, "download hf://someone/net").stderr(Stdio::null()).spawn().unwrap();
    let blobs = folder.path("huggingface/hub/models--someone--net/blobs");
    let parts =
        || files(blobs.clone()).into_iter().filter(|path| path.metadata().is_ok_and(|file| file.len() == 1000)).count();
    let deadline = Instant::now() + Duration::from_secs(60);
    while parts() == 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(files(blobs.parent().unwrap().join("snapshots")).is_empty(), "nothing looks finished");
    run(&folder, &hub, "download --offline hf://someone/net").exits(2);
    run(&folder, &hub, "download hf://someone/net").exits(0).says("resuming after 0.0 MB");
    assert_eq!(hub.content().requests().last().unwrap().header("range"), Some("bytes=1000-"));
    assert_eq!(files(blobs).len(), 1);
}
