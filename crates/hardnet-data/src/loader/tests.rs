//! Tests of decoders that fail, of buffers, and of how often files are read.

use std::time::Duration;

use super::*;
use crate::CoreBudget;

/// Samples named `0`, `1`, ..
fn samples(count: usize) -> Arc<Vec<Sample>> {
    Arc::new((0..count).map(|index| Sample::new(index.to_string(), None, index.to_string())).collect())
}

/// A loader of tensors `[3, 1, 1]` by one pipeline.
fn one(
    samples: Arc<Vec<Sample>>,
    order: Order,
    options: &LoaderOptions,
    load: impl Fn(&Sample, &ImagePermits, OrderedSample, &mut [f32]) -> Result<Vec<DecodeWarning>, SampleError>
    + Send
    + Sync
    + 'static,
) -> Result<Loader, LoaderError> {
    let load = move |sample: &Sample, permits: &ImagePermits, ordered: OrderedSample, outs: &mut [ImageTensor]| {
        let loaded = load(sample, permits, ordered, &mut outs[0]);
        vec![loaded.map(|warnings| ((), ImageInfo::new(1, 1), warnings))]
    };
    Batches::with(samples, order, &[1], options, load).map(Loader)
}

/// So many samples in their order.
fn all(count: usize) -> Order {
    Order { count, ..Order::default() }
}

#[test]
fn a_panicking_decoder_costs_one_image() {
    for workers in [0, 1, 3] {
        let options = LoaderOptions { workers, batch_size: 4, prefetch: 2, ..LoaderOptions::default() };
        let loader = one(samples(10), all(10), &options, |sample, _, _, out| {
            let index: usize = sample.name().parse().expect("samples are numbers");
            out.fill(index as f32);
            match index {
                2 => panic!("image \u{1b}{index}"),
                5 => std::panic::panic_any("plain"),
                8 => std::panic::panic_any(7),
                _ => Ok(vec![DecodeWarning::AlphaDropped; index % 2]),
            }
        });
        let batches: Vec<_> = loader.expect("good options").collect();
        let rows: Vec<_> = batches.iter().map(|batch| (batch.range.clone(), batch.samples.clone())).collect();
        assert_eq!(rows, [(0..4, vec![0, 1, 3]), (4..8, vec![4, 6, 7]), (8..10, vec![9])], "{workers} workers");
        let pixels: Vec<f32> = batches.iter().flat_map(Batch::stacked).collect();
        let expected: Vec<f32> = [0, 1, 3, 4, 6, 7, 9].iter().flat_map(|index| [*index as f32; 3]).collect();
        assert_eq!(pixels, expected, "{workers} workers");
        let failures: Vec<_> = batches.iter().flat_map(|batch| &batch.failures).collect();
        let messages: Vec<_> = failures.iter().map(|(index, error)| (*index, error.to_string())).collect();
        let report = |index: usize, message: &str| {
            (index, format!("decoding `{index}` panicked: {message}; please report the file as a bug"))
        };
        let expected = [report(2, "image \\u{1b}2"), report(5, "plain"), report(8, "no message")];
        assert_eq!(messages, expected, "{workers} workers");
        let warned: Vec<_> = batches.iter().flat_map(|batch| &batch.warnings).map(|(index, _)| *index).collect();
        assert_eq!(warned, [1, 3, 7, 9], "{workers} workers");
    }
}

/// However far ahead the workers get.
#[test]
fn buffers_are_those_of_the_start() {
    for (workers, expected) in [(0, 4), (1, 10), (3, 10)] {
        let options = LoaderOptions { workers, batch_size: 4, prefetch: 6, ..LoaderOptions::default() };
        let seen = Arc::new(Mutex::new(std::collections::BTreeSet::new()));
        let addresses = Arc::clone(&seen);
        let loader = one(samples(100), all(100), &options, move |_, _, _, out| {
            // Those of the start are no numbers, one that is made later would be zeros.
            assert!(!lock(&addresses).insert(out.as_ptr() as usize) || out[0].is_nan());
            out.fill(0.0);
            Ok(vec![])
        })
        .expect("good options");
        assert_eq!(loader.map(|batch| batch.images.len()).sum::<usize>(), 100);
        assert!(lock(&seen).len() <= expected, "{workers} workers");
    }
}

#[test]
fn a_stuck_decoder_costs_one_image_and_gives_its_core_back() {
    let cores = Arc::new(CoreBudget::new(1));
    let timeout = Duration::from_millis(100);
    let options = LoaderOptions {
        workers: 2,
        batch_size: 4,
        prefetch: 8,
        cores: Some(Arc::clone(&cores)),
        timeout,
        ..LoaderOptions::default()
    };
    let (release, stuck) = std::sync::mpsc::channel::<()>();
    let stuck = Mutex::new(stuck);
    let mut loader = one(samples(10), all(10), &options, move |_, permits, ordered, out| {
        let index = ordered.index;
        let _permit = permits.acquire(ordered.position);
        out.fill(index as f32);
        // Not before the other end is gone.
        if index == 5 {
            let _ = lock(&stuck).recv();
        }
        Ok(vec![])
    })
    .expect("good options");
    let rows: Vec<_> = (&mut loader).map(|batch| (batch.samples, batch.failures.len())).collect();
    assert_eq!(rows, [(vec![0, 1, 2, 3], 0), (vec![4, 6, 7], 1), (vec![8, 9], 0)]);
    // All cores are free although sample 5 is still at it.
    assert_eq!(cores.acquire(1).count(), 1);
    drop(loader);
    drop(release);
}

/// Pipelines of several resizes, sizes and orders of channels, all of one decoding.
fn pipelines() -> Vec<Pipeline> {
    let small = |pipeline: Pipeline, crop| pipeline.with_image_size(crop);
    vec![
        small(Pipeline::pil_bilinear(), 14),
        small(Pipeline::paddleclas(), 14),
        small(Pipeline::pil_bicubic(), 21),
        small(Pipeline::pil_bilinear(), 14),
    ]
}

/// A folder with PNGs `0.png`, .. of 20 x 15 pixels, and their samples.
fn pictures(count: usize) -> (tempfile::TempDir, Vec<Sample>) {
    let folder = tempfile::tempdir().unwrap();
    let picture = |index: usize| {
        let samples = (0..20 * 15 * 3).map(|at| ((at * 7 + index * 31) % 251) as u8).collect();
        let path = folder.path().join(format!("{index}.png"));
        let image = Image::from_rgb8(20, 15, samples).unwrap();
        std::fs::write(&path, crate::encode_png(&image).unwrap()).unwrap();
        Sample::new(path, None, index.to_string())
    };
    let samples = (0..count).map(picture).collect();
    (folder, samples)
}

fn steps(pipelines: &[Pipeline]) -> Vec<file::Steps> {
    let steps = |pipeline: &Pipeline| file::Steps { decode: pipeline.decode_options(), pipeline: pipeline.clone() };
    pipelines.iter().map(steps).collect()
}

/// A JPEG with Exif data that say a quarter turn.
fn turned(jpeg: &[u8]) -> Vec<u8> {
    let exif = b"\xFF\xE1\x00\x22Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    [&jpeg[..2], exif, &jpeg[2..]].concat()
}

/// Pillow and OpenCV make the same of an upright JPEG, and that is known without decoding it again.
#[test]
fn several_pipelines_read_and_decode_an_image_once() {
    let files = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pillow/files");
    let read = |name: &str| std::fs::read(files.join(name)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    let sample = Sample::new(path.clone(), None, "image");
    let of_pillow: Vec<_> =
        pipelines().into_iter().filter(|pipeline| pipeline.convention.name() == "torchvision").collect();
    for (file, pipelines, decodes) in [
        (read("adobe_ycc.jpg"), pipelines(), 1),
        (turned(&read("adobe_ycc.jpg")), pipelines(), 2),
        (turned(&read("adobe_ycc.jpg")), of_pillow.clone(), 1),
        (read("cmyk.jpg"), pipelines(), 2),
        (read("bilevel.png"), pipelines(), 2),
        (read("bilevel.png"), of_pillow, 1),
    ] {
        std::fs::write(&path, file).unwrap();
        let permits = ImagePermits::new(None);
        let mut workspace = file::Workspace::new(hardnet_simd::Isa::best(), pipelines.len());
        let tensor = |pipeline: &Pipeline| TensorPool::new(3 * (pipeline.crop as usize).pow(2), 1).take();
        let mut outs: Vec<_> = pipelines.iter().map(tensor).collect();
        let loaded = file::load(
            &sample,
            &steps(&pipelines),
            || permits.acquire(0),
            |pipeline, resizer, image, out| pipeline.tensor_with(resizer, image, out),
            &mut workspace,
            &mut outs,
        );
        assert!(loaded.len() == pipelines.len() && loaded.iter().all(Result::is_ok), "{loaded:?}");
        assert_eq!(workspace.counts, file::Counts { reads: 1, decodes });
        for ((pipeline, found), loaded) in pipelines.iter().zip(&outs).zip(loaded) {
            let decoded = pipeline.decode_options().decode(&std::fs::read(&path).unwrap()).unwrap();
            let (_, info, warnings) = loaded.unwrap();
            assert_eq!(found[..], pipeline.tensor(&decoded.image).unwrap());
            assert_eq!((info.width, info.orientation), (decoded.image.width(), decoded.orientation));
            assert_eq!(warnings, decoded.warnings);
        }
    }
}

#[test]
fn each_pipeline_has_the_batches_that_it_has_alone() {
    let (folder, mut samples) = pictures(7);
    std::fs::write(folder.path().join("2.png"), "not a picture").unwrap();
    samples[4] = Sample::new(folder.path().join("none.png"), None, "4");
    for workers in [0, 3] {
        let options = LoaderOptions::default().workers(workers).batch_size(3).prefetch(2);
        let mut together = PipelinesLoader::new(samples.clone(), pipelines(), options.clone()).unwrap();
        let mut alone: Vec<_> = pipelines()
            .into_iter()
            .map(|pipeline| Loader::new(samples.clone(), pipeline, options.clone()).unwrap())
            .collect();
        assert_eq!(together.len(), 3);
        for _ in 0..3 {
            let batches = together.next().unwrap();
            assert_eq!(batches.len(), 4);
            for (batch, alone) in batches.iter().zip(&mut alone) {
                let alone = alone.next().unwrap();
                let failures = |batch: &Batch| {
                    let failures = batch.failures.iter().map(|(index, error)| (*index, format!("{error:?}")));
                    failures.collect::<Vec<_>>()
                };
                assert_eq!((&batch.range, &batch.samples), (&alone.range, &alone.samples));
                assert_eq!((&batch.infos, failures(batch)), (&alone.infos, failures(&alone)));
                assert!(batch.infos.iter().all(|info| *info == ImageInfo::new(20, 15)));
                assert_eq!(batch.stacked(), alone.stacked());
            }
        }
        assert!(together.next().is_none());
    }
}

/// An image that one pipeline cannot take is there for the others.
#[test]
fn a_pipeline_that_fails_costs_its_own_image_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wide.png");
    let image = Image::from_rgb8(4000, 1, vec![7; 12_000]).unwrap();
    std::fs::write(&path, crate::encode_png(&image).unwrap()).unwrap();
    let (sample, permits) = (Sample::new(path, None, "wide"), ImagePermits::new(None));
    let failing = file::load(
        &sample,
        &steps(&[Pipeline::pil_bilinear(), Pipeline::paddleclas()]),
        || permits.acquire(0),
        |pipeline, _, _, _| match pipeline.name() {
            Some("paddleclas") => Err(PipelineError::CropPct { value: 2.0 }),
            _ => Ok(()),
        },
        &mut file::Workspace::new(hardnet_simd::Isa::best(), 2),
        &mut [TensorPool::new(3, 1).take(), TensorPool::new(3, 1).take()],
    );
    assert!(matches!(&failing[..], [Ok(_), Err(SampleError::Preprocess { .. })]), "{failing:?}");
}

#[test]
fn the_limit_of_memory_is_that_of_all_pipelines() {
    assert!(check_memory("batch_size", 27, 27, &[3584]).is_ok());
    let error = check_memory("batch_size", 27, 27, &[3584, 3584]);
    assert!(matches!(error, Err(LoaderError::TooMuchMemory { option: "batch_size", most: 13, .. })), "{error:?}");
    assert!(check_memory("batch_size", 27, 27, &[]).is_ok());
}
