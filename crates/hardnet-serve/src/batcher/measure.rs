//! Throughput by the size of a batch.

use std::time::{Duration, Instant};

use crate::network::{ComputeError, ImageNetwork};

/// Share of the best throughput that a smaller batch may lack: images wait less in smaller batches.
const TOLERANCE: f64 = 0.03;

/// Time to spend on each size, unless a single run takes longer.
const BUDGET: Duration = Duration::from_millis(50);

/// The most runs of each size.
const RUNS: usize = 20;

/// Time after which no larger size is measured: a server that starts again is awaited, and large networks, for which
/// this is short, gain least by larger batches.
const PATIENCE: Duration = Duration::from_millis(150);

/// A size of batches, and the time that an image takes in them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measured {
    pub(super) batch: usize,
    pub(super) seconds_per_image: f64,
}

/// Measures batches of `smallest`, twice as many, and so on up to `largest`, and chooses one.
pub(super) fn throughput(
    network: &dyn ImageNetwork,
    smallest: usize,
    largest: usize,
) -> Result<Measured, ComputeError> {
    let (image, began) = (network.blank()?, Instant::now());
    search(
        smallest,
        largest,
        || began.elapsed() > PATIENCE,
        |batch| {
            let images = vec![&image; batch];
            // The first run pages memory in.
            network.compute(&images)?;
            let (start, mut best) = (Instant::now(), f64::INFINITY);
            for _ in 0..RUNS {
                let run = Instant::now();
                network.compute(&images)?;
                best = best.min(run.elapsed().as_secs_f64());
                if start.elapsed() > BUDGET {
                    break;
                }
            }
            Ok(best.max(1e-9))
        },
    )
}

/// Chooses a size by the seconds of a batch that `measure` finds: the smallest whose throughput is close to the best,
/// of those up to the first that is hardly better than the one before, or after which it `is_late`. A server starts
/// while this is measured, and where one doubling gains nothing, the next ones take twice and four times as long to
/// find the same.
fn search<E>(
    smallest: usize,
    largest: usize,
    is_late: impl Fn() -> bool,
    mut measure: impl FnMut(usize) -> Result<f64, E>,
) -> Result<Measured, E> {
    let mut measured: Vec<Measured> = Vec::new();
    let mut batch = smallest.min(largest);
    loop {
        let found = Measured { batch, seconds_per_image: measure(batch)? / batch as f64 };
        let gains =
            measured.last().is_none_or(|last| found.seconds_per_image < last.seconds_per_image * (1.0 - TOLERANCE));
        measured.push(found);
        if !gains || batch == largest || is_late() {
            return Ok(choose(&measured));
        }
        batch = batch.saturating_mul(2).min(largest);
    }
}

/// The first, and smallest, size whose throughput is close to the best.
fn choose(measured: &[Measured]) -> Measured {
    let best = measured.iter().map(|measured| measured.seconds_per_image).fold(f64::INFINITY, f64::min);
    let close = |measured: &&Measured| measured.seconds_per_image <= best / (1.0 - TOLERANCE);
    *measured.iter().find(close).expect("the best is close to itself, and one size is measured at least")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;

    use super::*;

    /// The size chosen by the seconds of an image in batches of 1, 2, 4 and so on, and how many were measured.
    fn found(smallest: usize, largest: usize, times: &[f64]) -> (usize, usize) {
        found_until(smallest, largest, usize::MAX, times)
    }

    /// The same if it is late after some.
    fn found_until(smallest: usize, largest: usize, late: usize, times: &[f64]) -> (usize, usize) {
        let count = Cell::new(0);
        let measure = |batch: usize| {
            count.set(count.get() + 1);
            Ok::<_, Infallible>(times[batch.next_power_of_two().ilog2() as usize] * batch as f64)
        };
        let Ok(chosen) = search(smallest, largest, || count.get() >= late, measure);
        (chosen.batch, count.get())
    }

    #[test]
    fn the_smallest_batch_close_to_the_best_throughput_is_chosen() {
        assert_eq!(found(1, 8, &[1.0, 0.8, 0.7, 0.69]), (4, 4));
        assert_eq!(found(1, 8, &[1.0, 0.9, 0.8, 0.7]), (8, 4));
        assert_eq!(found(1, 1, &[1.0]), (1, 1));
    }

    #[test]
    fn the_search_ends_where_twice_the_images_gain_nothing() {
        assert_eq!(found(1, 8, &[1.0, 0.99, 0.5, 0.5]), (1, 2));
        assert_eq!(found(1, 8, &[1.0, 0.8, 0.9, 0.5]), (2, 3));
        assert_eq!(found(2, 8, &[9.0, 1.0, 1.1, 0.5]), (2, 2));
        assert_eq!(found_until(1, 8, 1, &[1.0, 0.8, 0.7, 0.5]), (1, 1));
        assert_eq!(found_until(1, 8, 3, &[1.0, 0.8, 0.7, 0.5]), (4, 3));
    }

    #[test]
    fn the_largest_size_need_not_be_a_power_of_two() {
        assert_eq!(found(1, 6, &[1.0, 0.8, 0.6, 0.4]), (6, 4));
        assert_eq!(found(8, 6, &[1.0, 0.8, 0.6, 0.4]), (6, 1));
    }
}
