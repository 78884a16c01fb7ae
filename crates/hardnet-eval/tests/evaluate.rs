//! The evaluation loop over files, with a network that needs no weights.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use hardnet_data::{Image, Pipeline, Sample, SampleError, encode_png};
use hardnet_eval::{
    BatchDone, Breakdown, ComputeLogits, EvalError, EvalOptions, Logits, Observer, PipelineRun, Tally, evaluate,
    evaluate_pipelines,
};

/// The means of the three channels of an image.
struct Means;

impl ComputeLogits for Means {
    type Error = Infallible;

    fn compute_logits(&self, images: &[&[f32]]) -> Result<Logits, Infallible> {
        let mean = |plane: &[f32]| plane.iter().sum::<f32>() / plane.len() as f32;
        let values = images.iter().flat_map(|image| image.chunks(image.len() / 3).map(mean)).collect();
        Ok(Logits::new(values, 3))
    }

    fn busy_threads(&self) -> usize {
        2
    }
}

/// Remembers everything, and stops after so many images.
#[derive(Default)]
struct Log {
    failed: Vec<String>,
    predicted: Vec<(usize, usize)>,
    batches: Vec<usize>,
    most: Option<usize>,
}

impl Observer for Log {
    fn image_failed(&mut self, sample: &Sample, _: &SampleError) {
        self.failed.push(sample.name().into());
    }

    fn batch_done(&mut self, batch: &BatchDone<'_>) -> ControlFlow<()> {
        let classes = batch.images().map(|image| (image.index, hardnet_eval::top_k(image.logits, 1)[0].index));
        self.predicted.extend(classes);
        self.batches.push(batch.done);
        if self.most.is_some_and(|most| batch.done >= most) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// Pictures that are mostly red, green or blue in turn, labeled so but for the last, and one that is not a picture.
fn samples(folder: &Path) -> Arc<Vec<Sample>> {
    let mut samples: Vec<Sample> = (0..9)
        .map(|number| {
            let pixel = |at: usize| if at % 3 == number % 3 { 200 } else { (at * 7 % 50) as u8 };
            let image = Image::from_rgb8(40, 30, (0..40 * 30 * 3).map(pixel).collect()).unwrap();
            let path = folder.join(format!("{number}.png"));
            std::fs::write(&path, encode_png(&image).unwrap()).unwrap();
            let label = if number == 8 { 0 } else { number as u32 % 3 };
            Sample::new(path, Some(label), number.to_string())
        })
        .collect();
    samples.insert(4, Sample::new(folder.join("none.png"), Some(0), "none"));
    Arc::new(samples)
}

fn pipeline() -> Pipeline {
    Pipeline::pil_bilinear().with_image_size(16)
}

#[test]
fn every_batch_size_and_number_of_workers_counts_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(folder.path());
    for (batch_size, workers) in [(1, 0), (4, 2), (16, 3)] {
        let options = EvalOptions::default().batch_size(batch_size).workers(workers);
        let (mut tally, mut breakdown, mut log) = (Tally::default(), Breakdown::new(3), Log::default());
        let mut observer = ((&mut tally, &mut breakdown), &mut log);
        let summary = evaluate(&Means, Arc::clone(&samples), &pipeline(), &options, &mut observer).unwrap();
        assert_eq!((summary.images, summary.failures, summary.stopped), (9, 1, false));
        assert_eq!((tally.top1().correct, tally.top1().total), (8, 9));
        assert_eq!(breakdown.mistakes().iter().map(|mistake| mistake.image).collect::<Vec<_>>(), [9]);
        assert_eq!(log.failed, ["none"]);
        let expected: Vec<_> = [0, 1, 2, 3, 5, 6, 7, 8, 9].into_iter().zip((0..9).map(|class| class % 3)).collect();
        assert_eq!(log.predicted, expected);
        assert_eq!(log.batches.last(), Some(&10));
        assert!(summary.loading + summary.network <= summary.total);
    }
}

#[test]
fn each_pipeline_of_several_is_evaluated_as_alone() {
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(folder.path());
    let pipelines =
        [pipeline(), Pipeline::paddle_cv2().with_image_size(14), Pipeline::paddleclas().with_image_size(16)];
    let options = EvalOptions::default().batch_size(4).workers(2);
    let mut together = [(); 3].map(|()| (Tally::default(), Log::default()));
    let mut runs: Vec<_> = pipelines
        .iter()
        .zip(&mut together)
        .map(|(pipeline, observer)| PipelineRun { network: &Means, pipeline: pipeline.clone(), observer })
        .collect();
    let summaries = evaluate_pipelines(&mut runs, Arc::clone(&samples), &options).unwrap();
    for ((pipeline, (tally, log)), summary) in pipelines.iter().zip(&together).zip(summaries) {
        let mut alone = (Tally::default(), Log::default());
        evaluate(&Means, Arc::clone(&samples), pipeline, &options, &mut alone).unwrap();
        assert_eq!((summary.images, summary.failures, summary.stopped), (9, 1, false));
        assert_eq!((*tally, &log.failed, &log.predicted), (alone.0, &alone.1.failed, &alone.1.predicted));
        assert_eq!(log.batches, alone.1.batches);
    }
    // Blue and red change places: three pictures are green, and the last, which is blue, is labeled red.
    assert_eq!(together.map(|(tally, _)| tally.top1().correct), [8, 4, 8]);
}

#[test]
fn one_of_several_observers_stops_all() {
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(folder.path());
    let (mut first, mut second) = (Log::default(), Log { most: Some(5), ..Log::default() });
    let run = |observer| PipelineRun { network: &Means, pipeline: pipeline(), observer };
    let mut runs = [run(&mut first as &mut dyn Observer), run(&mut second)];
    let summaries = evaluate_pipelines(&mut runs, samples, &EvalOptions::default().batch_size(3)).unwrap();
    assert!(summaries.iter().all(|summary| summary.stopped));
    assert_eq!((first.batches, second.batches), (vec![3, 6], vec![3, 6]));
}

#[test]
fn an_observer_stops_it_between_batches() {
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(folder.path());
    for (most, batches, stopped) in [(2, &[3][..], true), (9, &[3, 6, 9], true), (10, &[3, 6, 9, 10], false)] {
        let mut log = Log { most: Some(most), ..Log::default() };
        let options = EvalOptions::default().batch_size(3);
        let summary = evaluate(&Means, Arc::clone(&samples), &pipeline(), &options, &mut log).unwrap();
        assert_eq!((log.batches.as_slice(), summary.stopped), (batches, stopped), "{most}");
    }
}

#[test]
fn images_without_labels_are_computed_and_not_counted() {
    let folder = tempfile::tempdir().unwrap();
    let unlabeled: Vec<_> =
        samples(folder.path()).iter().map(|sample| Sample::new(sample.path(), None, sample.name())).collect();
    let mut tally = Tally::default();
    let summary = evaluate(&Means, unlabeled, &pipeline(), &EvalOptions::default(), &mut tally).unwrap();
    assert_eq!((summary.images, tally.top1().total), (9, 0));
}

#[test]
fn senseless_options_are_an_error() {
    let options = EvalOptions::default().batch_size(0);
    let error = evaluate(&Means, Vec::new(), &pipeline(), &options, &mut ()).unwrap_err();
    assert!(matches!(error, EvalError::Loader(_)), "{error}");
}
