//! The stream of a training set.

use std::io::Write;
use std::sync::Arc;

use hardnet_data::{
    Augmentation, Dataset, Loader, LoaderError, LoaderOptions, Pipeline, RandomCrop, Sample, TrainingEpoch,
};

/// Twenty pictures of random levels in an IDX file.
fn samples() -> Arc<Vec<Sample>> {
    let folder = tempfile::tempdir().unwrap();
    let header = |dimensions: &[u32]| {
        let mut bytes = vec![0, 0, 8, dimensions.len() as u8];
        bytes.extend(dimensions.iter().flat_map(|dimension| dimension.to_be_bytes()));
        bytes
    };
    let mut file = std::fs::File::create(folder.path().join("images")).unwrap();
    file.write_all(&header(&[20, 48, 48])).unwrap();
    file.write_all(&(0..20 * 2304u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>())
        .unwrap();
    let mut file = std::fs::File::create(folder.path().join("labels")).unwrap();
    file.write_all(&header(&[20])).unwrap();
    file.write_all(&[0; 20]).unwrap();
    Dataset::from_idx(&folder.path().join("images"), 1).unwrap().samples.into()
}

fn options(workers: usize, batch_size: usize) -> LoaderOptions {
    let mut options = LoaderOptions::default();
    (options.workers, options.batch_size, options.prefetch) = (workers, batch_size, 5);
    options
}

fn epoch(seed: u64, number: u32) -> TrainingEpoch {
    TrainingEpoch::new(Augmentation::imagenet(), 20, seed, number)
}

/// The order of the samples and all their pixels.
fn stream(
    samples: &Arc<Vec<Sample>>,
    epoch: TrainingEpoch,
    workers: usize,
    batch_size: usize,
) -> (Vec<usize>, Vec<f32>) {
    let pipeline = Pipeline::pil_bilinear().with_image_size(8);
    let loader = Loader::training(Arc::clone(samples), pipeline, epoch, options(workers, batch_size)).unwrap();
    let batches: Vec<_> = loader.collect();
    let order = batches.iter().flat_map(|batch| batch.samples.clone()).collect();
    (order, batches.iter().flat_map(|batch| batch.stacked()).collect())
}

#[test]
fn the_stream_depends_on_the_seed_alone() {
    let samples = samples();
    let own = stream(&samples, epoch(1, 0), 0, 6);
    for (workers, batch_size) in [(1, 6), (4, 6), (4, 1), (2, 20), (0, 7)] {
        assert_eq!(stream(&samples, epoch(1, 0), workers, batch_size), own, "{workers} workers, {batch_size} a batch");
    }
    let mut sorted = own.0.clone();
    sorted.sort();
    assert_eq!(sorted, (0..20).collect::<Vec<_>>());
    for other in [epoch(2, 0), epoch(1, 1)] {
        let other = stream(&samples, other, 0, 6);
        assert_ne!(other.0, own.0);
        assert_ne!(other.1, own.1);
    }
}

/// After a stop, the same batches come as without one.
#[test]
fn an_epoch_can_be_entered_in_its_middle() {
    let samples = samples();
    let whole = stream(&samples, epoch(1, 3), 2, 4);
    let mut rest = epoch(1, 3);
    rest.order.drain(..8);
    let rest = stream(&samples, rest, 2, 4);
    assert_eq!((&whole.0[8..], &whole.1[8 * 192..]), (&rest.0[..], &rest.1[..]));
}

/// Every sample has random numbers of its own, and others in the next epoch.
#[test]
fn samples_and_epochs_are_changed_each_in_its_own_way() {
    let one = Arc::new(vec![samples()[3].clone(); 20]);
    let (_, pixels) = stream(&one, epoch(1, 0), 0, 20);
    let images: Vec<_> = pixels.chunks(192).collect();
    assert!(images.iter().enumerate().all(|(at, image)| !images[..at].contains(image)));
    let (_, next) = stream(&one, epoch(1, 1), 0, 20);
    assert!(next.chunks(192).all(|image| !images.contains(&image)));
}

#[test]
fn senseless_epochs_are_refused() {
    let samples = samples();
    let pipeline = || Pipeline::pil_bilinear().with_image_size(8);
    let start = |epoch| Loader::training(Arc::clone(&samples), pipeline(), epoch, options(0, 2)).err().unwrap();
    let mut outside = epoch(1, 0);
    outside.order[7] = 20;
    assert!(matches!(start(outside), LoaderError::Order { index: 20, samples: 20 }));
    let mut wide = epoch(1, 0);
    wide.augmentation = Augmentation::none().with_crop(RandomCrop::Padded { padding: 1 << 20 });
    assert!(matches!(start(wide), LoaderError::Pipeline(_)));
}

/// Draws with replacement are entered in the middle too, and each draw of a sample is changed in its own way.
#[test]
fn a_balanced_epoch_draws_with_replacement() {
    let samples = samples();
    // One sample of class 0 and 19 of class 2; class 1 has none.
    let balanced = |number| {
        let labels = (0..20).map(|index| if index == 7 { 0 } else { 2 });
        TrainingEpoch::balanced(Augmentation::imagenet(), labels, 1, number)
    };
    let (own, next) = (balanced(0), balanced(1));
    assert_eq!((own.order.len(), own.repeats.len()), (20, 20));
    assert!(own == balanced(0) && own.order != next.order);
    for (at, index) in own.order.iter().enumerate() {
        let before = own.order[..at].iter().filter(|other| *other == index).count();
        assert_eq!(own.repeats[at] as usize, before);
    }
    let (order, pixels) = stream(&samples, own.clone(), 3, 6);
    assert_eq!(order, own.order.iter().map(|&index| index as usize).collect::<Vec<_>>());
    let rare: Vec<_> =
        pixels.chunks(192).zip(&order).filter(|(_, index)| **index == 7).map(|(image, _)| image).collect();
    assert!((4..17).contains(&rare.len()), "{} of 20", rare.len());
    assert!(rare.iter().enumerate().all(|(at, image)| !rare[..at].contains(image)));

    let mut rest = own;
    rest.truncate(18);
    rest.skip(8);
    let rest = stream(&samples, rest, 2, 4);
    assert_eq!((&order[8..18], &pixels[8 * 192..18 * 192]), (&rest.0[..], &rest.1[..]));
}
