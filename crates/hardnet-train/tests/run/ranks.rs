//! Runs that several ranks train together. The oracle is the run of one process with as many virtual shards.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hardnet_data::TrainingEpoch;
use hardnet_train::{Follower, InProcess, in_process};

use super::*;

type Observe<'a> = &'a (dyn Fn(usize, &Event) -> ControlFlow<()> + Sync);

const GO_ON: Observe<'static> = &|_, _| ControlFlow::Continue(());

/// How the run ended on each rank. `job` is the job of a rank.
fn run_on(
    size: usize,
    path: &Path,
    job: &(dyn Fn(usize) -> Job + Sync),
    observe: Observe,
) -> Vec<Result<(Outcome, Vec<EpochMetrics>), Error>> {
    let run = |rank: usize, communicator: InProcess| {
        let communicator = Arc::new(communicator);
        let mut observe = |event: Event| observe(rank, &event);
        if rank > 0 {
            let mut follower = Follower::join(job(rank), communicator)?;
            return Ok((follower.run(&mut observe)?, follower.state().history.clone()));
        }
        let trainer = match RunFolder::open(path) {
            Ok(folder) => Trainer::resume(job(0), folder)?,
            Err(_) => start(job(0), path),
        };
        let mut trainer = trainer.over(communicator)?;
        Ok((trainer.run(&mut observe)?, trainer.state().history.clone()))
    };
    std::thread::scope(|scope| {
        let ranks = in_process(size, Duration::from_secs(120)).into_iter().enumerate();
        let threads: Vec<_> = ranks.map(|(rank, link)| scope.spawn(move || run(rank, link))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn finish_on(size: usize, path: &Path, job: &Job) -> Vec<EpochMetrics> {
    let mut ends = run_on(size, path, &|_| job.clone(), GO_ON).into_iter().map(Result::unwrap);
    let (outcome, history) = ends.next().unwrap();
    assert_eq!(outcome, Outcome::Finished);
    for (other, _) in ends {
        assert_eq!(other, Outcome::Finished);
    }
    history
}

/// A job with a short last step, in which some ranks have no shard.
fn eight_shards() -> Job {
    job(recipe().batch_size(16).virtual_shards(8))
}

/// The same with the statistics of the whole batch.
fn synchronized() -> Job {
    job(recipe().batch_size(16).virtual_shards(8).batch_norm(BatchNormStatistics::Synchronized))
}

/// The oracle of equality: weights, momentum, averages and figures, for every number of ranks.
#[test]
fn any_number_of_ranks_gives_the_run_of_one_process() {
    let uneven = {
        let recipe = recipe().virtual_shards(4).sampler(Sampler::Balanced);
        let mut job = job(recipe.class_weights(Some(ClassWeights::Values(vec![1.0, 0.5, 3.0]))));
        job.training = uneven_samples().into();
        job
    };
    assert_ranks(&eight_shards(), &[1, 2, 3, 4, 8]);
    assert_ranks(&uneven, &[3]);
}

/// The order of sums in f64 hardly shows in the f32 of a run; the tests of the exchange itself compare them exactly.
#[test]
fn any_number_of_ranks_gives_the_synchronized_run_of_one_process() {
    assert_ranks(&synchronized(), &[1, 2, 3, 4, 8]);
    // 22 images in shards of two or less: some shards are empty, and so are all of some ranks.
    let mut job = synchronized();
    job.recipe.class_weights = Some(ClassWeights::Values(vec![1.0, 0.5, 3.0]));
    let mut images = job.training.to_vec();
    for (at, sample) in images.iter_mut().enumerate().filter(|(at, _)| at * 7 % 18 < 7) {
        *sample = Sample::new("no-such-file.png", sample.label(), format!("broken-{at}.png"));
    }
    job.training = images.into();
    assert_ranks(&job, &[2, 3, 8]);
}

fn assert_ranks(job: &Job, sizes: &[usize]) {
    let temporary = tempfile::tempdir().unwrap();
    let alone = temporary.path().join("alone");
    let history = finish(&mut start(job.clone(), &alone));
    for &size in sizes {
        let path = temporary.path().join(format!("ranks-{size}"));
        assert_eq!(figures(&finish_on(size, &path, job)), figures(&history), "{size} ranks");
        assert_same(&alone, &path);
    }
}

#[test]
fn frozen_modules_stay_on_every_rank() {
    let temporary = tempfile::tempdir().unwrap();
    let (alone, joint) = (temporary.path().join("alone"), temporary.path().join("joint"));
    let job = job(recipe().virtual_shards(2)).freeze_until(4).freeze_statistics(true);
    finish(&mut start(job.clone(), &alone));
    finish_on(2, &joint, &job);
    assert_same(&alone, &joint);
    for statistics in [false, true] {
        assert_ranks(&synchronized().freeze_until(4).freeze_statistics(statistics), &[3]);
    }
}

/// Stopped by rank 0 or by another, and resumed with another number of ranks, or by one process.
#[test]
fn a_run_resumes_with_any_number_of_ranks() {
    let temporary = tempfile::tempdir().unwrap();
    assert_resumes_on(&temporary.path().join("shard"), &eight_shards());
    assert_resumes_on(&temporary.path().join("synchronized"), &synchronized());
}

fn assert_resumes_on(folder: &Path, job: &Job) {
    let whole = folder.join("whole");
    let history = finish(&mut start(job.clone(), &whole));
    for (sizes, asking, after) in [([3, 2], 0, 2), ([2, 8], 1, 1), ([4, 1], 3, 4)] {
        let path = folder.join(format!("stopped-by-{asking}"));
        let steps = std::sync::atomic::AtomicUsize::new(0);
        let stop = |rank: usize, event: &Event| {
            let is_step = rank == asking && matches!(event, Event::Batch(_));
            let steps = steps.fetch_add(usize::from(is_step), std::sync::atomic::Ordering::SeqCst);
            if is_step && steps + 1 == after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        for end in run_on(sizes[0], &path, &|_| job.clone(), &stop) {
            assert_eq!(end.unwrap().0, Outcome::Stopped);
        }
        let saved = RunState::read(&RunFolder::open(&path).unwrap()).unwrap();
        assert!((after as u64..6).contains(&saved.steps), "stopped after {} steps", saved.steps);
        assert_eq!(figures(&finish_on(sizes[1], &path, job)), figures(&history));
        assert_same(&whole, &path);
    }
}

#[test]
fn unreadable_images_of_all_ranks_are_counted() {
    let broken = |mut job: Job| {
        let mut all = job.training.to_vec();
        for at in 0..7 {
            all[5 * at] = Sample::new("no-such-file.png", Some(0), format!("broken-{at}.png"));
        }
        job.training = all.into();
        let mut all = job.validation.as_ref().unwrap().samples.to_vec();
        all[14] = Sample::new("no-such-file.png", Some(0), "broken.png");
        job.validation.as_mut().unwrap().samples = all.into();
        job
    };
    let temporary = tempfile::tempdir().unwrap();
    let (alone, joint) = (temporary.path().join("alone"), temporary.path().join("joint"));
    let history = finish(&mut start(broken(eight_shards()), &alone));
    let told = std::sync::Mutex::new([0; 2]);
    let count = |rank: usize, event: &Event| {
        let mut told = told.lock().unwrap();
        if rank == 0 {
            told[0] += usize::from(matches!(event, Event::Failure(_)));
            told[1] +=
                usize::from(matches!(event, Event::Elsewhere(report) if report.message.contains("no-such-file")));
        }
        ControlFlow::Continue(())
    };
    let mut ends = run_on(3, &joint, &|_| broken(eight_shards()), &count);
    let (_, found) = ends.swap_remove(0).unwrap();
    assert_eq!(figures(&found), figures(&history));
    let (errors, validation) = (found[1].train_errors, found[1].validation.unwrap());
    assert_eq!((errors, validation.errors, validation.images), (7, 1, 14));
    let told = told.into_inner().unwrap();
    assert!(told[1] > 0 && told.iter().sum::<usize>() == 16, "{told:?} of two epochs");
    assert_same(&alone, &joint);
}

/// On each rank the images of the others do not exist.
#[test]
fn a_rank_reads_its_own_images_only() {
    let temporary = tempfile::tempdir().unwrap();
    let (alone, joint) = (temporary.path().join("alone"), temporary.path().join("joint"));
    let mut job = eight_shards();
    job.recipe.epochs = 1;
    let history = finish(&mut start(job.clone(), &alone));
    let order = TrainingEpoch::new(Augmentation::none(), job.training.len(), job.seed, 0).order;
    let missing = |sample: &Sample| Sample::new("no-such-file.png", sample.label(), sample.name());
    let of_rank = |rank: usize| {
        let mut own = job.clone();
        let mut training: Vec<Sample> = job.training.iter().map(missing).collect();
        // Shards of two images; ranks 0, 1 and 2 have three, three and two of eight.
        for (place, &at) in order.iter().enumerate() {
            if [0, 0, 0, 1, 1, 1, 2, 2][place / 2 % 8] == rank {
                training[at as usize] = job.training[at as usize].clone();
            }
        }
        own.training = training.into();
        // Two batches of validation images, the second a short one, on ranks 0 and 1 or 1 and 2.
        let all = &job.validation.as_ref().unwrap().samples;
        let shard = hardnet_data::Shard::new(rank, 3).unwrap().range(all.len(), 8);
        let validation = all.iter().enumerate();
        let validation =
            validation.map(|(at, sample)| if shard.contains(&at) { sample.clone() } else { missing(sample) });
        own.validation.as_mut().unwrap().samples = validation.collect::<Vec<_>>().into();
        own
    };
    let mut ends = run_on(3, &joint, &of_rank, GO_ON);
    let (_, found) = ends.swap_remove(0).unwrap();
    assert_eq!((found[0].train_errors, found[0].validation.unwrap().errors), (0, 0));
    assert_eq!(figures(&found), figures(&history));
    assert_same(&alone, &joint);
}

#[test]
fn every_rank_knows_that_training_has_diverged() {
    for mut job in [eight_shards(), synchronized()] {
        let temporary = tempfile::tempdir().unwrap();
        (job.recipe.clip_norm, job.recipe.average_decay) = (None, None);
        job.recipe.schedule = hardnet_train::Schedule::new(hardnet_train::LrDecay::Step { every: 1, factor: 1e38 });
        job.recipe.learning_rate = 0.01;
        for end in run_on(4, temporary.path(), &|_| job.clone(), GO_ON) {
            assert!(matches!(end, Err(Error::Diverged { epoch: 2, .. })), "{end:?}");
        }
        assert_eq!(RunState::read(&RunFolder::open(temporary.path()).unwrap()).unwrap().epochs(), 1);
    }
}

#[test]
fn epochs_without_readable_images_end_all_ranks() {
    let temporary = tempfile::tempdir().unwrap();
    let mut job = eight_shards();
    job.training = vec![Sample::new("no-such-file.png", Some(0), "a"); 32].into();
    for end in run_on(3, temporary.path(), &|_| job.clone(), GO_ON) {
        let error = end.unwrap_err().to_string();
        assert!(error.ends_with("cannot read any of the 32 images of epoch 1"), "{error}");
    }
}

#[test]
fn more_ranks_than_virtual_shards_are_refused() {
    let temporary = tempfile::tempdir().unwrap();
    for end in run_on(3, temporary.path(), &|_| job(recipe().virtual_shards(2)), GO_ON) {
        let expected = "`virtual_shards` is 2, expected as many as there are ranks, or more";
        assert_eq!(end.unwrap_err().to_string(), expected);
    }
}

#[test]
fn a_rank_with_another_job_is_named() {
    type Change = fn(&mut Job);
    let others: [(&str, Change); 6] = [
        ("training images", |job| job.training = samples(38, 1).into()),
        ("validation images", |job| job.validation = None),
        ("recipes", |job| job.recipe.momentum = 0.8),
        ("recipes", |job| job.recipe.batch_norm = BatchNormStatistics::Synchronized),
        ("random seeds", |job| job.seed = 8),
        ("instruction sets", |job| job.isa = hardnet_model::Isa::Portable),
    ];
    for (what, change) in others {
        let temporary = tempfile::tempdir().unwrap();
        let of_rank = |rank: usize| {
            let mut job = eight_shards();
            if rank == 2 {
                change(&mut job);
            }
            job
        };
        let ends = run_on(3, temporary.path(), &of_rank, GO_ON);
        for (rank, end) in ends.into_iter().enumerate() {
            let different = format!("this rank and rank 0 have different {what}");
            let expected = if rank == 2 { different } else { format!("rank 2 failed: {different}") };
            assert_eq!(end.unwrap_err().to_string(), expected);
        }
    }
}

/// Rank 2 joins, and takes no part in the first step.
#[test]
fn a_silent_rank_ends_the_run() {
    let temporary = tempfile::tempdir().unwrap();
    let started = Instant::now();
    std::thread::scope(|scope| {
        let mut ranks = in_process(3, Duration::from_secs(3)).into_iter().map(Arc::new);
        let (first, second, third) = (ranks.next().unwrap(), ranks.next().unwrap(), ranks.next().unwrap());
        let silent = scope.spawn(move || Follower::join(eight_shards(), third));
        let other = scope
            .spawn(move || Follower::join(eight_shards(), second).unwrap().run(&mut |_| ControlFlow::Continue(())));
        let mut trainer = start(eight_shards(), temporary.path()).over(first).unwrap();
        let error = trainer.run(&mut |_| ControlFlow::Continue(())).unwrap_err();
        assert!(matches!(error, Error::Communication(_)), "{error:?}");
        other.join().unwrap().unwrap_err();
        silent.join().unwrap().unwrap();
    });
    assert!(started.elapsed() < Duration::from_secs(60));
    assert_eq!(RunState::read(&RunFolder::open(temporary.path()).unwrap()).unwrap().steps, 0);
}
