//! `ParallelMap`: order, the bound of the window, dropping early, panics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use hardnet_data::ParallelMap;

/// A small multiplicative generator (Lehmer, modulus 2^31 - 1), so that delays are the same on each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0 * 48271 % 0x7fff_ffff;
        self.0 % limit
    }
}

/// Runs `test` on a thread of its own and fails, rather than hangs, if it does not end in time.
fn within_ten_seconds(test: impl FnOnce() + Send + 'static) {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        test();
        let _ = sender.send(());
    });
    if receiver.recv_timeout(Duration::from_secs(10)) == Err(mpsc::RecvTimeoutError::Timeout) {
        panic!("still running after ten seconds");
    }
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn order_and_window_hold_under_random_delays() {
    within_ten_seconds(|| {
        let mut random = Random(20190902);
        for round in 0..60 {
            let (workers, window) = (random.below(7) as usize, random.below(9) as usize);
            let count = random.below(60) as usize;
            let delays: Vec<u64> = (0..count).map(|_| random.below(400)).collect();
            let pauses: Vec<u64> = (0..count).map(|_| random.below(400)).collect();
            // Items started and not yet taken, as the consumer and the workers see it.
            let taken = Arc::new(AtomicUsize::new(0));
            let furthest = Arc::new(AtomicUsize::new(0));
            let (taken_inside, furthest_inside) = (Arc::clone(&taken), Arc::clone(&furthest));
            let map = ParallelMap::new(workers, window, count, move |index| {
                // The consumer counts an item after `next` returned, so the true distance may be one less.
                let ahead = (index + 1).saturating_sub(taken_inside.load(Ordering::SeqCst));
                furthest_inside.fetch_max(ahead, Ordering::SeqCst);
                thread::sleep(Duration::from_micros(delays[index]));
                index
            });
            assert_eq!(map.len(), count);
            let mut seen = Vec::new();
            for index in map {
                taken.fetch_add(1, Ordering::SeqCst);
                seen.push(index);
                thread::sleep(Duration::from_micros(pauses[index]));
            }
            let case = format!("round {round}: {workers} workers, window {window}, {count} items");
            assert_eq!(seen, (0..count).collect::<Vec<_>>(), "{case}");
            assert!(furthest.load(Ordering::SeqCst) <= window.max(1) + 1, "{case}: {furthest:?} ahead");
        }
    });
}

#[test]
fn exactly_window_items_run_ahead_of_a_consumer_that_waits() {
    within_ten_seconds(|| {
        for (workers, window, expected) in [(1, 1, 1), (1, 5, 5), (4, 2, 2), (4, 7, 7), (3, 0, 1), (4, 1000, 20)] {
            let started = Arc::new(AtomicUsize::new(0));
            let counter = Arc::clone(&started);
            let mut map = ParallelMap::new(workers, window, 20, move |index| {
                counter.fetch_add(1, Ordering::SeqCst);
                index
            });
            for taken in 0..3 {
                let expected = (expected + taken).min(20);
                let deadline = Instant::now() + Duration::from_secs(5);
                while started.load(Ordering::SeqCst) < expected && Instant::now() < deadline {
                    thread::sleep(Duration::from_millis(1));
                }
                thread::sleep(Duration::from_millis(10));
                let case = format!("{workers} workers, window {window}, {taken} taken");
                assert_eq!(started.load(Ordering::SeqCst), expected, "{case}");
                assert_eq!(map.next(), Some(taken), "{case}");
            }
        }
    });
}

#[test]
fn without_workers_nothing_runs_ahead_and_the_caller_computes() {
    let started = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&started);
    let mut map = ParallelMap::new(0, 8, 3, move |index| {
        counter.fetch_add(1, Ordering::SeqCst);
        (index, thread::current().id())
    });
    assert_eq!(started.load(Ordering::SeqCst), 0);
    for index in 0..3 {
        assert_eq!(map.len(), 3 - index);
        assert_eq!(map.next(), Some((index, thread::current().id())));
        assert_eq!(started.load(Ordering::SeqCst), index + 1);
    }
    assert_eq!(map.next(), None);
    assert_eq!(map.next(), None);
}

#[test]
fn workers_really_run_at_the_same_time() {
    within_ten_seconds(|| {
        let barrier = Arc::new(std::sync::Barrier::new(3));
        let map = ParallelMap::new(3, 3, 6, move |index| {
            barrier.wait();
            index
        });
        assert_eq!(map.collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    });
}

#[test]
fn dropping_early_starts_nothing_more_and_joins_the_workers() {
    within_ten_seconds(|| {
        for taken in [0, 1, 5] {
            let started = Arc::new(AtomicUsize::new(0));
            let counter = Arc::clone(&started);
            let mut map = ParallelMap::new(2, 4, 1_000_000, move |index| {
                counter.fetch_add(1, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(1));
                index
            });
            for index in 0..taken {
                assert_eq!(map.next(), Some(index));
            }
            drop(map);
            // The closure owns the other reference: it is gone only if every worker has ended.
            assert_eq!(Arc::strong_count(&started), 1);
            assert!(started.load(Ordering::SeqCst) <= taken + 4);
        }
    });
}

#[test]
fn dropping_wakes_workers_that_wait_for_room() {
    within_ten_seconds(|| {
        let map = ParallelMap::new(4, 4, 100, |index| index);
        thread::sleep(Duration::from_millis(20));
        drop(map);
    });
}

#[test]
fn a_panic_is_raised_in_its_turn_and_the_rest_still_comes() {
    within_ten_seconds(|| {
        for workers in [0, 1, 3] {
            let mut map = ParallelMap::new(workers, 2, 6, |index| {
                assert!(index % 3 != 1, "item {index} is bad");
                index
            });
            let mut seen = Vec::new();
            loop {
                match catch_unwind(AssertUnwindSafe(|| map.next())) {
                    Ok(Some(index)) => seen.push(index.to_string()),
                    Ok(None) => break,
                    Err(panic) => seen.push(panic.downcast_ref::<String>().expect("a formatted message").clone()),
                }
            }
            assert_eq!(seen, ["0", "item 1 is bad", "2", "3", "item 4 is bad", "5"], "{workers} workers");
        }
    });
}

#[test]
fn untaken_panics_and_results_are_dropped_quietly() {
    within_ten_seconds(|| {
        struct Counted(Arc<AtomicUsize>);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let alive = Arc::new(AtomicUsize::new(0));
        let inside = Arc::clone(&alive);
        let mut map = ParallelMap::new(2, 6, 6, move |index| {
            assert!(index != 3, "never taken");
            inside.fetch_add(1, Ordering::SeqCst);
            Counted(Arc::clone(&inside))
        });
        assert!(map.next().is_some());
        drop(map);
        assert_eq!(alive.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn absurd_numbers_are_served() {
    within_ten_seconds(|| {
        assert_eq!(ParallelMap::new(usize::MAX, usize::MAX, 0, |index| index).next(), None);
        assert_eq!(ParallelMap::new(usize::MAX, usize::MAX, 3, |index| index).collect::<Vec<_>>(), [0, 1, 2]);
        let mut endless = ParallelMap::new(2, 2, usize::MAX, |index| index);
        assert_eq!(endless.len(), usize::MAX);
        assert_eq!(endless.next(), Some(0));
    });
}

#[test]
fn results_do_not_depend_on_the_number_of_workers() {
    within_ten_seconds(|| {
        let order = Arc::new(Mutex::new(Vec::new()));
        let slow_first = Arc::new(AtomicBool::new(true));
        for workers in [0, 1, 2, 8] {
            let slow_first = Arc::clone(&slow_first);
            let map = ParallelMap::new(workers, 8, 40, move |index| {
                if slow_first.load(Ordering::SeqCst) && index.is_multiple_of(8) {
                    thread::sleep(Duration::from_millis(3));
                }
                index * index
            });
            order.lock().expect("no panic holds it").push(map.collect::<Vec<_>>());
        }
        let order = order.lock().expect("no panic holds it");
        assert!(order.iter().all(|results| *results == order[0]));
        assert_eq!(order[0][39], 1521);
    });
}

#[test]
fn an_item_that_never_ends_is_replaced_and_left_behind() {
    within_ten_seconds(|| {
        for workers in [1, 2, 5] {
            // Dropping the sender ends the items that are stuck.
            let (sender, receiver) = mpsc::channel::<()>();
            let receiver = Mutex::new(receiver);
            let map = ParallelMap::new(workers, 6, 30, move |index| {
                if [3, 4, 29].contains(&index) {
                    let _ = receiver.lock().map(|receiver| receiver.recv());
                }
                index
            });
            let mut map = map.with_timeout(Duration::from_millis(50), |index| 100 + index);
            for index in 0..30 {
                let stuck = [3, 4, 29].contains(&index);
                assert_eq!(map.next(), Some(if stuck { 100 + index } else { index }), "{workers} workers");
            }
            assert_eq!(map.next(), None);
            drop(map);
            drop(sender);
        }
    });
}

#[test]
fn dropping_waits_for_stuck_items_no_longer_than_it_would_for_their_results() {
    within_ten_seconds(|| {
        let (sender, receiver) = mpsc::channel::<()>();
        let receiver = Mutex::new(receiver);
        let map = ParallelMap::new(2, 4, 10, move |index| {
            if index > 0 {
                let _ = receiver.lock().map(|receiver| receiver.recv());
            }
        });
        let mut map = map.with_timeout(Duration::from_millis(50), |_| ());
        assert_eq!(map.next(), Some(()));
        drop(map);
        drop(sender);
    });
}
