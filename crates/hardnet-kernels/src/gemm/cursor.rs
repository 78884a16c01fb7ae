//! Addresses of the pixels of tiles.

use super::MAX_PIXELS;

/// Addresses of the pixels of an input and an output in reading order: rows of `width`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TileCursor {
    width: usize,
    column: usize,
    input: Stride,
    output: Stride,
    at: (usize, usize),
}

/// Steps through one map, in values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stride {
    pub(crate) row: usize,
    pub(crate) column: usize,
}

impl TileCursor {
    /// A cursor over rows of `width` pixels that starts at pixel `first`.
    pub(crate) fn new(width: usize, first: usize, input: Stride, output: Stride) -> Self {
        let (row, column) = (first / width, first % width);
        let at = |stride: Stride| row * stride.row + column * stride.column;
        Self { width, column, input, output, at: (at(input), at(output)) }
    }

    /// Passes over the next `count` pixels of `pixel` values, at most as many as a tile has, and gives their offsets.
    #[inline(always)]
    pub(crate) fn advance(&mut self, count: usize, pixel: usize) -> TilePixels {
        if self.column + count < self.width {
            let (input, output) = self.at;
            self.column += count;
            self.at = (input + count * self.input.column, output + count * self.output.column);
            return TilePixels {
                even: self.input.column == pixel,
                input: std::array::from_fn(|i| input + i * self.input.column),
                output: std::array::from_fn(|i| output + i * self.output.column),
            };
        }
        let mut pixels = TilePixels::default();
        for i in 0..count {
            (pixels.input[i], pixels.output[i]) = self.next();
        }
        // Rows may lie next to each other.
        pixels.even = (1..count).all(|i| pixels.input[i] == pixels.input[0] + i * pixel);
        pixels
    }

    /// Offsets of the next pixel in input and output.
    #[inline(always)]
    fn next(&mut self) -> (usize, usize) {
        let at = self.at;
        self.column += 1;
        self.at.0 += self.input.column;
        self.at.1 += self.output.column;
        if self.column == self.width {
            self.column = 0;
            self.at.0 = self.at.0 + self.input.row - self.width * self.input.column;
            self.at.1 = self.at.1 + self.output.row - self.width * self.output.column;
        }
        at
    }
}

/// Offsets of the pixels of a tile.
#[derive(Default)]
pub(crate) struct TilePixels {
    /// Whether inputs lie side by side.
    pub(crate) even: bool,
    pub(crate) input: [usize; MAX_PIXELS],
    pub(crate) output: [usize; MAX_PIXELS],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_wrap_at_the_end_of_a_row() {
        let stride = |row, column| Stride { row, column };
        let mut cursor = TileCursor::new(3, 2, stride(100, 16), stride(50, 8));
        let found: Vec<_> = (0..5).map(|_| cursor.next()).collect();
        assert_eq!(found, [(32, 16), (100, 50), (116, 58), (132, 66), (200, 100)]);
        for count in 1..=MAX_PIXELS {
            let mut cursor = TileCursor::new(5, 0, stride(100, 16), stride(50, 8));
            let mut single = cursor;
            for _ in 0..10 {
                let pixels = cursor.advance(count, 8);
                (0..count).for_each(|i| assert_eq!((pixels.input[i], pixels.output[i]), single.next()));
            }
        }
    }
}
