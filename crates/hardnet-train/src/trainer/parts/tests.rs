use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::*;
use crate::communicator::{InProcess, in_process};

/// What `work` gives on each of `size` ranks.
fn on_each<T: Send>(size: usize, work: impl Fn(Ranks) -> T + Sync) -> Vec<T> {
    let ranks = in_process(size, Duration::from_secs(20));
    std::thread::scope(|scope| {
        let work = &work;
        let start = |rank: InProcess| scope.spawn(move || work(Ranks::new(Arc::new(rank))));
        let threads: Vec<_> = ranks.into_iter().map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// The term of a part in an exchange: sums of such terms depend on their order in every bit.
fn term(part: usize, exchange: usize) -> Vec<f64> {
    (0..5).map(|at| ((part * 7 + exchange * 13 + at) as f64).sin() * 10f64.powi((part % 5) as i32 * 4 - 8)).collect()
}

/// The sums of some exchanges, as the parts of each rank get them.
fn exchanged(owners: &[usize], size: usize) -> Vec<Vec<Vec<f64>>> {
    let found = on_each(size, |ranks| {
        let parts = Parts::new(ranks, owners.to_vec(), 100);
        let first = parts.first;
        let sums = |number: usize, part: Arc<Part>| {
            let mut sums = Vec::new();
            for exchange in 0..6 {
                let mut values = term(first + number, exchange);
                part.all_reduce(&mut values)?;
                sums.push(values);
            }
            Ok(sums)
        };
        let sums = parts.compute(|number, part| sums(number, part).map_err(|Stopped| Error::NoImages)).unwrap();
        assert_eq!(sums.len(), parts.count);
        sums
    });
    found.into_iter().flatten().collect()
}

/// Also if some ranks have no part.
#[test]
fn every_part_gets_the_same_sums_for_any_number_of_ranks() {
    for parts in [1, 2, 3, 5, 8, 13] {
        let alone = exchanged(&vec![0; parts], 1);
        assert!(alone.iter().all(|sums| *sums == alone[0]));
        for size in 1..=parts.min(8) {
            let owners: Vec<usize> = (0..parts).map(|part| part * size / parts).collect();
            assert_eq!(exchanged(&owners, size), alone, "{parts} parts on {size} ranks");
        }
        let owners: Vec<usize> = (0..parts).map(|part| 1 + part / 2).collect();
        assert_eq!(exchanged(&owners, 10), alone, "{parts} parts, none on rank 0");
    }
}

#[test]
fn sums_are_those_of_the_parts() {
    for (exchange, sums) in exchanged(&[0, 0, 1, 2, 2], 3)[0].iter().enumerate() {
        for (at, sum) in sums.iter().enumerate() {
            let expected: f64 = (0..5).map(|part| term(part, exchange)[at]).sum();
            assert!((sum - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{sum}, expected {expected}");
        }
    }
}

/// How each of three ranks with two parts each ends, if part `culprit` of rank `rank` does not go on after an exchange.
fn ends(rank: usize, culprit: usize, fail: impl Fn() -> Error + Sync) -> Vec<String> {
    on_each(3, |ranks| {
        let parts = Parts::new(ranks.clone(), vec![0, 0, 1, 1, 2, 2], 12);
        let work = |number: usize, part: Arc<Part>| {
            for exchange in 0..4 {
                if exchange == 1 && (ranks.rank(), number) == (rank, culprit) {
                    return Err(fail());
                }
                part.all_reduce(&mut [1.0]).map_err(|Stopped| Error::NoImages)?;
            }
            Ok(())
        };
        let ended = catch_unwind(AssertUnwindSafe(|| parts.compute(work)));
        // What a program does about a panic is to fail.
        let ended = ended.unwrap_or_else(|_| Err(CommunicationError::Transport("panic".into()).into()));
        ranks.end_all(ended).unwrap_err().to_string()
    })
}

#[test]
fn a_part_that_fails_ends_all_parts_of_all_ranks() {
    for (rank, culprit) in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)] {
        let own = "`momentum` is 7, expected less";
        let found = ends(rank, culprit, || Error::Recipe { field: "momentum", found: "7".into(), expected: "less" });
        for (other, found) in found.iter().enumerate() {
            let expected = if other == rank { own.into() } else { format!("rank {rank} failed: {own}") };
            assert_eq!(*found, expected, "part {culprit}");
        }
    }
}

#[test]
fn a_part_that_panics_ends_all_parts_of_all_ranks() {
    for (rank, culprit) in [(0, 1), (1, 0), (2, 1)] {
        let found = ends(rank, culprit, || panic!("part {culprit} of rank {rank}"));
        let own = "cannot communicate with the other ranks: panic";
        for (other, found) in found.iter().enumerate() {
            let expected = if other == rank { own.into() } else { format!("rank {rank} failed: {own}") };
            assert_eq!(*found, expected, "part {culprit}");
        }
    }
}

#[test]
fn a_message_of_another_length_is_an_error() {
    let found = on_each(2, |ranks| {
        let length = 1 + ranks.rank();
        let parts = Parts::new(ranks.clone(), vec![0, 1], 4);
        let work = |_, part: Arc<Part>| part.all_reduce(&mut vec![1.0; length]).map_err(|Stopped| Error::NoImages);
        ranks.end_all(parts.compute(work)).unwrap_err().to_string()
    });
    let error = "cannot read a message of rank 1; do all ranks run the same version?";
    assert_eq!(found, [error.to_string(), format!("rank 0 failed: {error}")]);
}
