//! Uneven classes.

use super::*;

/// Balanced draws make a rare class count.
#[test]
fn a_rare_class_is_learned_by_balanced_draws() {
    let recall = |recipe: Recipe| {
        let temporary = tempfile::tempdir().unwrap();
        let mut job = job(recipe.epochs(6).average_decay(None).label_smoothing(0.0));
        job.training = uneven_samples().into();
        let mut trainer = start(job, temporary.path());
        finish(&mut trainer);
        // Class 2 alone.
        let rare: Vec<Sample> = samples(90, 5).into_iter().skip(2).step_by(3).collect();
        let validation = Validation::new(rare.into(), pipeline()).workers(1).threads(1);
        let evaluation = validation.evaluate(&config(), trainer.result(), &Device::Cpu, &mut ()).unwrap().unwrap();
        evaluation.tally.top1().correct
    };
    let (plain, drawn) = (recall(recipe()), recall(recipe().sampler(Sampler::Balanced)));
    assert!(drawn > plain, "{plain}, {drawn} with balanced draws");
}

/// Equal weights of any size change nothing but rounding: the mean is divided by their sum.
#[test]
fn class_weights_are_relative() {
    let losses = |weights: Option<ClassWeights>| {
        let temporary = tempfile::tempdir().unwrap();
        let history = finish(&mut start(job(recipe().epochs(1).class_weights(weights)), temporary.path()));
        history[0].train_loss
    };
    let plain = losses(None);
    let equal = losses(Some(ClassWeights::Values(vec![4.0; 3])));
    let balanced = losses(Some(ClassWeights::Balanced));
    let uneven = losses(Some(ClassWeights::Values(vec![4.0, 1.0, 1.0])));
    assert!((plain - equal).abs() < 1e-3 && (plain - balanced).abs() < 1e-3, "{plain}, {equal}, {balanced}");
    assert!((plain - uneven).abs() > 1e-3, "{plain}, {uneven}");
}

#[test]
fn class_weights_of_other_classes_are_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let job = job(recipe().class_weights(Some(ClassWeights::Values(vec![1.0; 4]))));
    let weights = Weights::random(&config(), 7, &Device::Cpu).unwrap();
    let error = Trainer::start(job, weights, RunFolder::create(temporary.path(), false).unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "4 class weights, expected one for each of 3 classes");
}
