//! IDX files as data sets.

use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use hardnet_data::{Dataset, DatasetError, Loader, LoaderOptions, Pipeline};

const IMAGES: &str = "t10k-images-idx3-ubyte";
const LABELS: &str = "t10k-labels-idx1-ubyte";

fn idx(dimensions: &[u32], values: impl IntoIterator<Item = u8>) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dimensions.len() as u8];
    bytes.extend(dimensions.iter().flat_map(|dimension| dimension.to_be_bytes()));
    bytes.extend(values);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Three images of 2 rows and 3 columns.
fn images() -> Vec<u8> {
    idx(&[3, 2, 3], 0..18)
}

fn labels() -> Vec<u8> {
    idx(&[3], [2, 0, 1])
}

fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn gz(name: &str) -> String {
    format!("{name}.gz")
}

#[test]
fn images_and_labels_are_found_in_any_of_their_forms() {
    let (compressed_images, compressed_labels) = (gz(IMAGES), gz(LABELS));
    let forms: [[(&str, Vec<u8>); 2]; 5] = [
        [(IMAGES, images()), (LABELS, labels())],
        [(&compressed_images, gzip(&images())), (&compressed_labels, gzip(&labels()))],
        [(&compressed_images, gzip(&images())), (LABELS, labels())],
        [(IMAGES, images()), (&compressed_labels, gzip(&labels()))],
        [("train-images.idx3-ubyte", images()), ("train-labels.idx1-ubyte", labels())],
    ];
    for form in forms {
        let folder = folder(&form);
        let path = folder.path().join(form[0].0);
        assert!(Dataset::is_idx(&path));
        let dataset = Dataset::from_idx(&path, 3).unwrap();
        let found: Vec<_> = dataset.samples.iter().map(|sample| (sample.name(), sample.label())).collect();
        assert_eq!(found, [("0", Some(2)), ("1", Some(0)), ("2", Some(1))]);
        let image = dataset.samples[1].in_memory().unwrap().image();
        assert_eq!((image.width(), image.height(), image.samples()), (3, 2, &[6, 7, 8, 9, 10, 11][..]));
        assert_eq!(dataset.samples[1].path(), path.join("1"));
    }
}

/// A loader gives what the pipeline gives of the gray picture, three planes alike but for the normalization.
#[test]
fn loaders_take_them() {
    let folder = folder(&[(IMAGES, images()), (LABELS, labels())]);
    let dataset = Dataset::from_idx(&folder.path().join(IMAGES), 3).unwrap();
    let pipeline = Pipeline::pil_bilinear().with_image_size(8);
    let expected: Vec<f32> = dataset
        .samples
        .iter()
        .flat_map(|sample| pipeline.tensor(&sample.in_memory().unwrap().image().into_rgb()).unwrap())
        .collect();
    let batch = Loader::new(dataset.samples, pipeline, LoaderOptions::default()).unwrap().next().unwrap();
    assert_eq!(batch.samples, [0, 1, 2]);
    assert_eq!(batch.stacked(), expected);
}

#[test]
fn other_files_are_no_idx_files() {
    let mut tar = b"images/".to_vec();
    tar.resize(1024, 0);
    let folder = folder(&[("a", tar.clone()), ("b", gzip(&tar)), ("c", vec![]), ("d", vec![0, 0, 8])]);
    for name in ["a", "b", "c", "d", "missing", "."] {
        assert!(!Dataset::is_idx(&folder.path().join(name)), "{name}");
    }
}

fn message(files: &[(&str, Vec<u8>)], classes: usize) -> String {
    let folder = folder(files);
    let error = Dataset::from_idx(&folder.path().join(files[0].0), classes).unwrap_err();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text.replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn what_is_wrong_is_said() {
    let both = |images: Vec<u8>, labels: Vec<u8>| [(IMAGES, images), (LABELS, labels)];
    assert_eq!(message(&both(images(), labels()), 2), "`t10k-labels-idx1-ubyte`: label 0 is 2, outside 0..2");
    assert_eq!(
        message(&both(images(), idx(&[2], [0, 0])), 3),
        "`t10k-images-idx3-ubyte` has 3 images and `t10k-labels-idx1-ubyte` 2 labels, expected one for each"
    );
    assert_eq!(
        message(&both(images()[..20].to_vec(), labels()), 3),
        "`t10k-images-idx3-ubyte`: ends after 4 of 18 bytes of values; fetch it again"
    );
    assert_eq!(
        message(&both(images(), images()), 3),
        "`t10k-labels-idx1-ubyte`: begins with the bytes [00, 00, 08, 03], expected [00, 00, 08, 01]: an IDX file of \
         unsigned bytes"
    );
    assert_eq!(
        message(&[(IMAGES, images())], 3),
        "the labels of `t10k-images-idx3-ubyte` are missing, expected them in `t10k-labels-idx1-ubyte`"
    );
    assert!(message(&[("digits", images())], 3).starts_with("`digits` has no `images` in its name"));
}

/// A damaged checksum is found though every value is there, and so is a stream that is cut.
#[test]
fn damaged_gzip_is_an_error() {
    let whole = gzip(&images());
    let mut damaged = whole.clone();
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 1;
    for bytes in [damaged, whole[..whole.len() - 4].to_vec(), whole[..15].to_vec()] {
        let name = gz(IMAGES);
        let folder = folder(&[(&name, bytes), (LABELS, labels())]);
        let error = Dataset::from_idx(&folder.path().join(&name), 3).unwrap_err();
        assert!(matches!(error, DatasetError::Idx { .. }), "{error:?}");
    }
}

/// Some kilobytes of zeros expand a thousandfold, and only as far as the header says.
#[test]
fn a_file_that_expands_is_read_no_further_than_it_announces() {
    let name = gz(IMAGES);
    let folder = folder(&[(&name, gzip(&idx(&[1, 1, 1], vec![0; 50_000_000]))), (LABELS, idx(&[1], [0]))]);
    let error = Dataset::from_idx(&folder.path().join(&name), 1).unwrap_err();
    assert!(format!("{error:?}").contains("TooLong"), "{error:?}");
}

#[test]
fn held_out_samples_are_chosen_by_the_seed() {
    let path = PathBuf::from(IMAGES);
    let folder = folder(&[(IMAGES, idx(&[200, 1, 1], 0..200)), (LABELS, idx(&[200], vec![0; 200]))]);
    let whole = Dataset::from_idx(&folder.path().join(&path), 1).unwrap();
    let split = |count, seed| {
        let mut kept = whole.clone();
        let held = kept.split_off_random(count, seed);
        let numbers = |dataset: &Dataset| -> Vec<u32> {
            dataset.samples.iter().map(|sample| sample.name().parse().unwrap()).collect()
        };
        (numbers(&kept), numbers(&held))
    };
    let (kept, held) = split(50, 1);
    assert_eq!((kept.len(), held.len()), (150, 50));
    assert!(kept.is_sorted() && held.is_sorted());
    let mut all = [kept, held.clone()].concat();
    all.sort();
    assert_eq!(all, (0..200).collect::<Vec<_>>());
    assert_eq!(split(50, 1).1, held);
    assert_ne!(split(50, 2).1, held);
    assert_eq!((split(0, 1).0.len(), split(1000, 1).1.len()), (200, 200));
}

#[test]
fn fashion_mnist_of_debian_is_read_where_it_is_installed() {
    let path = Path::new("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz");
    if !path.exists() {
        return;
    }
    let dataset = Dataset::from_idx(path, 10).unwrap();
    assert_eq!(dataset.samples.len(), 10_000);
    let labels: Vec<_> = dataset.samples[..10].iter().map(|sample| sample.label().unwrap()).collect();
    assert_eq!(labels, [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]);
}
