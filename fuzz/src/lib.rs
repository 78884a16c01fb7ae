//! One function per fuzz target: what may be done with any bytes at all, and what must then hold.
//!
//! The targets in `fuzz_targets/` call these under libFuzzer; `tests/tests/fuzz_corpus.rs` compiles the same file and
//! replays the stored inputs in every test run. Each function says whether the bytes were accepted, and panics if a
//! promise of the libraries is broken. `docs/fuzzing.md` tells how to run them.

mod models;
mod serve;
mod webdataset;

use std::collections::HashSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use hardnet_data::{
    Dataset, DatasetError, DecodeLimits, DecodeOptions, Decoding, Exif, ImageRoot, Interpolation, Pipeline,
};
use hardnet_eval::compare::{MatchedRuns, Predictions};
use hardnet_segmentation::{IGNORED, LabelTable, MaskReader, Palette, list_pairs};
use tempfile::TempDir;

pub use models::{checkpoint, network, onnx, streamed, tensors};
pub use serve::serve;
pub use webdataset::webdataset;

/// Classes of the lists and folders: Kaggle's table is read with no other number.
const CLASSES: usize = 1000;

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
