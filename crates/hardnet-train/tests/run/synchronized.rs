//! Batch normalization by the statistics of the whole batch, over all virtual shards. The oracle is the batch without
//! virtual shards.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hardnet_train::{CommunicationError, Communicator, Follower, InProcess, in_process};

use super::*;

fn shards(count: usize) -> Recipe {
    recipe().virtual_shards(count).batch_norm(BatchNormStatistics::Synchronized)
}

/// A job of one step of plain gradient descent with a batch of `images` images, some of which cannot be read. Dropout,
/// whose random numbers are those of a shard, is off.
fn one_step(recipe: Recipe, images: usize, broken: &[usize], class_weights: Option<&[f64]>) -> Job {
    let recipe = recipe.epochs(1).batch_size(images).learning_rate(0.1).weight_decay(0.01).momentum(0.0);
    let recipe = recipe.nesterov(false).clip_norm(None).average_decay(None);
    let class_weights = class_weights.map(|weights| ClassWeights::Values(weights.to_vec()));
    let mut job = job(recipe.augmentation(Augmentation::none()).class_weights(class_weights));
    let mut all = samples(images, 1);
    // The places of images in the batch.
    let order = hardnet_data::TrainingEpoch::new(Augmentation::none(), images, job.seed, 0).order;
    for &place in broken {
        let at = order[place] as usize;
        all[at] = Sample::new("no-such-file.png", Some(at as u32 % 3), "no-such-file.png");
    }
    job.training = all.into();
    job.validation = None;
    job.metadata.config.blocks.iter_mut().for_each(|block| block.dropout = None);
    job.metadata.config.head = Some(Head { classes: 3, dropout: 0.0 });
    job
}

/// Weights and running statistics after the step, and its figures.
fn after(job: Job) -> (Vec<(String, Vec<f32>)>, EpochMetrics) {
    let temporary = tempfile::tempdir().unwrap();
    let mut trainer = start(job, temporary.path());
    let metrics = finish(&mut trainer).remove(0);
    let found = trainer.result();
    let values = found.entries().map(|(param, _)| (param.name.clone(), found.values(param).unwrap().to_vec()));
    (values.collect(), metrics)
}

#[test]
fn a_step_is_that_of_the_whole_batch() {
    let weights = [1.0, 0.5, 3.0];
    // Equal shards; shards of one image; of shards of three images one has two, one has one, and one has none.
    for (count, broken, class_weights, frozen) in [
        (4, &[][..], None, 0),
        (12, &[], None, 0),
        (4, &[0, 4, 5, 9, 10, 11], None, 0),
        (3, &[2, 7], Some(&weights[..]), 0),
        (4, &[3], None, 3),
    ] {
        let job = |recipe: Recipe| one_step(recipe, 12, broken, class_weights).freeze_until(frozen);
        let (expected, of_whole) = after(job(recipe()));
        let (found, metrics) = after(job(shards(count)));
        let before = Weights::random(&job(recipe()).metadata.config, 7, &Device::Cpu).unwrap();
        let before: Vec<_> = before.entries().map(|(param, _)| before.values(param).unwrap().to_vec()).collect();
        for (((name, found), (_, expected)), before) in found.iter().zip(&expected).zip(&before) {
            // What the step changes at most is the scale: values themselves are too large for its errors to show.
            let change = expected.iter().zip(before).map(|(after, before)| (after - before).abs());
            let scale = change.fold(1e-3, f32::max);
            for (found, expected) in found.iter().zip(expected) {
                let error = (found - expected).abs() / scale;
                assert!(error < 1e-3, "{name}, {count} shards, broken {broken:?}: {found}, expected {expected}");
            }
        }
        assert_eq!((metrics.steps, metrics.train_images), (1, 12 - broken.len()));
        assert_eq!(metrics.train_top1, of_whole.train_top1);
        assert!((metrics.train_loss - of_whole.train_loss).abs() < 1e-5, "{metrics:?}, expected {of_whole:?}");
        // Statistics of shards are others, or the comparison would show nothing.
        if count < 12 {
            let (apart, _) = after(job(recipe().virtual_shards(count)));
            assert!(apart.iter().zip(&expected).any(|((_, apart), (_, whole))| {
                apart.iter().zip(whole).any(|(apart, whole)| (apart - whole).abs() > 1e-2)
            }));
        }
    }
}

#[test]
fn a_resumed_synchronized_run_is_the_same_to_the_last_bit() {
    assert_resumes(&job(shards(4)));
    assert_resumes(&job(shards(8)).freeze_until(4).freeze_statistics(true));
}

/// The statistics are those of a batch, so that an image is left out if it would be a batch of its own, and not if it
/// would be a virtual shard.
#[test]
fn a_last_batch_of_one_image_is_left_out() {
    for (images, expected) in [(35, 35), (33, 32)] {
        let temporary = tempfile::tempdir().unwrap();
        let mut job = job(shards(4));
        job.training = samples(images, 1).into();
        assert_eq!(finish(&mut start(job, temporary.path()))[0].train_images, expected);
    }
}

/// As a batch with one readable image is.
#[test]
fn a_batch_with_one_readable_image_is_skipped() {
    let broken: Vec<usize> = (0..8).filter(|&place| place != 5).collect();
    let (expected, _) = after(one_step(shards(4), 8, &[], None));
    let temporary = tempfile::tempdir().unwrap();
    let mut trainer = start(one_step(shards(4), 8, &broken, None), temporary.path());
    let error = trainer.run(&mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(error, Error::NoReadableImages { failures: 7, .. }), "{error}");
    let before = Weights::random(&one_step(shards(4), 8, &[], None).metadata.config, 7, &Device::Cpu).unwrap();
    for ((param, _), (name, expected)) in before.entries().zip(expected) {
        let values = before.values(param).unwrap().to_vec();
        assert!(trainer.result().values(param).unwrap().to_vec() == values, "{name}");
        assert!(values != expected, "{name} is changed by a step");
    }
}

/// A rank that fails, or does nothing more, at its `last` message.
#[derive(Debug)]
struct Failing {
    link: InProcess,
    messages: AtomicUsize,
    last: usize,
    is_silent: bool,
}

impl Communicator for Failing {
    fn rank(&self) -> usize {
        self.link.rank()
    }

    fn size(&self) -> usize {
        self.link.size()
    }

    fn send(&self, to: usize, message: Arc<Vec<u8>>) -> Result<(), CommunicationError> {
        if self.messages.fetch_add(1, Ordering::Relaxed) < self.last {
            return self.link.send(to, message);
        }
        if self.is_silent {
            std::thread::sleep(Duration::from_secs(4));
        }
        Err(CommunicationError::Transport("the cable is cut".into()))
    }

    fn receive(&self, from: usize) -> Result<Vec<u8>, CommunicationError> {
        self.link.receive(from)
    }

    fn fail(&self, reason: &str) {
        self.link.fail(reason);
    }
}

/// How three ranks end, of which rank 1 fails after so many messages.
fn ends(last: usize, is_silent: bool) -> Vec<String> {
    let temporary = tempfile::tempdir().unwrap();
    let links = in_process(3, Duration::from_secs(2));
    let job = || job(shards(8).batch_size(16));
    std::thread::scope(|scope| {
        let threads: Vec<_> = links
            .into_iter()
            .map(|link| {
                let path = temporary.path();
                scope.spawn(move || {
                    let rank = link.rank();
                    let link: Arc<dyn Communicator> = match rank {
                        1 => Arc::new(Failing { link, messages: AtomicUsize::new(0), last, is_silent }),
                        _ => Arc::new(link),
                    };
                    let go_on = &mut |_: Event| ControlFlow::Continue(());
                    let ended = match rank {
                        0 => start(job(), path).over(link).unwrap().run(go_on),
                        _ => Follower::join(job(), link).unwrap().run(go_on),
                    };
                    ended.unwrap_err().to_string()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// In a forward pass, between the passes and in a backward pass.
#[test]
fn a_rank_that_fails_within_a_pass_ends_all() {
    for last in [1, 2, 9, 30, 47] {
        let found = ends(last, false);
        let own = "cannot communicate with the other ranks: the cable is cut";
        let expected = [format!("rank 1 failed: {own}"), own.into(), format!("rank 1 failed: {own}")];
        assert_eq!(found, expected, "at message {last}");
    }
}

#[test]
fn a_rank_that_is_silent_within_a_pass_ends_all() {
    // Ranks that wait for one another are silent to each other.
    let found = ends(7, true);
    assert!([0, 2].iter().all(|&rank| found[rank].ends_with(" has been silent for 2 s")), "{found:?}");
}
