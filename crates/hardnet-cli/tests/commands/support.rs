//! A folder with weights and images, and runs of the program in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use hardnet_model::{Config, Metadata, StemPadding, Variant};
use hardnet_params::synthetic;
use hardnet_testing::golden::{PICTURE_SIZE, picture};
use hardnet_testing::weights_file::{self, Encoding};

/// A folder that is gone after the test.
pub(crate) struct Folder(tempfile::TempDir);

/// The output of a run and its exit code.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: Option<i32>,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Weights of a small network for three classes, with names and a pipeline of its own: `small.safetensors`.
    pub(crate) fn small_weights(&self) -> PathBuf {
        self.write("small.safetensors", weights(&small(), Some(&metadata(small()))))
    }

    /// Weights of hardnet39ds that are synthetic: `hardnet39ds.safetensors`.
    pub(crate) fn hardnet39ds(&self) -> PathBuf {
        self.write("hardnet39ds.safetensors", weights(&Config::from(Variant::HarDNet39Ds), None))
    }

    /// `count` small pictures `0.png`, `1.png`, ... in the folder `name`.
    pub(crate) fn pictures(&self, name: &str, count: u8) {
        for number in 0..count {
            self.write(
                &format!("{name}/{number}.png"),
                png(40, 30, |x, y, c| (x * 5 + y * 3) as u8 ^ (c as u8 * 70) ^ number),
            );
        }
    }

    /// A list of those pictures with labels 0, 1, 2, 0, ...: `list.txt`.
    pub(crate) fn list(&self, count: u8) -> PathBuf {
        let lines: String = (0..count).map(|number| format!("{number}.png {}\n", number % 3)).collect();
        self.write("list.txt", lines)
    }

    /// Runs `hardnet` here with these arguments, split at blanks.
    pub(crate) fn run(&self, arguments: &str) -> Run {
        self.run_with(arguments, Stdio::null())
    }

    pub(crate) fn run_with(&self, arguments: &str, stdin: Stdio) -> Run {
        self.command(arguments).stdin(stdin).output().unwrap().into()
    }

    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hardnet"));
        command.args(arguments.split_whitespace()).current_dir(self.0.path());
        command.env("HARDNET_CACHE", self.path("cache"));
        for name in ["HARDNET_DEVICE", "HARDNET_THREADS", "HF_ENDPOINT", "HF_HUB_CACHE"] {
            command.env_remove(name);
        }
        command.env("HF_HOME", self.path("huggingface")).env("HF_HUB_OFFLINE", "1");
        command
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code(),
        }
    }
}

impl Run {
    /// Asserts how the run ended.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        self
    }

    /// Asserts that stderr says this.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "expected {text:?} in {self:#?}");
        self
    }

    /// Stdout as one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:#?}"))
    }

    /// Stdout as a JSON document for each line.
    #[track_caller]
    pub(crate) fn json_lines(&self) -> Vec<serde_json::Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}")))
            .collect()
    }
}

/// The network of [`Folder::small_weights`].
pub(crate) fn small() -> Config {
    let mut config = Config::from(Variant::HarDNet39Ds).with_classes(3);
    config.blocks.truncate(2);
    config
}

/// The metadata of [`Folder::small_weights`].
pub(crate) fn metadata(config: Config) -> String {
    let pipeline = serde_json::json!({
        "resize": 32, "crop": 24, "interpolation": "bicubic", "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25],
    });
    let labels = ["shirt", "shoe", "bag"].map(String::from).to_vec();
    let mut metadata = Metadata::new(config);
    metadata.labels = Some(labels);
    metadata.pipeline = Some(pipeline);
    serde_json::to_string(&metadata).unwrap()
}

/// The same network with the notebook's padding, without names or pipeline.
pub(crate) fn notebook_metadata() -> (Config, String) {
    let config = small().with_stem_padding(StemPadding::TopLeft);
    let json = serde_json::to_string(&Metadata::new(config.clone())).unwrap();
    (config, json)
}

/// The bytes of a weights file that are synthetic.
pub(crate) fn weights(config: &Config, metadata: Option<&str>) -> Vec<u8> {
    weights_file::safetensors(synthetic::parameters(config).unwrap(), Encoding::F32, metadata)
}

/// The bytes of an RGB PNG.
pub(crate) fn png(width: u32, height: u32, value: impl Fn(u32, u32, usize) -> u8) -> Vec<u8> {
    let image = image::RgbImage::from_fn(width, height, |x, y| image::Rgb([0, 1, 2].map(|c| value(x, y, c))));
    encode(&image)
}

/// The picture that ONNX Runtime's logits are stored for, as PNG.
pub(crate) fn picture_png() -> Vec<u8> {
    let (width, height) = PICTURE_SIZE;
    encode(&image::RgbImage::from_raw(width as u32, height as u32, picture()).unwrap())
}

fn encode(image: &image::RgbImage) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A JPEG made by Pillow.
pub(crate) fn jpeg() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hardnet-data/tests/pillow/files");
    let mut files: Vec<_> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let jpeg = files.iter().find(|path| path.extension().is_some_and(|extension| extension == "jpg")).unwrap();
    std::fs::read(jpeg).unwrap()
}
