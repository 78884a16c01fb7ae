//! The eight orientations of EXIF, and the images that they make.

use crate::image::Image;

/// The change that turns a stored image upright: the numbers 1 to 8 of EXIF's tag `Orientation`, in this order.
/// Rotations are clockwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)]
pub enum Orientation {
    /// The image is upright.
    #[default]
    Upright = 1,
    /// Left and right change places.
    FlipLeftRight = 2,
    /// Half a turn.
    Rotate180 = 3,
    /// Top and bottom change places.
    FlipTopBottom = 4,
    /// Rows become columns.
    Transpose = 5,
    /// A quarter turn.
    Rotate90 = 6,
    /// Rows become columns, both in reverse order.
    Transverse = 7,
    /// Three quarters of a turn.
    Rotate270 = 8,
}

impl Orientation {
    /// All orientations, by their numbers.
    pub const ALL: [Orientation; 8] = [
        Orientation::Upright,
        Orientation::FlipLeftRight,
        Orientation::Rotate180,
        Orientation::FlipTopBottom,
        Orientation::Transpose,
        Orientation::Rotate90,
        Orientation::Transverse,
        Orientation::Rotate270,
    ];

    /// The orientation of a number of EXIF; none for numbers other than 1 to 8.
    pub fn from_exif(number: u32) -> Option<Orientation> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        Orientation::ALL.get(index).copied()
    }

    /// EXIF's number, 1 to 8.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Whether there is nothing to change.
    pub fn is_upright(self) -> bool {
        self == Orientation::Upright
    }

    /// Whether rows become columns.
    pub fn swaps_sides(self) -> bool {
        self.number() >= 5
    }

    /// Turns a stored image upright.
    pub fn apply(self, image: Image) -> Image {
        if self.is_upright() {
            return image;
        }
        let (width, height, channels) = (image.width(), image.height(), image.channels());
        let samples = match channels.count() {
            1 => self.turned::<1>(image.samples(), width, height),
            _ => self.turned::<3>(image.samples(), width, height),
        };
        let (width, height) = if self.swaps_sides() { (height, width) } else { (width, height) };
        Image::new(width, height, channels, samples).expect("a turned image has as many samples")
    }

    /// The samples of the turned image, from pixels of `N` samples.
    fn turned<const N: usize>(self, samples: &[u8], width: usize, height: usize) -> Vec<u8> {
        let (pixels, _) = samples.as_chunks::<N>();
        let mut turned = vec![0; samples.len()];
        let (places, _) = turned.as_chunks_mut::<N>();
        // The place of the first pixel, and the distances that a column and a row further are away from it.
        let (last_row, last_column) = (height - 1, width - 1);
        let (first, column, row) = match self {
            Orientation::Upright => (0, 1, width as isize),
            Orientation::FlipLeftRight => (last_column, -1, width as isize),
            Orientation::Rotate180 => (last_row * width + last_column, -1, -(width as isize)),
            Orientation::FlipTopBottom => (last_row * width, 1, -(width as isize)),
            Orientation::Transpose => (0, height as isize, 1),
            Orientation::Rotate90 => (last_row, height as isize, -1),
            Orientation::Transverse => (last_column * height + last_row, -(height as isize), -1),
            Orientation::Rotate270 => (last_column * height, -(height as isize), 1),
        };
        // Squares, so that few cache lines are written at a time where rows become columns.
        for top in (0..height).step_by(SQUARE) {
            for left in (0..width).step_by(SQUARE) {
                for y in top..height.min(top + SQUARE) {
                    let mut place = first as isize + y as isize * row + left as isize * column;
                    for pixel in &pixels[y * width + left..y * width + width.min(left + SQUARE)] {
                        places[place as usize] = *pixel;
                        place += column;
                    }
                }
            }
        }
        turned
    }
}

/// Side of the squares, in pixels.
const SQUARE: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Channels;

    /// The pixel that belongs at a place, by the words of the EXIF standard: where row 0 and column 0 are seen.
    fn expected(number: u8, image: &Image, x: usize, y: usize) -> (usize, usize) {
        let (right, bottom) = (image.width() - 1, image.height() - 1);
        match number {
            1 => (x, y),
            2 => (right - x, y),
            3 => (right - x, bottom - y),
            4 => (x, bottom - y),
            5 => (y, x),
            6 => (y, bottom - x),
            7 => (right - y, bottom - x),
            _ => (right - y, x),
        }
    }

    #[test]
    fn every_pixel_gets_to_its_place() {
        for (width, height) in [(1, 1), (1, 5), (5, 1), (2, 3), (31, 33), (32, 64), (65, 34)] {
            for channels in [Channels::Gray, Channels::Rgb] {
                let length = width * height * channels.count();
                let samples: Vec<u8> = (0..length).map(|index| (index * 7 + index / 251) as u8).collect();
                let image = Image::new(width, height, channels, samples).unwrap();
                for orientation in Orientation::ALL {
                    let turned = orientation.apply(image.clone());
                    let sides = if orientation.swaps_sides() { (height, width) } else { (width, height) };
                    assert_eq!((turned.width(), turned.height(), turned.channels()), (sides.0, sides.1, channels));
                    for y in 0..turned.height() {
                        for x in 0..turned.width() {
                            let (from_x, from_y) = expected(orientation.number(), &image, x, y);
                            let count = channels.count();
                            let ours = &turned.samples()[(y * turned.width() + x) * count..][..count];
                            let theirs = &image.samples()[(from_y * width + from_x) * count..][..count];
                            assert_eq!(ours, theirs, "{orientation:?} of {width}x{height} at {x}, {y}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn numbers_are_those_of_exif() {
        for (index, orientation) in Orientation::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(orientation.number()), index + 1);
            assert_eq!(Orientation::from_exif(orientation.number().into()), Some(orientation));
        }
        assert!([0, 9, 256, u32::MAX].into_iter().all(|number| Orientation::from_exif(number).is_none()));
    }
}
