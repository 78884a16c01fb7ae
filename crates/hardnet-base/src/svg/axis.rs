//! Scales and the frames of panels.

use super::Svg;

/// A scale from values to pixels.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    values: (f64, f64),
    pixels: (f64, f64),
    logarithmic: bool,
}

impl Axis {
    /// A linear scale from `values` to `pixels`.
    pub fn linear(values: (f64, f64), pixels: (f64, f64)) -> Self {
        Self { values, pixels, logarithmic: false }
    }

    /// A logarithmic scale, of positive values.
    pub fn logarithmic(values: (f64, f64), pixels: (f64, f64)) -> Self {
        Self { values: (values.0.log10(), values.1.log10()), pixels, logarithmic: true }
    }

    /// The pixel of `value`.
    pub fn at(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.log10() } else { value };
        let share = (value - self.values.0) / (self.values.1 - self.values.0);
        self.pixels.0 + share * (self.pixels.1 - self.pixels.0)
    }

    /// Round values to write at the axis: at most about `count`, or those of each decade.
    pub fn ticks(&self, count: usize) -> Vec<f64> {
        let (from, to) = self.values;
        if self.logarithmic {
            let decades = from.floor() as i32..=to.ceil() as i32;
            let steps: &[f64] = if to - from > 2.5 { &[1.0] } else { &[1.0, 2.0, 5.0] };
            let ticks = decades.flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade)));
            return ticks.filter(|tick| (from - 1e-9..=to + 1e-9).contains(&tick.log10())).collect();
        }
        let rough = (to - from) / count.max(1) as f64;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough * 0.999);
        let step = step.unwrap_or(10.0 * power);
        let first = (from / step).ceil() as i64;
        (first..).map(|at| at as f64 * step).take_while(|tick| *tick <= to + 1e-9 * step).collect()
    }
}

/// Draws lines across a panel at the ticks of its vertical axis, and their values on its left.
pub fn rows(svg: &mut Svg, axis: &Axis, count: usize, left: f64, right: f64) {
    let ticks = axis.ticks(count);
    let step = ticks.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
    let decimals = if step < 0.01 { (-step.log10()).ceil() as usize } else { 2 };
    for tick in ticks {
        let y = axis.at(tick);
        svg.line((left, y), (right, y), "grid");
        svg.text((left - 8.0, y + 4.5), "end", trimmed(tick, decimals));
    }
}

/// Draws the ticks of a panel's horizontal axis at its foot, and their values below.
pub fn columns(svg: &mut Svg, axis: &Axis, count: usize, top: f64, foot: f64) {
    for tick in axis.ticks(count) {
        let x = axis.at(tick);
        svg.line((x, top), (x, foot), "grid");
        svg.text((x, foot + 18.0), "middle", number(tick));
    }
}

/// `value` with at most two decimals, and no more than it needs.
pub fn number(value: f64) -> String {
    trimmed(value, 2)
}

fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// The least and the greatest of `values`, widened on each side by `around` times their difference.
pub fn range(values: impl Iterator<Item = f64>, around: f64) -> (f64, f64) {
    let (least, most) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    if !least.is_finite() {
        return (0.0, 1.0);
    }
    let margin = if most > least { around * (most - least) } else { 1.0 };
    (least - margin, most + margin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_ticks() {
        let ticks = |values: (f64, f64), count| Axis::linear(values, (0.0, 1.0)).ticks(count);
        assert_eq!(ticks((0.0, 47.0), 5), [0.0, 10.0, 20.0, 30.0, 40.0]);
        assert_eq!(ticks((59.0, 79.4), 6), [60.0, 65.0, 70.0, 75.0]);
        let ticks = Axis::logarithmic((0.25, 21.0), (0.0, 1.0)).ticks(5);
        assert_eq!(ticks, [0.5, 1.0, 2.0, 5.0, 10.0, 20.0]);
        assert_eq!(number(0.5), "0.5");
        assert_eq!(number(20.0), "20");
        assert_eq!(number(100.0), "100");
    }

    #[test]
    fn ticks_close_together_have_the_decimals_that_tell_them_apart() {
        let mut svg = Svg::new(10.0, 10.0, "");
        rows(&mut svg, &Axis::linear((0.001, 0.0042), (9.0, 0.0)), 4, 1.0, 2.0);
        let text = svg.finish();
        for tick in ["0.001", "0.002", "0.003", "0.004"] {
            assert!(text.contains(&format!(">{tick}<")), "{tick}: {text}");
        }
    }
}
