//! Bilinear interpolation of a map to the size of another.

/// A map's values, interpolated between its pixels along rows and columns: PyTorch's `interpolate` with
/// `mode="bilinear"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Upsample {
    /// The earlier node whose map has the size that is wanted; node 0 is the image.
    pub like: usize,
    /// Where the pixels of the output lie on the map.
    pub alignment: Alignment,
}

impl Upsample {
    /// Interpolation to the size of node `like`.
    pub const fn new(like: usize, alignment: Alignment) -> Self {
        Self { like, alignment }
    }
}

/// Which points of a map an interpolation takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)]
pub enum Alignment {
    /// The corner pixels of both maps coincide: PyTorch's `align_corners=True`.
    Corners,
    /// The outer edges of both maps coincide: `align_corners=False`. Points outside the centers of the outermost pixels
    /// take those pixels.
    HalfPixel,
}

/// The two pixels of a side that an output pixel lies between.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs)]
pub struct Between {
    /// The pixel before it.
    pub first: usize,
    /// The pixel after it, the same at the end of the side.
    pub second: usize,
    /// Weight of `second`, 0 or more and less than 1; `first` has the rest.
    pub weight: f64,
}

impl Alignment {
    /// Where pixel `at` of a side of `output` pixels lies on a side of `input` pixels, none of which is 0.
    ///
    /// The position is a fraction of whole numbers, so that a pixel of the map is met exactly.
    ///
    /// ```
    /// use hardnet_graph::Alignment;
    ///
    /// let between = Alignment::HalfPixel.between(1, 4, 2);
    /// assert_eq!((between.first, between.second, between.weight), (0, 1, 0.25));
    /// let between = Alignment::Corners.between(3, 4, 2);
    /// assert_eq!((between.first, between.second, between.weight), (1, 1, 0.0));
    /// ```
    pub fn between(self, at: usize, output: usize, input: usize) -> Between {
        let (numerator, denominator) = match self {
            // PyTorch takes the first pixel for an output of one.
            Self::Corners if output == 1 => (0, 1),
            Self::Corners => (at * (input - 1), output - 1),
            Self::HalfPixel => (((2 * at + 1) * input).saturating_sub(output), 2 * output),
        };
        let first = (numerator / denominator).min(input - 1);
        let second = (first + 1).min(input - 1);
        let rest = if second == first { 0 } else { numerator % denominator };
        Between { first, second, weight: rest as f64 / denominator as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PyTorch's formulas in f64: `area_pixel_compute_source_index`.
    fn source(alignment: Alignment, at: usize, output: usize, input: usize) -> f64 {
        let (at, output, input) = (at as f64, output as f64, input as f64);
        match alignment {
            Alignment::Corners if output > 1.0 => at * (input - 1.0) / (output - 1.0),
            Alignment::Corners => 0.0,
            Alignment::HalfPixel => ((at + 0.5) * input / output - 0.5).max(0.0),
        }
    }

    #[test]
    fn positions_are_pytorchs() {
        for alignment in [Alignment::Corners, Alignment::HalfPixel] {
            for (input, output) in (1..9).flat_map(|input| (1..20).map(move |output| (input, output))) {
                for at in 0..output {
                    let Between { first, second, weight } = alignment.between(at, output, input);
                    assert!(first < input && second < input && second <= first + 1 && (0.0..1.0).contains(&weight));
                    let position = source(alignment, at, output, input).min((input - 1) as f64);
                    let found = first as f64 + weight;
                    assert!((found - position).abs() < 1e-12, "{alignment:?} {input} to {output}, {at}: {found}");
                }
            }
        }
    }
}
