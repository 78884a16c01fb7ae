//! Weights of one output channel as 8-bit integers.
//!
//! With the scale `s`, a weight `w` becomes `s * q`, where `q` is `w / s` rounded and limited to -127 to 127. A small
//! scale cuts large weights off, a large one rounds all of them coarsely. The scale that is taken makes the expected
//! square error of the output least, where the inputs are independent with the given second moments:
//! `sum(moment * (w - s * q)^2)`.

/// The greatest magnitude of an integer weight.
const MOST: f64 = 127.0;

/// The least share of the largest magnitude at which weights are cut off.
const LEAST_SHARE: f64 = 0.4;

/// Weights of one output channel as integers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) integers: Vec<i8>,
    /// The value of one unit.
    pub(crate) scale: f64,
    /// Weights that are cut off.
    pub(crate) clipped: usize,
}

/// Rounds `weights` with the best scale; `moments` are those of the input that each weight reads, all of them 1 if
/// there are none. Without `clip`, the scale is that of the largest weight.
pub(crate) fn row(weights: &[f64], moments: &[f64], clip: bool) -> Row {
    let largest = weights.iter().fold(0.0_f64, |most, weight| most.max(weight.abs()));
    // A scale that f32 holds as a normal number, and its inverse too.
    if largest < 1e-30 {
        return Row { integers: vec![0; weights.len()], scale: 1.0, clipped: 0 };
    }
    let widest = largest / MOST;
    let scale = if clip { best(weights, moments, widest) } else { widest };
    let mut clipped = 0;
    let integers = weights.iter().map(|weight| {
        let rounded = (weight / scale).round_ties_even();
        clipped += usize::from(rounded.abs() > MOST);
        rounded.clamp(-MOST, MOST) as i8
    });
    Row { integers: integers.collect(), scale, clipped }
}

/// The best scale of a grid that is finer the fewer weights there are, then of the neighborhood of that one.
fn best(weights: &[f64], moments: &[f64], widest: f64) -> f64 {
    let steps = (60_000 / weights.len()).clamp(24, 2_000);
    let mut least = (error(weights, moments, widest), widest);
    let mut search = |low: f64, high: f64, steps: usize| {
        for step in 0..steps {
            let scale = low + (high - low) * step as f64 / steps as f64;
            let error = error(weights, moments, scale);
            if error < least.0 {
                least = (error, scale);
            }
        }
        least.1
    };
    let width = widest * (1.0 - LEAST_SHARE) / steps as f64;
    let scale = search(LEAST_SHARE * widest, widest, steps);
    search(scale - width, (scale + width).min(widest), (steps / 4).max(8))
}

/// The expected square error of the output.
pub(crate) fn error(weights: &[f64], moments: &[f64], scale: f64) -> f64 {
    let inverse = 1.0 / scale;
    let square = |weight: &f64| {
        let error = weight - scale * (weight * inverse).round_ties_even().clamp(-MOST, MOST);
        error * error
    };
    match moments {
        [] => weights.iter().map(square).sum(),
        _ => weights.iter().zip(moments).map(|(weight, moment)| moment * square(weight)).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values in -1 to 1, from a linear congruential generator.
    fn values(seed: u64, count: usize) -> Vec<f64> {
        let mut state = seed;
        let next = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
        };
        (0..count).map(next).collect()
    }

    #[test]
    fn the_scale_is_nearly_that_of_a_search_through_all() {
        for (seed, count) in [(1, 9), (2, 9), (3, 64), (4, 288), (5, 4000)] {
            // Heavy tails, as weights have.
            let weights: Vec<f64> = values(seed, count).iter().map(|x| x.powi(5)).collect();
            let moments: Vec<f64> = values(seed + 9, count).iter().map(|x| x * x).collect();
            let widest = weights.iter().fold(0.0_f64, |most, w| most.max(w.abs())) / MOST;
            let all = (1..=40_000).map(|step| error(&weights, &moments, widest * f64::from(step) / 40_000.0));
            let least = all.fold(f64::INFINITY, f64::min);
            let found = error(&weights, &moments, row(&weights, &moments, true).scale);
            let plain = error(&weights, &moments, widest);
            assert!(found <= plain && found < 1.1 * least, "{count}: {found} of {least}, {plain} without clipping");
        }
    }

    #[test]
    fn an_outlier_is_cut_off_only_if_the_input_hardly_matters() {
        let mut weights = values(7, 4000);
        weights[5] = 2.2;
        let mut moments = vec![1.0; 4000];
        assert!(127.0 * row(&weights, &moments, true).scale > 2.0);
        moments[5] = 1e-6;
        let found = row(&weights, &moments, true);
        assert!(127.0 * found.scale < 1.1 && found.integers[5] == 127, "{found:?}");
        assert_eq!(row(&weights, &moments, false).clipped, 0);
    }

    #[test]
    fn integers_are_symmetric_and_zeros_stay_zero() {
        let found = row(&[-3.0, 3.0, 0.0], &[], false);
        assert_eq!((&found.integers[..], found.scale), (&[-127, 127, 0][..], 3.0 / 127.0));
        assert_eq!(row(&[0.0, 1e-40], &[], true), Row { integers: vec![0, 0], scale: 1.0, clipped: 0 });
    }
}
