//! Arrays as NumPy stores them: `.npy` files, and with the feature `npz` the archives of `numpy.savez`.
//!
//! The bytes are those that `numpy.save` and `numpy.savez` write for the same arrays, version 1.0 of the format, and
//! need no pickle to be read.

#[cfg(feature = "npz")]
mod npz;

#[cfg(feature = "npz")]
pub use npz::NpzWriter;

/// Headers end at a multiple of this, so that values can be mapped into memory.
const ALIGNMENT: usize = 64;

/// Magic string, version and length of the header's text.
const PREFIX: usize = 10;

/// Digits that the first extent may grow to without moving the values, as NumPy reserves them.
const DIGITS: usize = 21;

/// The type of an array's elements, which are stored in little-endian order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ElementType {
    /// `uint8`.
    U8,
    /// `int64`.
    I64,
    /// `float32`.
    F32,
    /// `str`, with room for this many characters.
    Text(usize),
}

impl ElementType {
    /// Returns the bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::I64 => 8,
            Self::F32 => 4,
            Self::Text(characters) => 4 * characters,
        }
    }

    /// NumPy's name of the type.
    fn name(self) -> String {
        match self {
            Self::U8 => "|u1".into(),
            Self::I64 => "<i8".into(),
            Self::F32 => "<f4".into(),
            Self::Text(characters) => format!("<U{characters}"),
        }
    }
}

/// Returns what a file of an array begins with; the values follow, the last extent running fastest.
///
/// The length does not depend on the first extent: a file can begin before the number of its rows is known, and have
/// its header written over.
///
/// ```
/// use hardnet_base::npy::{ElementType, header};
///
/// let mut file = header(ElementType::F32, &[2, 2]);
/// for value in [1.0f32, 2.0, 3.0, 4.0] {
///     file.extend(value.to_le_bytes());
/// }
/// assert_eq!(file.len(), 128 + 16);
/// assert_eq!(header(ElementType::F32, &[1_000_000, 2]).len(), 128);
/// ```
///
/// # Panics
///
/// If there are so many extents that the text is longer than 65,535 bytes.
pub fn header(element: ElementType, shape: &[usize]) -> Vec<u8> {
    let extents: Vec<String> = shape.iter().map(usize::to_string).collect();
    let comma = if extents.len() == 1 { "," } else { "" };
    let tuple = format!("({}{comma})", extents.join(", "));
    let mut text = format!("{{'descr': '{}', 'fortran_order': False, 'shape': {tuple}, }}", element.name());
    let spare = extents.first().map_or(0, |first| DIGITS - first.len());
    // At least one blank, then the end of the line.
    let length = (PREFIX + text.len() + spare + 2).next_multiple_of(ALIGNMENT) - PREFIX;
    text.extend(std::iter::repeat_n(' ', length - text.len() - 1));
    text.push('\n');
    let length = u16::try_from(length).expect("an array has few extents");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(length.to_le_bytes());
    bytes.extend(text.into_bytes());
    bytes
}

/// Returns the bytes of an array of `shape` with all its elements.
pub fn array(element: ElementType, shape: &[usize], values: &[u8]) -> Vec<u8> {
    let mut bytes = header(element, shape);
    bytes.extend_from_slice(values);
    bytes
}

/// Returns `values` in little-endian order.
pub fn f32_bytes(values: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; 4 * values.len()];
    bytes.chunks_exact_mut(4).zip(values).for_each(|(bytes, value)| bytes.copy_from_slice(&value.to_le_bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files that `numpy.save` wrote: `tests/numpy/make.py`.
    #[test]
    fn files_are_those_that_numpy_saves() {
        let floats: Vec<f32> = (0..24).map(|value| value as f32 - 0.5).collect();
        let cube = array(ElementType::F32, &[2, 3, 2, 2], &f32_bytes(&floats));
        assert_eq!(cube, include_bytes!("../tests/numpy/cube.npy"));
        let integers: Vec<u8> = [-1i64, 0, 1 << 40].iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(array(ElementType::I64, &[3], &integers), include_bytes!("../tests/numpy/integers.npy"));
        assert_eq!(array(ElementType::U8, &[], &[7]), include_bytes!("../tests/numpy/scalar.npy"));
        assert_eq!(array(ElementType::F32, &[0, 5], &[]), include_bytes!("../tests/numpy/empty.npy"));
    }

    #[test]
    fn the_length_of_a_header_does_not_depend_on_the_rows() {
        for tail in [vec![], vec![1024], vec![320, 28, 28]] {
            let length = |rows: usize| header(ElementType::F32, &[&[rows][..], &tail].concat()).len();
            assert!([1, 999, 1_281_167, usize::MAX].iter().all(|&rows| length(rows) == length(0)), "{tail:?}");
            assert_eq!(length(0) % 64, 0);
        }
    }
}
