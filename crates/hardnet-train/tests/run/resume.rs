//! Runs that stop and go on.

use super::*;

#[test]
fn a_resumed_run_is_the_same_to_the_last_bit() {
    assert_resumes(&job(recipe()));
}

#[test]
fn a_resumed_run_with_uneven_classes_is_the_same_to_the_last_bit() {
    let mut job =
        job(recipe().sampler(Sampler::Balanced).class_weights(Some(ClassWeights::Values(vec![1.0, 0.5, 3.0]))));
    job.training = uneven_samples().into();
    assert_resumes(&job);
}

#[test]
fn a_resumed_run_with_a_frozen_backbone_is_the_same_to_the_last_bit() {
    assert_resumes(&job(recipe()).freeze_until(4).freeze_statistics(true));
}

/// Between epochs too: one epoch, then the other by another process.
#[test]
fn one_epoch_and_one_more_are_two() {
    let temporary = tempfile::tempdir().unwrap();
    let (whole, halves) = (temporary.path().join("whole"), temporary.path().join("halves"));
    finish(&mut start(job(recipe()), &whole));
    let mut trainer = start(job(recipe()), &halves);
    let ending = trainer.run(&mut |event| {
        if matches!(event, Event::Epoch(_)) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(ending.unwrap(), Outcome::Stopped);
    drop(trainer);
    finish(&mut Trainer::resume(job(recipe()), RunFolder::open(&halves).unwrap()).unwrap());
    assert_same(&whole, &halves);
}

/// A rate that leads nowhere is an error, and what an earlier epoch saved stays.
#[test]
fn a_run_that_diverges_keeps_its_last_good_state() {
    let temporary = tempfile::tempdir().unwrap();
    let mut recipe = recipe();
    (recipe.clip_norm, recipe.average_decay) = (None, None);
    // The second epoch's rate is 1e38 times the first's.
    recipe.schedule = hardnet_train::Schedule::new(hardnet_train::LrDecay::Step { every: 1, factor: 1e38 });
    recipe.learning_rate = 0.01;
    let mut trainer = start(job(recipe), temporary.path());
    let mut saved = Vec::new();
    let error = trainer.run(&mut |event| {
        if matches!(event, Event::Epoch(_)) {
            saved = state(temporary.path());
        }
        ControlFlow::Continue(())
    });
    assert!(matches!(error, Err(Error::Diverged { epoch: 2, .. })), "{error:?}");
    assert!(!saved.is_empty() && state(temporary.path()) == saved);
    WeightsFile::open(temporary.path().join("last.safetensors")).unwrap();
}

/// Images that moved are the same images; others are not.
#[test]
fn a_run_resumes_with_images_of_the_same_names_only() {
    let temporary = tempfile::tempdir().unwrap();
    let named = |folder: &str, count: usize| -> Vec<Sample> {
        let image = |at: usize| Sample::new(format!("{folder}/{at}.png"), Some(at as u32 % 3), format!("{at}.png"));
        (0..count).map(image).collect()
    };
    let with = |training: Vec<Sample>, validation: Vec<Sample>| {
        let mut job = job(recipe()).settings("moved".into());
        job.training = training.into();
        job.validation = Some(Validation::new(validation.into(), pipeline()).workers(1).threads(1));
        job
    };
    drop(start(with(named("old", 9), named("val", 6)), temporary.path()));
    let resume = |job: Job| Trainer::resume(job, RunFolder::open(temporary.path()).unwrap()).map_err(|e| e.to_string());
    let resumed = resume(with(named("new", 9), named("other", 6))).unwrap();
    assert_eq!(resumed.state().settings, "moved");
    drop(resumed);
    let error = resume(with(named("new", 10), named("val", 6))).unwrap_err();
    let expected = "the training images are not those of the run: image 10 is `9.png` of class 0, expected no more (10 \
                    images, expected 9)";
    assert_eq!(error, expected);
    let mut other = named("new", 9);
    other[4] = Sample::new("new/4.png", Some(2), "4.png");
    let error = resume(with(other, named("val", 6))).unwrap_err();
    assert!(error.ends_with("of the run: image 5 is `4.png` of class 2, expected `4.png` of class 1"), "{error}");
    let error = resume(with(named("new", 9), named("val", 5))).unwrap_err();
    assert!(error.contains("the validation images") && error.contains("image 6 is missing"), "{error}");
    let mut job = with(named("new", 9), Vec::new());
    job.validation = None;
    let error = resume(job).unwrap_err();
    assert_eq!(error, "the validation images are not those of the run: 0 images, expected 6");
    // Without the list, there is the count.
    fs::remove_file(temporary.path().join("train-images.txt")).unwrap();
    let error = resume(with(named("new", 8), named("val", 6))).unwrap_err();
    assert_eq!(error, "the training images are not those of the run: 8 images, expected 9");
    resume(with(named("new", 9), named("val", 6))).unwrap();
}

#[test]
fn a_state_of_another_job_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    drop(start(job(recipe()), temporary.path()));
    let resume =
        |job: Job| Trainer::resume(job, RunFolder::open(temporary.path()).unwrap()).err().map(|e| e.to_string());
    assert_eq!(resume(job(recipe())), None);
    let mut fewer = job(recipe());
    fewer.training = samples(20, 1).into();
    assert!(resume(fewer).unwrap().contains("image 21 is missing, expected `20` of class 2 (20 images, expected 36)"));
    let mut wider = job(recipe());
    wider.metadata.config.blocks[0].transition = 14;
    assert!(resume(wider).unwrap().contains("has the shape"));
    let mut plain = job(recipe());
    plain.recipe.average_decay = None;
    assert!(resume(plain).unwrap().contains("tensors, expected"));
    let path = temporary.path().join("state.safetensors");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(resume(job(recipe())).unwrap().contains("is not a state of this run"));
}
