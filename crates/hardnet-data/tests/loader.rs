//! `Loader`: batches, failures in their place, files that are none.

use std::fs::{self, File};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use hardnet_data::{
    Batch, CoreBudget, DecodeWarning, Image, Loader, LoaderError, LoaderOptions, MAX_FILE_BYTES, Pipeline, Sample,
    SampleError,
};
use image::{ColorType, ImageEncoder, codecs::bmp::BmpEncoder, codecs::png::PngEncoder};
use tempfile::TempDir;

const WIDTH: usize = 12;
const HEIGHT: usize = 9;

fn sized(resize: u32, crop: u32) -> Pipeline {
    let mut pipeline = Pipeline::pil_bilinear();
    (pipeline.resize, pipeline.crop) = (resize, crop);
    pipeline
}

/// Short side 8, crop 7: tensors of 147 values.
fn pipeline() -> Pipeline {
    sized(8, 7)
}

fn options(workers: usize, batch_size: usize, prefetch: usize) -> LoaderOptions {
    let mut options = LoaderOptions::default();
    (options.workers, options.batch_size, options.prefetch) = (workers, batch_size, prefetch);
    options
}

/// The RGB samples of picture number `index`, `[9, 12, 3]`.
fn picture(index: usize) -> Vec<u8> {
    (0..HEIGHT * WIDTH * 3).map(|at| ((at * 7 + index * 31) % 251) as u8).collect()
}

/// The tensor of picture number `index`, without a file or thread.
fn expected(index: usize) -> Vec<f32> {
    let image = Image::from_rgb8(WIDTH, HEIGHT, picture(index)).expect("the sizes agree");
    pipeline().tensor(&image).expect("the pipeline is valid")
}

/// Sample `index` of a folder: every third is a BMP, the others are PNG.
fn write(folder: &Path, index: usize) -> Sample {
    let path = folder.join(format!("{index}.png"));
    let file = File::create(&path).expect("the image is created");
    let (width, height, color) = (WIDTH as u32, HEIGHT as u32, ColorType::Rgb8.into());
    if index.is_multiple_of(3) {
        let mut file = file;
        BmpEncoder::new(&mut file).write_image(&picture(index), width, height, color).expect("a bmp is written");
    } else {
        PngEncoder::new(file).write_image(&picture(index), width, height, color).expect("a png is written");
    }
    Sample::new(path, Some(index as u32), index.to_string())
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn batches(samples: Vec<Sample>, options: LoaderOptions) -> Vec<Batch> {
    Loader::new(samples, pipeline(), options).expect("good options").collect()
}

#[test]
fn batches_are_in_order_and_equal_for_any_workers_and_prefetch() {
    let folder = folder();
    let samples: Vec<_> = (0..23).map(|index| write(folder.path(), index)).collect();
    for (workers, batch_size, prefetch) in
        [(0, 5, 8), (1, 5, 1), (1, 23, 0), (2, 1, 3), (3, 5, 64), (8, 24, 2), (2, usize::MAX, usize::MAX)]
    {
        let case = format!("{workers} workers, batches of {batch_size}, {prefetch} ahead");
        let mut loader = Loader::new(samples.clone(), pipeline(), options(workers, batch_size, prefetch)).expect(&case);
        let mut next = 0;
        for left in (0..23usize.div_ceil(batch_size)).rev() {
            let batch = loader.next().expect(&case);
            let end = next + batch_size.min(23 - next);
            assert_eq!(batch.range, next..end, "{case}");
            assert_eq!(batch.samples, (next..end).collect::<Vec<_>>(), "{case}");
            assert_eq!(batch.stacked(), (next..end).flat_map(expected).collect::<Vec<_>>(), "{case}");
            assert!(batch.failures.is_empty() && batch.warnings.is_empty(), "{case}");
            assert_eq!(loader.len(), left, "{case}");
            next = end;
        }
        assert_eq!(next, 23, "{case}");
        assert!(loader.next().is_none() && loader.next().is_none(), "{case}");
    }
}

#[test]
fn failures_keep_their_place_and_do_not_move_batches() {
    let folder = folder();
    let mut samples: Vec<_> = (0..12).map(|index| write(folder.path(), index)).collect();
    fs::remove_file(samples[1].path()).expect("removed");
    fs::write(samples[2].path(), "").expect("emptied");
    let png = fs::read(samples[4].path()).expect("read");
    fs::write(samples[4].path(), &png[..png.len() / 2]).expect("truncated");
    fs::write(samples[5].path(), "<html>not found</html>").expect("replaced");
    samples[6] = Sample::new(folder.path(), None, "a folder");
    samples[7] = Sample::new(samples[0].path().join("below a file"), None, "below a file");
    fs::write(samples[8].path(), [0; 100]).expect("overwritten");
    for workers in [0, 3] {
        let batches = batches(samples.clone(), options(workers, 3, 4));
        let rows: Vec<_> = batches.iter().map(|batch| (batch.range.clone(), batch.samples.clone())).collect();
        // The third batch has no row at all.
        let wanted = [(0..3, vec![0]), (3..6, vec![3]), (6..9, vec![]), (9..12, vec![9, 10, 11])];
        assert_eq!(rows, wanted, "{workers} workers");
        for batch in &batches {
            let pixels: Vec<f32> = batch.samples.iter().flat_map(|index| expected(*index)).collect();
            assert_eq!(batch.stacked(), pixels, "{workers} workers");
        }
        let failures: Vec<_> = batches.iter().flat_map(|batch| &batch.failures).collect();
        assert_eq!(failures.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 2, 4, 5, 6, 7, 8]);
        for (index, error) in failures {
            let right = match index {
                1 | 7 => matches!(error, SampleError::Io { path, .. } if *path == samples[*index].path()),
                6 => matches!(error, SampleError::NotAFile { path, .. } if *path == samples[*index].path()),
                _ => matches!(error, SampleError::Decode { .. }),
            };
            assert!(right, "sample {index}: {error}");
        }
    }
}

#[test]
fn warnings_name_their_sample() {
    let folder = folder();
    let mut samples: Vec<_> = (0..4).map(|index| write(folder.path(), index)).collect();
    let path = folder.path().join("alpha.png");
    let file = File::create(&path).expect("the image is created");
    let rgba = vec![90; WIDTH * HEIGHT * 4];
    let (width, height) = (WIDTH as u32, HEIGHT as u32);
    PngEncoder::new(file).write_image(&rgba, width, height, ColorType::Rgba8.into()).expect("a png is written");
    samples[2] = Sample::new(path, None, "alpha");
    let batches = batches(samples, options(2, 2, 4));
    assert!(batches[0].warnings.is_empty());
    assert_eq!(batches[1].warnings, [(2, DecodeWarning::AlphaDropped)]);
    assert_eq!(batches[1].samples, [2, 3]);
}

#[test]
fn files_over_the_limit_are_not_read() {
    let folder = folder();
    let sample = write(folder.path(), 1);
    File::options().write(true).open(sample.path()).and_then(|file| file.set_len(MAX_FILE_BYTES + 2)).expect("sparse");
    let batches = batches(vec![sample], options(1, 1, 1));
    let (index, error) = &batches[0].failures[0];
    let SampleError::TooLarge { bytes, limit, .. } = error else { panic!("sample {index}: {error}") };
    assert_eq!((*index, *bytes, *limit), (0, MAX_FILE_BYTES + 2, MAX_FILE_BYTES));
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_are_refused_rather_than_waited_for() {
    let folder = folder();
    let pipe = folder.path().join("pipe.png");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    let samples = [pipe.as_path(), Path::new("/dev/zero")].map(|path| Sample::new(path, None, "special"));
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(batches(samples.to_vec(), options(1, 2, 2))));
    let batches = receiver.recv_timeout(std::time::Duration::from_secs(10)).expect("the loader does not wait");
    assert_eq!(batches[0].failures.len(), 2);
    for (_, error) in &batches[0].failures {
        assert!(error.to_string().ends_with("is a pipe, socket or device, expected an image file"), "{error}");
    }
}

#[test]
fn decoder_limits_are_handed_on() {
    let folder = folder();
    let mut options = options(1, 1, 1);
    options.limits.max_pixels = (WIDTH * HEIGHT) as u64 - 1;
    let refused = batches(vec![write(folder.path(), 1)], options.clone());
    assert!(matches!(refused[0].failures[..], [(0, SampleError::Decode { .. })]));
    options.limits.max_pixels += 1;
    assert_eq!(batches(vec![write(folder.path(), 1)], options)[0].samples, [0]);
}

#[test]
fn options_that_cannot_be_are_refused() {
    let folder = folder();
    let one = vec![write(folder.path(), 1)];
    let start = |samples: Vec<Sample>, pipeline, options| Loader::new(samples, pipeline, options).map(|_| ());
    let result = start(one.clone(), pipeline(), options(1, 0, 1));
    assert!(matches!(result, Err(LoaderError::ZeroBatchSize)), "{result:?}");
    let result = start(one.clone(), sized(8, 0), options(1, 1, 1));
    assert!(matches!(result, Err(LoaderError::Pipeline(_))), "{result:?}");

    let large = sized(4096, 4096);
    let many: Vec<_> = std::iter::repeat_n(one[0].clone(), 100).collect();
    for (batch_size, prefetch, expected) in [(22, 1, "batch_size"), (1, 22, "prefetch")] {
        let error = start(many.clone(), large.clone(), options(0, batch_size, prefetch)).expect_err("too much");
        let text = format!(
            "`{expected}` of 22 images of 4096x4096 pixels takes more than 4294967296 bytes; expected at most 21"
        );
        assert_eq!(error.to_string(), text);
    }
    start(many, large.clone(), options(0, 21, 21)).expect("as much as fits");
    // Only as many images as there are count.
    start(one, large, options(0, 1000, 1000)).expect("one image fits");
}

#[test]
fn no_samples_give_no_batches() {
    assert!(batches(vec![], options(2, 4, 4)).is_empty());
}

#[test]
fn dropping_a_loader_early_ends_its_threads() {
    let folder = folder();
    let samples = Arc::new((0..50).map(|index| write(folder.path(), index % 5)).collect::<Vec<_>>());
    let mut loader = Loader::new(Arc::clone(&samples), pipeline(), options(3, 4, 8)).expect("good options");
    assert_eq!(loader.next().expect("a batch").samples, [0, 1, 2, 3]);
    drop(loader);
    // The workers held the other references.
    assert_eq!(Arc::strong_count(&samples), 1);
}

#[test]
fn images_are_decoded_only_while_a_core_is_free() {
    let folder = folder();
    let samples: Vec<_> = (0..6).map(|index| write(folder.path(), index)).collect();
    let cores = Arc::new(CoreBudget::new(2));
    let all = cores.acquire(2);
    let mut options = options(3, 6, 6);
    options.cores = Some(Arc::clone(&cores));
    let loader = Loader::new(samples, pipeline(), options).expect("good options");
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || loader.for_each(|batch| sender.send(batch.stacked()).expect("received")));
        let early = receiver.recv_timeout(Duration::from_millis(100));
        drop(all);
        assert_eq!(early, Err(mpsc::RecvTimeoutError::Timeout));
        assert_eq!(receiver.recv(), Ok((0..6).flat_map(expected).collect()));
    });
}
