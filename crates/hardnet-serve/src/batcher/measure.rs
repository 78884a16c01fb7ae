//! Throughput by the size of a batch.

use std::time::{Duration, Instant};

use crate::network::{ComputeError, ImageNetwork};

/// Share of the best throughput that a smaller batch may lack: images wait less in smaller batches.
const TOLERANCE: f64 = 0.03;

/// Time to spend on each size, unless a single run takes longer.
const BUDGET: Duration = Duration::from_millis(50);

/// The most runs of each size.
const RUNS: usize = 20;

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
    let image = network.blank()?;
    let mut sizes: Vec<usize> =
        std::iter::successors(Some(smallest), |size| size.checked_mul(2)).take_while(|&size| size < largest).collect();
    sizes.push(largest);
    let mut measured = Vec::new();
    for batch in sizes {
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
        measured.push(Measured { batch, seconds_per_image: best.max(1e-9) / batch as f64 });
    }
    Ok(choose(&measured))
}

/// The first, and smallest, size whose throughput is close to the best.
fn choose(measured: &[Measured]) -> Measured {
    let best = measured.iter().map(|measured| measured.seconds_per_image).fold(f64::INFINITY, f64::min);
    let close = |measured: &&Measured| measured.seconds_per_image <= best / (1.0 - TOLERANCE);
    *measured.iter().find(close).expect("the best is close to itself, and one size is measured at least")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_batch_close_to_the_best_throughput_is_chosen() {
        let chosen = |times: &[f64]| {
            let measured = times.iter().enumerate();
            let measured: Vec<_> =
                measured.map(|(power, &time)| Measured { batch: 1 << power, seconds_per_image: time }).collect();
            choose(&measured).batch
        };
        assert_eq!(chosen(&[1.0, 0.8, 0.7, 0.69]), 4);
        assert_eq!(chosen(&[1.0, 0.99, 1.1]), 1);
        assert_eq!(chosen(&[1.0, 0.9, 0.8, 0.7]), 8);
        assert_eq!(chosen(&[1.0]), 1);
    }
}
