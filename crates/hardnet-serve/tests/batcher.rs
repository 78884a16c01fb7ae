//! The batcher, by a network whose batches wait for a permit.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hardnet_serve::{Batcher, BatcherOptions, ComputeError, Failure, ImageNetwork, Input, Prepared, Workers};

/// A network of one value whose answer is twice the image. Images of zero are those of the warm-up.
struct Gated {
    permits: Mutex<Receiver<()>>,
    started: Mutex<Sender<Vec<f32>>>,
    decoded: AtomicUsize,
}

const PANICS: f32 = 13.0;
const NOT_FINITE: f32 = 14.0;

impl ImageNetwork for Gated {
    fn prepare_file(&self, file: &[u8], _: u64) -> Result<Prepared, String> {
        self.decoded.fetch_add(1, Ordering::SeqCst);
        match file {
            b"panic" => panic!("on purpose"),
            b"bad" => Err("not an image".into()),
            file => Ok(Prepared { tensor: vec![f32::from(file[0])], size: (2, 3), ..Prepared::default() }),
        }
    }

    fn input_len(&self) -> usize {
        1
    }

    fn compute(&self, images: &[&Prepared]) -> Result<Vec<Vec<f32>>, ComputeError> {
        let values: Vec<f32> = images.iter().map(|image| image.tensor[0]).collect();
        if values[0] != 0.0 {
            self.started.lock().unwrap().send(values.clone()).unwrap();
            self.permits.lock().unwrap().recv().unwrap();
        }
        assert!(!values.contains(&PANICS), "on purpose");
        if values.contains(&NOT_FINITE) {
            return Err(ComputeError::NotFinite);
        }
        Ok(values.iter().map(|value| vec![2.0 * value]).collect())
    }
}

struct Fixture {
    batcher: Arc<Batcher>,
    network: Arc<Gated>,
    permit: Sender<()>,
    started: Receiver<Vec<f32>>,
}

impl Fixture {
    fn new(options: &BatcherOptions) -> Self {
        let (permit, permits) = channel();
        let (sender, started) = channel();
        let network =
            Arc::new(Gated { permits: Mutex::new(permits), started: Mutex::new(sender), decoded: AtomicUsize::new(0) });
        let workers = Arc::new(Workers::new(1).unwrap());
        let batcher = Arc::new(Batcher::start(network.clone(), workers, options).unwrap());
        Self { batcher, network, permit, started }
    }

    fn submit(&self, value: f32) -> hardnet_serve::Reply {
        self.batcher.submit(vec![Input::Tensor(vec![value])], later()).unwrap().remove(0)
    }

    fn next_batch(&self) -> Vec<f32> {
        self.started.recv_timeout(Duration::from_secs(10)).unwrap()
    }

    fn go(&self) {
        self.permit.send(()).unwrap();
    }
}

fn options() -> BatcherOptions {
    BatcherOptions::default().batch_size(4).capacity(8)
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[test]
fn a_free_network_takes_what_waits_and_no_more_than_a_batch() {
    let fixture = Fixture::new(&options());
    let first = fixture.submit(1.0);
    assert_eq!(fixture.next_batch(), [1.0], "a lone image does not wait for others");
    let rest: Vec<_> = [2.0, 3.0, 4.0, 5.0, 6.0].map(|value| fixture.submit(value)).into();
    fixture.go();
    assert_eq!(fixture.next_batch(), [2.0, 3.0, 4.0, 5.0]);
    fixture.go();
    assert_eq!(fixture.next_batch(), [6.0]);
    fixture.go();
    let answer = first.wait().unwrap();
    assert_eq!((answer.values, answer.batch), (vec![2.0], 1));
    let answers: Vec<_> = rest.into_iter().map(|reply| reply.wait().unwrap()).collect();
    assert_eq!(answers.iter().map(|answer| answer.values[0]).collect::<Vec<_>>(), [4.0, 6.0, 8.0, 10.0, 12.0]);
    assert_eq!(answers.iter().map(|answer| answer.batch).collect::<Vec<_>>(), [4, 4, 4, 4, 1]);
    assert_eq!(fixture.batcher.images(), 0);
}

#[test]
fn an_image_whose_deadline_passes_in_the_queue_is_not_computed() {
    let fixture = Fixture::new(&options());
    let first = fixture.submit(1.0);
    fixture.next_batch();
    // The queue expects to come to it in time: the measured network takes no time.
    let soon = Instant::now() + Duration::from_millis(20);
    let late = fixture.batcher.submit(vec![Input::Tensor(vec![2.0])], soon).unwrap().remove(0);
    let last = fixture.submit(3.0);
    std::thread::sleep(Duration::from_millis(40));
    fixture.go();
    assert_eq!(fixture.next_batch(), [3.0]);
    fixture.go();
    assert_eq!(late.wait(), Err(Failure::Deadline));
    assert!(first.wait().is_ok() && last.wait().is_ok());
    assert_eq!(fixture.batcher.statistics().expired.get(), 1);
}

#[test]
fn a_caller_that_leaves_at_its_deadline_is_counted_as_late() {
    let fixture = Fixture::new(&options());
    let first = fixture.submit(1.0);
    fixture.next_batch();
    let soon = Instant::now() + Duration::from_millis(20);
    let late = fixture.batcher.submit(vec![Input::Tensor(vec![2.0])], soon).unwrap();
    let last = fixture.submit(3.0);
    std::thread::sleep(Duration::from_millis(40));
    drop(late);
    fixture.go();
    assert_eq!(fixture.next_batch(), [3.0]);
    fixture.go();
    assert!(first.wait().is_ok() && last.wait().is_ok());
    let statistics = fixture.batcher.statistics();
    assert_eq!((statistics.expired.get(), statistics.cancelled.get()), (1, 0));
}

#[test]
fn a_batch_is_no_larger_than_the_queue() {
    let fixture = Fixture::new(&BatcherOptions::default().batch_size(usize::MAX).capacity(3));
    assert_eq!(fixture.batcher.batch_size(), 3);
}

#[test]
fn an_image_whose_caller_is_gone_is_neither_decoded_nor_computed() {
    let fixture = Fixture::new(&options());
    let first = fixture.submit(1.0);
    fixture.next_batch();
    let gone = fixture.submit(2.0);
    let last = fixture.submit(3.0);
    drop(gone);
    fixture.go();
    assert_eq!(fixture.next_batch(), [3.0]);
    fixture.go();
    assert!(first.wait().is_ok() && last.wait().is_ok());
    assert_eq!(fixture.batcher.statistics().cancelled.get(), 1);
    assert_eq!(fixture.batcher.images(), 0);

    // The one decoder is busy with the first file while the second is cancelled.
    let workers = Arc::new(Workers::new(1).unwrap());
    let batcher = Batcher::start(fixture.network.clone(), workers.clone(), &options()).unwrap();
    let (sender, receiver) = channel();
    workers.run(move || receiver.recv().unwrap());
    drop(batcher.submit(vec![Input::File(vec![7].into())], later()).unwrap());
    sender.send(()).unwrap();
    drop(workers);
    batcher.join();
    assert_eq!(fixture.network.decoded.load(Ordering::SeqCst), 0);
}

#[test]
fn a_full_queue_refuses_at_once_and_says_when_to_come_back() {
    let fixture = Fixture::new(&options());
    let first = fixture.submit(1.0);
    fixture.next_batch();
    let waiting: Vec<_> = (2..9).map(|value| fixture.submit(value as f32)).collect();
    let refused = fixture.batcher.submit(vec![Input::Tensor(vec![9.0])], later()).unwrap_err();
    // The measured network takes far less than a second.
    assert_eq!(refused, Failure::Overloaded { retry_after: Duration::from_secs(1) });
    assert_eq!(fixture.batcher.statistics().overloaded.get(), 1);
    (0..3).for_each(|_| fixture.go());
    assert!(first.wait().is_ok());
    for reply in waiting {
        assert!(reply.wait().is_ok());
    }
    assert_eq!(fixture.batcher.images(), 0);
    fixture.go();
    assert!(fixture.submit(9.0).wait().is_ok());
}

#[test]
fn a_request_is_accepted_as_a_whole_or_not_at_all() {
    let fixture = Fixture::new(&options());
    let tensors = |count: usize| (0..count).map(|_| Input::Tensor(vec![1.0])).collect::<Vec<_>>();
    let first = fixture.submit(1.0);
    fixture.next_batch();
    assert!(matches!(fixture.batcher.submit(tensors(8), later()), Err(Failure::Overloaded { .. })));
    assert_eq!(fixture.batcher.images(), 1);
    let many = fixture.batcher.submit(tensors(9), later()).unwrap_err();
    assert_eq!(many, Failure::TooManyImages { found: 9, limit: 8 });
    let wrong = fixture.batcher.submit(vec![Input::Tensor(vec![1.0; 2])], later()).unwrap_err();
    assert_eq!(wrong, Failure::Length { expected: 1, found: 2 });
    let wrong = fixture.batcher.submit(vec![Input::Tensor(vec![f32::NAN])], later()).unwrap_err();
    assert_eq!(wrong, Failure::Value { position: 0 });
    let seven = fixture.batcher.submit(tensors(7), later()).unwrap();
    (0..3).for_each(|_| fixture.go());
    assert!(first.wait().is_ok() && seven.into_iter().all(|reply| reply.wait().is_ok()));
}

#[test]
fn an_image_that_cannot_be_computed_fails_alone() {
    let fixture = Fixture::new(&options());
    let first = fixture.submit(1.0);
    fixture.next_batch();
    let (before, bad, after) = (fixture.submit(2.0), fixture.submit(NOT_FINITE), fixture.submit(3.0));
    (0..5).for_each(|_| fixture.go());
    assert!(first.wait().is_ok());
    assert_eq!(before.wait().unwrap().values, [4.0]);
    assert_eq!(bad.wait(), Err(Failure::NotFinite));
    assert_eq!(after.wait().unwrap().values, [6.0]);
}

#[test]
fn a_panic_fails_the_image_and_not_the_batcher() {
    let fixture = Fixture::new(&options());
    fixture.go();
    assert!(matches!(fixture.submit(PANICS).wait(), Err(Failure::Internal(_))));
    let file = |content: &'static [u8]| {
        fixture.batcher.submit(vec![Input::File(content.into())], later()).unwrap().remove(0).wait()
    };
    assert!(matches!(file(b"panic"), Err(Failure::Internal(_))));
    assert_eq!(fixture.batcher.statistics().failed.get(), 2);
    assert_eq!(file(b"bad"), Err(Failure::Image("not an image".into())));
    fixture.go();
    let answer = file(b"\x05").unwrap();
    assert_eq!((answer.values, answer.size), (vec![10.0], (2, 3)));
    assert_eq!(fixture.batcher.images(), 0);
}

#[test]
fn a_batcher_that_stops_answers_what_it_has_accepted() {
    let fixture = Fixture::new(&options());
    let first = fixture.submit(1.0);
    fixture.next_batch();
    let files = (2u8..6).map(|value| Input::File(vec![value].into())).collect();
    let accepted = fixture.batcher.submit(files, later()).unwrap();
    fixture.batcher.stop();
    let refused = fixture.batcher.submit(vec![Input::Tensor(vec![9.0])], later()).unwrap_err();
    assert_eq!(refused, Failure::Stopping);
    (0..5).for_each(|_| fixture.go());
    fixture.batcher.join();
    assert!(first.wait().is_ok() && accepted.into_iter().all(|reply| reply.wait().is_ok()));
}

#[test]
fn files_are_decoded_while_few_prepared_images_wait() {
    // Twice the one that is computed or decoded at a time.
    decoded_ahead(&options().batch_size(1), 2);
}

#[test]
fn files_are_decoded_while_prepared_images_take_less_than_their_memory() {
    // Each image takes four bytes.
    decoded_ahead(&options().batch_size(1).prepared_memory(4), 1);
}

/// Submits seven images, and checks that `waiting` are decoded beside the first, which is computed, then all are
/// answered.
fn decoded_ahead(options: &BatcherOptions, waiting: usize) {
    let Fixture { network, permit, started, .. } = Fixture::new(options);
    let workers = Arc::new(Workers::new(1).unwrap());
    let batcher = Batcher::start(network.clone(), workers.clone(), options).unwrap();
    // Dropped before the batcher, which would wait for it if an assertion fails.
    let permit = permit;
    let submit = |value: u8| batcher.submit(vec![Input::File(vec![value].into())], later()).unwrap().remove(0);
    let first = submit(1);
    let patience = Duration::from_secs(10);
    started.recv_timeout(patience).unwrap();
    let mut others: Vec<_> = (2..8).map(submit).collect();
    // The one worker has then looked at all of them.
    let (sender, looked) = channel();
    workers.run(move || sender.send(()).unwrap());
    looked.recv_timeout(patience).unwrap();
    assert_eq!(network.decoded.load(Ordering::SeqCst), 1 + waiting);
    // A file that waits is dropped with its caller.
    drop(others.pop());
    (0..6).for_each(|_| permit.send(()).unwrap());
    assert_eq!(first.wait().unwrap().values, [2.0]);
    let values: Vec<f32> = others.into_iter().map(|reply| reply.wait().unwrap().values[0]).collect();
    assert_eq!(values, [4.0, 6.0, 8.0, 10.0, 12.0]);
    batcher.join();
    let statistics = batcher.statistics();
    assert_eq!((statistics.answered.get(), statistics.cancelled.get()), (6, 1));
    assert_eq!(network.decoded.load(Ordering::SeqCst), 6);
}

#[test]
fn files_that_give_no_image_do_not_hold_up_those_after_them() {
    let fixture = Fixture::new(&options().batch_size(1).capacity(16));
    let file = |content: &'static [u8]| Input::File(content.into());
    let submit = |inputs| fixture.batcher.submit(inputs, later()).unwrap();
    let first = submit(vec![file(b"\x01")]);
    fixture.next_batch();
    let waiting = submit(vec![file(b"\x02"), file(b"\x03")]);
    let gone = submit(vec![file(b"\x04"); 5]);
    let wrong = submit([vec![file(b"bad"); 3], vec![file(b"panic"); 2]].concat());
    let last = submit(vec![file(b"\x05")]);
    drop(gone);
    for image in [2.0, 3.0, 5.0] {
        fixture.go();
        assert_eq!(fixture.next_batch(), [image]);
    }
    fixture.go();
    let value = |reply: hardnet_serve::Reply| reply.wait().unwrap().values[0];
    assert_eq!(first.into_iter().chain(waiting).map(value).collect::<Vec<_>>(), [2.0, 4.0, 6.0]);
    assert!(wrong.into_iter().all(|reply| reply.wait().is_err()));
    assert_eq!(last.into_iter().map(value).collect::<Vec<_>>(), [10.0]);
}

/// A network that takes the same time for each image, however many there are.
struct Slow;

impl ImageNetwork for Slow {
    fn prepare_file(&self, _: &[u8], _: u64) -> Result<Prepared, String> {
        unreachable!()
    }

    fn input_len(&self) -> usize {
        1
    }

    fn compute(&self, images: &[&Prepared]) -> Result<Vec<Vec<f32>>, ComputeError> {
        std::thread::sleep(Duration::from_millis(100) * images.len() as u32);
        Ok(images.iter().map(|image| image.tensor.clone()).collect())
    }
}

#[test]
fn an_image_that_would_wait_past_its_deadline_is_refused_at_once() {
    let workers = Arc::new(Workers::new(1).unwrap());
    let batcher = Batcher::start(Arc::new(Slow), workers, &BatcherOptions::default().max_batch_size(2)).unwrap();
    assert_eq!(batcher.batch_size(), 1, "larger batches gain nothing");
    // A sleep may be longer on a busy machine, never shorter.
    assert!((0.1..10.1).contains(&batcher.images_per_second()), "{}", batcher.images_per_second());
    let images = |count: usize| (0..count).map(|_| Input::Tensor(vec![1.0])).collect::<Vec<_>>();
    let accepted = batcher.submit(images(10), later()).unwrap();
    let start = Instant::now();
    let soon = start + Duration::from_millis(500);
    // Eleven images take 1.1 s or more, which is 0.6 s too long.
    let refused = batcher.submit(images(1), soon).unwrap_err();
    let Failure::Overloaded { retry_after } = refused else { panic!("{refused}") };
    assert!(retry_after >= Duration::from_secs(1));
    drop(accepted);
}
