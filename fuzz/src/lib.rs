//! One function per fuzz target: what may be done with any bytes at all, and what must then hold.
//!
//! The targets in `fuzz_targets/` call these under libFuzzer; `tests/tests/fuzz_corpus.rs` compiles the same file and
//! replays the stored inputs in every test run. Each function says whether the bytes were accepted, and panics if a
//! promise of the libraries is broken. `docs/fuzzing.md` tells how to run them.

mod webdataset;

use std::collections::HashSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use hardnet_checkpoint::{Checkpoint, Format, ReadOptions};
use hardnet_data::{
    Dataset, DatasetError, DecodeLimits, DecodeOptions, Decoding, Exif, ImageRoot, Interpolation, Pipeline,
};
use hardnet_eval::compare::{MatchedRuns, Predictions};
use hardnet_graph::{Config, Graph};
use hardnet_onnx::{Layers, Model};
use hardnet_params::{
    Error as ParamsError, Examined, Parameters as _, QuantizedParameters as _, WeightsFile, WeightsOptions, examine,
};
use hardnet_segmentation::{IGNORED, LabelTable, MaskReader, Palette, list_pairs};
use tempfile::TempDir;

pub use webdataset::webdataset;

/// Classes of the lists and folders: Kaggle's table is read with no other number.
const CLASSES: usize = 1000;

/// Opens a model file, once for each of its dictionaries of tensors, and reads every tensor; none is longer than the
/// file.
pub fn checkpoint(bytes: &[u8]) -> bool {
    let chosen = match Checkpoint::from_bytes(bytes.to_vec()) {
        Ok(checkpoint) => {
            check(&checkpoint);
            Ok(checkpoint)
        }
        Err(error) => {
            refused(&error);
            Err(error)
        }
    };
    let dictionaries = match &chosen {
        Ok(checkpoint) => checkpoint.dictionaries(),
        Err(hardnet_checkpoint::Error::Choice { available }) => available,
        Err(_) => &[],
    };
    // Paths are unique but for keys with periods, and many dictionaries would only repeat the work.
    for dictionary in dictionaries.iter().take(4) {
        match Checkpoint::from_bytes_with(bytes.to_vec(), &ReadOptions::default().entry(&dictionary.path)) {
            Ok(checkpoint) => {
                assert_eq!(checkpoint.wrapper().unwrap_or("."), dictionary.path);
                check(&checkpoint);
            }
            Err(error) => {
                refused(&error);
            }
        }
    }
    if chosen.is_ok() {
        match Checkpoint::from_bytes_with(bytes.to_vec(), &ReadOptions::default().entry("\u{1b} absent")) {
            Ok(_) => panic!("a dictionary that is not there was opened"),
            Err(error) => refused(&error),
        };
    }
    chosen.is_ok()
}

/// Opens a model file in memory and from disk, where the elements of tensors stay; both give the same. In fuzzing,
/// elements of 64 bytes and more stay there, of ONNX those of 8.
pub fn streamed(bytes: &[u8]) -> bool {
    FOLDER.with(|folder| {
        let path = folder.write("streamed", bytes);
        let options = ReadOptions::default().streamed(true);
        match (Checkpoint::from_bytes(bytes.to_vec()), Checkpoint::open_with(path, &options)) {
            (Ok(whole), Ok(streamed)) => {
                assert_eq!(whole.tensors(), streamed.tensors());
                assert_eq!((whole.wrapper(), whole.format()), (streamed.wrapper(), streamed.format()));
                for index in 0..whole.tensors().len() {
                    let expected = whole.read(index).expect("a listed tensor is readable");
                    assert_eq!(expected, streamed.read(index).expect("it is in memory"));
                    let mut parts = Vec::new();
                    streamed.read_parts(index, &mut |part| parts.extend_from_slice(part)).expect("it is in memory");
                    assert_eq!(*expected, parts);
                }
                true
            }
            // Of several errors in a file, either may be the first.
            (Err(_), Err(error)) => refused(&error),
            (whole, streamed) => panic!("{:?} in memory, {:?} from disk", whole.err(), streamed.err()),
        }
    })
}

fn check(checkpoint: &Checkpoint) {
    let length = checkpoint.byte_count();
    let mut names = HashSet::new();
    for (index, tensor) in checkpoint.tensors().iter().enumerate() {
        let elements = checkpoint.read(index).unwrap_or_else(|error| panic!("a listed tensor is readable: {error}"));
        let expected = tensor.shape.iter().try_fold(tensor.dtype.size(), |size, extent| size.checked_mul(*extent));
        assert_eq!(Some(elements.len()), expected, "{tensor:?}");
        // ONNX may hold a number of 8 bytes in one.
        let most = if checkpoint.format() == Format::Onnx { 8 * length } else { length };
        assert!(elements.len() <= most, "{tensor:?} is longer than its file of {length} bytes");
        assert!(names.insert(&tensor.name), "{tensor:?} is there twice");
    }
    assert!(checkpoint.read(names.len()).is_err());
    let own = checkpoint.wrapper().unwrap_or(".");
    assert!(checkpoint.dictionaries().iter().any(|dictionary| dictionary.path == own), "{own} is not listed");
    for value in checkpoint.opaque().iter().chain(checkpoint.passed_over()) {
        refused(&value.refusal());
    }
}

/// Reads a description of a network in TOML. What is accepted makes a graph, and is the same when it is written and
/// read again.
pub fn network(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let config = match Config::from_toml(text) {
        Ok(config) => config,
        Err(error) => return refused(&error),
    };
    Graph::new(&config).unwrap_or_else(|error| panic!("a valid network has a graph: {error}"));
    assert_eq!(Config::from_toml(&config.to_toml()), Ok(config));
    true
}

/// Reads an ONNX model, and looks for three small networks in it. What is accepted has as many bytes as its tensors'
/// shapes say, none of them twice in memory, and every parameter of the network.
pub fn onnx(bytes: &[u8]) -> bool {
    let model = match Model::parse(bytes) {
        Ok(model) => model,
        Err(error) => return refused(&error),
    };
    for (_, tensor) in model.tensors() {
        assert_eq!(Some(tensor.bytes.len()), tensor.info.byte_count(), "{:?}", tensor.info);
        assert!(tensor.bytes.len() <= 8 * bytes.len(), "{:?} is longer than its file", tensor.info);
    }
    let layers = Layers::new(&model);
    if let Err(error) = &layers {
        refused(error);
    }
    match Checkpoint::from_bytes(bytes.to_vec()) {
        Ok(checkpoint) => check(&checkpoint),
        Err(_) => return false,
    }
    let mut accepted = false;
    for (graph, options) in &*ONNX_NETWORKS {
        match layers
            .as_ref()
            .map(|layers| (layers.parameters(graph), layers.integers(graph, &mut |_| None), layers.maps(graph)))
        {
            Ok((Ok(floats), Ok(integers), maps)) => {
                // A layer of integers has a weight in place of a weight and a normalization.
                assert_eq!(floats.len() + 5 * integers.len(), graph.params().len());
                assert!(maps.len() < graph.nodes().len());
            }
            Ok((floats, integers, _)) => {
                for error in [floats.err(), integers.err()].iter().flatten() {
                    refused(error);
                }
            }
            Err(_) => {}
        }
        match WeightsFile::from_bytes_with("a", bytes.to_vec(), options) {
            Ok(weights) => {
                check_lengths(weights.checkpoint());
                check_layers(&weights);
                accepted = true;
            }
            Err(error) => {
                refused(&error);
            }
        }
    }
    accepted
}

/// The networks of the target `onnx`; `seeds.py` writes models of them.
static ONNX_NETWORKS: LazyLock<Vec<(Graph, WeightsOptions)>> = LazyLock::new(|| {
    let stem = "{ channels = 2, kernel = 3, stride = 2 }";
    let narrowed = format!("{stem}, {{ channels = 2, kernel = 1, stride = 1 }}");
    let block = "{ layers = 2, growth = 2, multiplier = 1.0, transition = 2, downsample = false }";
    let network = |(convs, blocks): (&str, &str)| {
        let text = format!(
            "in_channels = 3\nactivation = \"relu6\"\ndownsample = \"max_pool\"\ndepthwise = false\n\
             blocks = [{blocks}]\n[stem]\nconvs = [{convs}]\npadding = \"symmetric\"\n\
             [head]\nclasses = 2\ndropout = 0.0\n"
        );
        let config = Config::from_toml(&text).expect("the network is valid");
        let graph = Graph::new(&config).expect("a valid network has a graph");
        (graph, WeightsOptions::default().config(config))
    };
    [(stem, ""), (&narrowed, ""), (stem, block)].map(network).into()
});

/// Reads every layer of a file that was accepted: in floating point or in integers.
fn check_layers(weights: &WeightsFile) {
    let parameters = weights.parameters();
    let graph = Graph::new(weights.config()).expect("an accepted network has a graph").inference();
    let params = graph.params();
    for (id, node) in graph.nodes().iter().enumerate() {
        let layer = parameters.layer(&node.name).expect("a layer of an accepted file is readable");
        let own = || params.iter().filter(|param| param.node == id);
        match layer {
            Some(layer) => {
                assert_eq!((layer.scale.len(), layer.bias.len()), (node.out_channels, node.out_channels));
                assert!(own().any(|param| param.count() == layer.weights.len()));
                assert!(layer.scale.iter().chain(&layer.bias).all(|value| value.is_finite()));
                assert!(parameters.map(&node.name).is_some(), "a layer of integers has a map");
            }
            None => {
                for param in own() {
                    let values = parameters.values(param).expect("a parameter of an accepted file is readable");
                    assert_eq!(values.len(), param.count());
                }
            }
        }
    }
}

/// Checks that every tensor has the elements of its shape.
fn check_lengths(checkpoint: &Checkpoint) {
    for (index, tensor) in checkpoint.tensors().iter().enumerate() {
        let elements = checkpoint.read(index).unwrap_or_else(|error| panic!("a listed tensor is readable: {error}"));
        let expected = tensor.shape.iter().try_fold(tensor.dtype.size(), |size, extent| size.checked_mul(*extent));
        assert_eq!(Some(elements.len()), expected, "{tensor:?}");
    }
}

/// Looks for a network in a file whose tensors have the names and shapes of the lines: a name, and a dimension after
/// each blank. All values are zero. Every tensor of the file is a parameter, a counter, left out, or a difference.
pub fn tensors(bytes: &[u8]) -> bool {
    const MOST_VALUES: usize = 1 << 16;
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let (mut header, mut names, mut values) = (Vec::new(), HashSet::new(), 0_usize);
    for line in text.lines() {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        let Ok(shape) = words.map(str::parse::<usize>).collect::<Result<Vec<_>, _>>() else { return false };
        let Some(count) = shape.iter().try_fold(1_usize, |count, extent| count.checked_mul(*extent)) else {
            return false;
        };
        let (start, end) = (2 * values, 2 * values.saturating_add(count).min(MOST_VALUES + 1));
        values = end / 2;
        let is_plain = name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
        if values > MOST_VALUES || !is_plain || !names.insert(name) {
            return false;
        }
        header.push(format!("\"{name}\":{{\"dtype\":\"F16\",\"shape\":{shape:?},\"data_offsets\":[{start},{end}]}}"));
    }
    let header = format!("{{{}}}", header.join(","));
    let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; 2 * values]].concat();
    let Ok(checkpoint) = Checkpoint::from_bytes(file) else { return false };
    let Examined { recognized, .. } = match examine("a", &checkpoint) {
        Ok(examined) => examined,
        Err(error) => {
            assert!(matches!(error, ParamsError::Ambiguous { .. }), "{error}");
            return refused(&error);
        }
    };
    let differences = &recognized.differences;
    refused(&ParamsError::Mismatch {
        path: "a".into(),
        network: "b".into(),
        differences: Box::new(differences.clone()),
    });
    let params: HashSet<_> = recognized.params.iter().map(|named| named.key.as_str()).collect();
    for tensor in checkpoint.tensors() {
        let counts = tensor.name.ends_with("num_batches_tracked") || tensor.name.ends_with("n_averaged");
        let known = params.contains(tensor.name.as_str())
            || recognized.left_out.contains(&tensor.name)
            || differences.unexpected.contains(&tensor.name);
        assert!(known || counts, "{tensor:?} is nowhere");
    }
    differences.count() == 0
}

/// Reads a list of labels, of either kind, whose images lie in a folder.
pub fn list(bytes: &[u8]) -> bool {
    FOLDER.with(|folder| {
        let list = folder.write("list.txt", bytes);
        folder.check(Dataset::from_list(&list, folder.images(), CLASSES))
    })
}

/// Reads the rows below the header of Kaggle's table.
pub fn kaggle(rows: &[u8]) -> bool {
    list(&[b"ImageId,PredictionString\n", rows].concat())
}

/// Reads two files of predictions, which a zero byte separates, and compares the images that both have. All counts are
/// of the same images.
pub fn predictions(bytes: &[u8]) -> bool {
    let mut read = Vec::new();
    for (bytes, name) in bytes.splitn(2, |byte| *byte == 0).zip(["a", "b"]) {
        match Predictions::parse(bytes, name) {
            Ok(predictions) => read.push(predictions),
            Err(error) => return refused(&error),
        }
    }
    if let Err(error) = MatchedRuns::new(read.clone()) {
        refused(&error);
    }
    let runs = match MatchedRuns::common(read) {
        Ok(runs) => runs,
        Err(error) => return refused(&error),
    };
    let comparison = runs.compare(0, 1);
    let (agreement, top1) = (comparison.agreement(), comparison.top1());
    assert_eq!((agreement.total, top1.images()), (runs.images(), runs.labeled()));
    assert_eq!((top1.first(), top1.second()), (runs.top1(0), runs.top1(1)));
    assert_eq!(comparison.changes().len(), agreement.total - agreement.correct);
    assert!((0.0..=1.0).contains(&top1.p_value()), "{top1:?}");
    if let (Some(difference), Some((low, high))) = (top1.difference(), top1.interval95()) {
        assert!(-1.0 <= low && low <= difference && difference <= high && high <= 1.0, "{top1:?}: {low} to {high}");
    }
    let classes: usize = comparison.by_class().iter().map(|group| group.counts.images).sum();
    assert_eq!(classes, runs.labeled());
    for ranges in [comparison.by_short_side(), comparison.by_aspect_ratio()] {
        assert_eq!(ranges.iter().map(|group| group.counts.images).sum::<usize>(), runs.with_size());
    }
    true
}

/// Reads the table of classes of ImageNet's development kit.
pub fn meta_mat(bytes: &[u8]) -> bool {
    match hardnet_data::kit_table(bytes) {
        Ok(synsets) => {
            // A compressed table may be longer than its file, but not by more than zlib can make it.
            assert!(synsets.len() <= bytes.len() * 1032, "{} classes in {} bytes", synsets.len(), bytes.len());
            !synsets.is_empty()
        }
        Err(error) => refused(&error),
    }
}

/// Indexes a tar archive, once as it is and once with right checksums, and reads its images in each of the ways there
/// are.
pub fn tar_index(bytes: &[u8]) -> bool {
    let summed = with_checksums(bytes);
    let accepted = archive(bytes);
    if summed == bytes { accepted } else { archive(&summed) || accepted }
}

fn archive(bytes: &[u8]) -> bool {
    FOLDER.with(|folder| {
        let archive = folder.write("archive", bytes);
        let list = folder.write("archive.txt", b"a.jpg 0\nval/c.JPEG 1\n");
        let found = [
            Dataset::from_paths(std::slice::from_ref(&archive)),
            Dataset::from_class_folders(&archive, CLASSES),
            Dataset::from_class_folders(&archive, 2),
            Dataset::from_list(&list, &archive, CLASSES),
        ];
        let mut accepted = false;
        for found in found {
            let dataset = match found {
                Ok(dataset) => dataset,
                Err(error) => {
                    refused(&error);
                    continue;
                }
            };
            for sample in &dataset.samples {
                // A file that is no archive is taken for an image.
                let Some(archived) = sample.archived() else { continue };
                let content = archived.read().unwrap_or_else(|error| panic!("{archived:?} is readable: {error}"));
                let start = usize::try_from(archived.offset()).expect("offsets are within the archive");
                assert_eq!(content, bytes[start..][..content.len()], "{archived:?}");
                assert_eq!(content.len() as u64, archived.bytes());
                accepted = true;
            }
        }
        accepted
    })
}

/// Reads the rows of an archive's kept index, below a first line that fits them, and the images that they lead to.
///
/// The archive has two images. Rows that lead elsewhere give contents of the archive or errors; rows that make no index
/// are as good as none, and the archive is read itself.
pub fn index_cache(rows: &[u8]) -> bool {
    KEPT.with(|kept| {
        let crc32 = format!("\"crc32\":{}}}", crc32fast::hash(rows));
        let (head, _) = kept.head.rsplit_once("\"crc32\":").expect("the first line ends with the sum");
        let bytes = [head.as_bytes(), crc32.as_bytes(), b"\n", rows].concat();
        fs::write(&kept.index, &bytes).unwrap_or_else(|error| panic!("the index is written: {error}"));
        let whole = fs::read(&kept.archive).expect("the archive is readable");
        let mut accepted = false;
        for found in [kept.listed(), Dataset::from_class_folders(kept.root(), CLASSES)] {
            let dataset = match found {
                Ok(dataset) => dataset,
                Err(error) => {
                    refused(&error);
                    continue;
                }
            };
            accepted |= fs::read(&kept.index).is_ok_and(|now| now == bytes);
            for sample in &dataset.samples {
                let archived = sample.archived().expect("the samples are in the archive");
                // As the loader does: what is longer than a file may be is not read.
                if archived.bytes() > hardnet_data::MAX_FILE_BYTES {
                    continue;
                }
                let Ok(content) = archived.read() else { continue };
                let start = usize::try_from(archived.offset()).expect("what can be read is within the archive");
                assert_eq!(content, whole[start..][..content.len()], "{archived:?}");
            }
        }
        accepted
    })
}

/// Reads images and labels in IDX files: the first two bytes are the length of the labels' file, which follows; the
/// rest is the file of images.
pub fn idx(bytes: &[u8]) -> bool {
    let Some((length, files)) = bytes.split_first_chunk() else { return false };
    let Some((labels, images)) = files.split_at_checked(usize::from(u16::from_be_bytes(*length))) else { return false };
    FOLDER.with(|folder| {
        folder.write("idx-labels", labels);
        let dataset = match Dataset::from_idx(&folder.write("idx-images", images), CLASSES) {
            Ok(dataset) => dataset,
            Err(error) => return refused(&error),
        };
        let mut pixels = None;
        for (index, sample) in dataset.samples.iter().enumerate() {
            let stored = sample.in_memory().expect("the images are in memory");
            assert_eq!(stored.index(), index);
            let image = stored.image();
            let side = *pixels.get_or_insert((image.width(), image.height()));
            assert_eq!((image.width(), image.height()), side, "{sample:?}");
            assert!(sample.label().is_some_and(|label| (label as usize) < CLASSES), "{sample:?}");
        }
        !dataset.samples.is_empty()
    })
}

/// Reads a mask of five classes, by numbers or PASCAL VOC's colors.
pub fn mask(bytes: &[u8]) -> bool {
    let reader = MaskReader::new(LabelTable::indices(5)).palette(Palette::voc(5));
    let mask = match reader.decode(bytes) {
        Ok(mask) => mask,
        Err(error) => return refused(&error),
    };
    assert_eq!(mask.labels().len(), mask.width() * mask.height());
    assert!(mask.labels().iter().all(|&label| label < 5 || label == IGNORED));
    assert!(reader.decode(&mask.encode_png()).is_ok_and(|again| again == mask), "what is written is read again");
    true
}

/// Reads a table of the colors of three classes, and a list of images and masks.
pub fn mask_text(bytes: &[u8]) -> bool {
    FOLDER.with(|folder| {
        let path = folder.write("text", bytes);
        let is_table = match Palette::read(&path, &["road", "sky", "a b"]) {
            Ok(palette) => {
                assert_eq!(palette.len(), 3);
                assert!((0..3).all(|class| palette.class(palette.color(class)) == Some(class)));
                true
            }
            Err(error) => refused(&error),
        };
        let is_list = match list_pairs(Path::new("root"), &path) {
            Ok(pairs) => !pairs.is_empty(),
            Err(error) => refused(&error),
        };
        is_table || is_list
    })
}

/// Decodes a picture of at most 2^14 pixels and prepares it for a network.
pub fn image(bytes: &[u8]) -> bool {
    const MAX_PIXELS: u64 = 1 << 14;
    // The first byte of any format is fixed; the last is free, and chooses.
    let chosen = |bit: u8| bytes.last().is_some_and(|byte| byte & bit == 0);
    let mut options = DecodeOptions::default().limits(DecodeLimits::default().max_pixels(MAX_PIXELS));
    if !chosen(2) {
        options = options.decoding(Decoding::OpenCv);
    }
    let stored = options.decode(bytes);
    let turned = options.exif(Exif::Apply).decode(bytes);
    let picture = match (stored, turned) {
        (Ok(stored), Ok(turned)) => {
            assert_eq!(stored.orientation, turned.orientation);
            assert_eq!(stored.orientation.apply(stored.image), turned.image);
            turned.image
        }
        (Err(error), Err(_)) => return refused(&error),
        (stored, turned) => panic!("the orientation decides: {stored:?}, {turned:?}"),
    };
    assert!((picture.width() * picture.height()) as u64 <= MAX_PIXELS);
    let interpolation = match chosen(1) {
        true => Interpolation::Bilinear,
        false => Interpolation::Bicubic,
    };
    let pipeline = Pipeline::pil_bilinear().with_image_size(14).with_interpolation(interpolation);
    let tensor = pipeline.tensor(&picture).unwrap_or_else(|error| panic!("{picture:?} has a tensor: {error}"));
    assert_eq!(tensor.len(), 3 * 14 * 14);
    assert!(tensor.iter().all(|value| value.is_finite()), "{picture:?}");
    true
}

/// An error is one line that a terminal may show, whatever it quotes.
fn refused(error: &dyn Error) -> bool {
    let message = error.to_string();
    assert!(!message.chars().any(char::is_control), "{message:?}");
    assert!(message.len() < 4096, "{} bytes of message", message.len());
    false
}

/// The archive with the sum that belongs there in every block that looks like a header, as few changed headers would
/// have.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for block in bytes.chunks_exact_mut(512).filter(|block| &block[257..262] == b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    bytes
}

thread_local! {
    static FOLDER: Folder = Folder::new();
    static KEPT: Kept = Kept::new();
}

/// An archive of two images that has lain there for an hour, with its index kept.
struct Kept {
    folder: Folder,
    archive: PathBuf,
    index: PathBuf,
    /// The first line of the index.
    head: String,
}

impl Kept {
    fn new() -> Self {
        let folder = Folder::new();
        let tar = include_bytes!("../corpus-stored/tar_index/ustar");
        let archive = folder.write("a.tar", tar);
        folder.write("archive.txt", b"a.jpg 0\nval/c.JPEG 1\n");
        let hour_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
        let file = fs::File::options().write(true).open(&archive).expect("the archive is opened");
        file.set_modified(hour_ago).expect("the time is set");
        let mut kept = Self { folder, archive, index: PathBuf::new(), head: String::new() };
        kept.listed().unwrap_or_else(|error| panic!("the archive is good: {error}"));
        let mut indices = fs::read_dir(kept.folder.0.path().join("indices")).expect("an index is kept");
        kept.index = indices.next().expect("there is one").expect("it is readable").path();
        let index = fs::read_to_string(&kept.index).expect("it is text");
        kept.head = index.lines().next().expect("it has a first line").to_owned();
        kept
    }

    fn root(&self) -> ImageRoot {
        ImageRoot::from(&self.archive).with_index_cache(self.folder.0.path().join("indices"))
    }

    fn listed(&self) -> Result<Dataset, DatasetError> {
        Dataset::from_list(&self.folder.0.path().join("archive.txt"), self.root(), CLASSES)
    }
}

/// A folder of one thread for files that can only be read by their path.
struct Folder(TempDir);

impl Folder {
    /// A folder with three images, empty ones, in `images`.
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a temporary folder"));
        fs::create_dir_all(folder.images().join("val")).expect("the folders are made");
        for image in ["a.jpg", "b.JPEG", "val/c.JPEG"] {
            fs::write(folder.images().join(image), "").expect("an image is written");
        }
        folder
    }

    fn images(&self) -> PathBuf {
        self.0.path().join("images")
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap_or_else(|error| panic!("`{name}` is written: {error}"));
        path
    }

    /// Whether there are samples, which are then all below the folder of images.
    fn check(&self, found: Result<Dataset, DatasetError>) -> bool {
        let dataset = match found {
            Ok(dataset) => dataset,
            Err(error) => return refused(&error),
        };
        let (mut paths, images) = (HashSet::new(), self.images());
        for sample in &dataset.samples {
            assert!(sample.label().is_some_and(|label| (label as usize) < CLASSES), "{sample:?}");
            assert!(is_below(&sample.path(), &images), "{sample:?}");
            assert!(paths.insert(sample.path()), "{sample:?} is there twice");
        }
        !dataset.samples.is_empty()
    }
}

fn is_below(path: &Path, folder: &Path) -> bool {
    path.strip_prefix(folder).is_ok_and(|rest| rest.components().all(|part| part.as_os_str() != ".."))
}
