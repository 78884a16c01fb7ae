//! Modules that are not trained.

use super::*;

#[test]
fn frozen_entries_keep_their_weights() {
    let temporary = tempfile::tempdir().unwrap();
    let mut job = job(recipe());
    job.recipe.average_decay = None;
    job.freeze_until = 4;
    let before = Weights::random(&config(), 7, &Device::Cpu).unwrap();
    let mut trainer = start(job, temporary.path());
    finish(&mut trainer);
    for (param, _) in before.entries() {
        let index: usize = param.name.split('.').nth(1).unwrap().parse().unwrap();
        let same = before.values(param).unwrap() == trainer.result().values(param).unwrap();
        assert_eq!(same, index < 4 && param.kind.is_trained(), "{}", param.name);
    }
}

/// With frozen statistics, frozen modules keep every bit, and the others learn.
#[test]
fn frozen_modules_keep_their_statistics_too_if_asked() {
    let modules = hardnet_model::Graph::new(&config()).unwrap().modules().len();
    for frozen in [1, 4, modules - 1] {
        let temporary = tempfile::tempdir().unwrap();
        let before = Weights::random(&config(), 7, &Device::Cpu).unwrap();
        let mut trainer = start(job(recipe()).freeze_until(frozen).freeze_statistics(true), temporary.path());
        finish(&mut trainer);
        for (param, _) in before.entries() {
            let index: usize = param.name.split('.').nth(1).unwrap().parse().unwrap();
            let same = before.values(param).unwrap() == trainer.result().values(param).unwrap();
            assert_eq!(same, index < frozen, "{} with {frozen} modules frozen", param.name);
        }
    }
}

#[test]
fn statistics_of_no_module_cannot_be_frozen() {
    let temporary = tempfile::tempdir().unwrap();
    let job = job(recipe()).freeze_statistics(true);
    let weights = Weights::random(&config(), 7, &Device::Cpu).unwrap();
    let error = Trainer::start(job, weights, RunFolder::create(temporary.path(), false).unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "`freeze_statistics` is true, expected false where no module is frozen");
}

#[test]
fn a_network_frozen_as_a_whole_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let mut job = job(recipe());
    job.freeze_until = 99;
    let weights = Weights::random(&config(), 7, &Device::Cpu).unwrap();
    let error = Trainer::start(job, weights, RunFolder::create(temporary.path(), false).unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "`freeze_until` is 99, expected fewer than all modules of the network");
}
