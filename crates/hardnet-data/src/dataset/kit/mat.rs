//! The table of classes in `meta.mat`, a MAT-file of level 5.
//!
//! After a header of 128 bytes come data elements: a type, a length, and that many bytes. Elements of type 15 are
//! compressed by zlib, and hold another element. A matrix (type 14) is a sequence of elements again: flags with its
//! class, dimensions, name, and what the class needs. A structure has the names of its fields, each padded to one
//! length, and a matrix for each field of each of its elements. Source: "MAT-File Format", MathWorks, chapter 1.
//!
//! Only what the table of classes needs is read: strings and first numbers in fields of a structure. Nothing is built
//! for other fields, and nothing recurses.

use std::io::Read;

use flate2::read::ZlibDecoder;

/// The largest size of a decompressed element, in bytes. The kit's table has less than 2 MiB.
const MAX_ELEMENT_BYTES: u64 = 32 << 20;

/// The most classes in the table, inner ones among them; the kit has 1,860.
const MAX_SYNSETS: usize = 1 << 16;

/// The most fields of a class.
const MAX_FIELDS: usize = 256;

const HEADER_BYTES: usize = 128;

/// Types of data elements.
mod kind {
    pub(super) const INT8: u32 = 1;
    pub(super) const UINT8: u32 = 2;
    pub(super) const INT16: u32 = 3;
    pub(super) const UINT16: u32 = 4;
    pub(super) const INT32: u32 = 5;
    pub(super) const UINT32: u32 = 6;
    pub(super) const SINGLE: u32 = 7;
    pub(super) const DOUBLE: u32 = 9;
    pub(super) const INT64: u32 = 12;
    pub(super) const UINT64: u32 = 13;
    pub(super) const MATRIX: u32 = 14;
    pub(super) const COMPRESSED: u32 = 15;
    pub(super) const UTF8: u32 = 16;
    pub(super) const UTF16: u32 = 17;
}

/// Classes of matrices.
mod class {
    pub(super) const STRUCTURE: u8 = 2;
    pub(super) const TEXT: u8 = 4;
    pub(super) const NUMBERS: std::ops::RangeInclusive<u8> = 6..=15;
}

/// Error of `meta.mat`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MatError {
    /// It is not a MAT-file of level 5.
    #[error("is not a MAT-file of level 5")]
    Header,
    /// An element is cut short or contradicts itself.
    #[error("is damaged: {0}")]
    Damaged(&'static str),
    /// Something is larger than any table of classes is.
    #[error("has more {0} than a table of classes")]
    TooLarge(&'static str),
    /// There is no structure `synsets` with the fields of the table.
    #[error("has no structure `synsets` with the fields `ILSVRC2012_ID`, `WNID` and `words`")]
    NoSynsets,
}

/// A class of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Synset {
    /// `ILSVRC2012_ID`.
    pub(super) id: u32,
    /// The WordNet id.
    pub(super) wordnet_id: String,
    pub(super) words: String,
}

/// The classes in a file, inner ones of the hierarchy among them.
pub(super) fn synsets(bytes: &[u8]) -> Result<Vec<Synset>, MatError> {
    let header = bytes.get(..HEADER_BYTES).ok_or(MatError::Header)?;
    let is_big_endian = match header[124..128] {
        [0, 1, b'I', b'M'] => false,
        [1, 0, b'M', b'I'] => true,
        _ => return Err(MatError::Header),
    };
    let mut elements = Elements { bytes: &bytes[HEADER_BYTES..], is_big_endian };
    while let Some((kind, data)) = elements.next()? {
        let found = match kind {
            kind::COMPRESSED => {
                let mut inflated = Vec::new();
                let read = ZlibDecoder::new(data).take(MAX_ELEMENT_BYTES + 1).read_to_end(&mut inflated);
                read.map_err(|_| MatError::Damaged("a compressed element"))?;
                if inflated.len() as u64 > MAX_ELEMENT_BYTES {
                    return Err(MatError::TooLarge("bytes"));
                }
                match (Elements { bytes: &inflated, is_big_endian }).next()? {
                    Some((kind::MATRIX, matrix)) => table(Elements { bytes: matrix, is_big_endian })?,
                    _ => None,
                }
            }
            kind::MATRIX => table(Elements { bytes: data, is_big_endian })?,
            _ => None,
        };
        if let Some(found) = found {
            return Ok(found);
        }
    }
    Err(MatError::NoSynsets)
}

/// Data elements one after the other.
#[derive(Clone, Copy)]
struct Elements<'a> {
    bytes: &'a [u8],
    is_big_endian: bool,
}

impl<'a> Elements<'a> {
    /// The type and the data of the next element; `None` at the end.
    fn next(&mut self) -> Result<Option<(u32, &'a [u8])>, MatError> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let cut = MatError::Damaged("an element is cut short");
        let Some((tag, rest)) = self.bytes.split_first_chunk::<4>() else { return Err(cut) };
        let tag = self.u32(*tag);
        // Up to four bytes of data stand in place of the length, which is then in the upper half of the type.
        let (kind, data, next) = match tag >> 16 {
            0 => {
                let Some((length, rest)) = rest.split_first_chunk::<4>() else { return Err(cut) };
                let length = self.u32(*length) as usize;
                let Some(data) = rest.get(..length) else { return Err(cut) };
                // The last element of a file need not be padded, and compressed ones never are.
                let padded = if tag == kind::COMPRESSED { length } else { length.next_multiple_of(8).min(rest.len()) };
                (tag, data, &rest[padded..])
            }
            length => {
                let (Some(data), Some(next)) = (rest.get(..length as usize), rest.get(4..)) else { return Err(cut) };
                if length > 4 {
                    return Err(MatError::Damaged("a small element is not small"));
                }
                (tag & 0xffff, data, next)
            }
        };
        self.bytes = next;
        Ok(Some((kind, data)))
    }

    /// The data of the next element, which must be of this type.
    fn expect(&mut self, kind: u32, name: &'static str) -> Result<&'a [u8], MatError> {
        match self.next()? {
            Some((found, data)) if found == kind => Ok(data),
            _ => Err(MatError::Damaged(name)),
        }
    }

    /// The class of a matrix and its number of elements; its name is skipped if it is not `name`, which gives `None`.
    fn matrix(&mut self, name: Option<&str>) -> Result<Option<(u8, usize)>, MatError> {
        let flags = self.expect(kind::UINT32, "the flags of a matrix")?;
        let flags = flags.first_chunk::<4>().ok_or(MatError::Damaged("the flags of a matrix"))?;
        let class = self.u32(*flags) as u8;
        let dimensions = self.expect(kind::INT32, "the dimensions of a matrix")?;
        let (dimensions, _) = dimensions.as_chunks::<4>();
        let product = |count: usize, extent: &[u8; 4]| count.checked_mul(self.u32(*extent) as usize);
        let count = dimensions.iter().try_fold(1, product).ok_or(MatError::TooLarge("elements"))?;
        let found = self.expect(kind::INT8, "the name of a matrix")?;
        Ok(name.is_none_or(|name| name.as_bytes() == found).then_some((class, count)))
    }

    fn u32(&self, bytes: [u8; 4]) -> u32 {
        if self.is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    fn u16(&self, bytes: [u8; 2]) -> u16 {
        if self.is_big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }
}

/// The table in a matrix; `None` if it is another variable.
fn table(mut matrix: Elements) -> Result<Option<Vec<Synset>>, MatError> {
    let Some((class::STRUCTURE, count)) = matrix.matrix(Some("synsets"))? else { return Ok(None) };
    if count > MAX_SYNSETS {
        return Err(MatError::TooLarge("classes"));
    }
    let length = matrix.expect(kind::INT32, "the length of field names")?;
    let length = length.first_chunk::<4>().map_or(0, |length| matrix.u32(*length) as usize);
    let names = matrix.expect(kind::INT8, "the names of fields")?;
    if length == 0 || names.len() % length != 0 {
        return Err(MatError::Damaged("the names of fields"));
    }
    let names: Vec<&[u8]> =
        names.chunks(length).map(|name| name.split(|byte| *byte == 0).next().unwrap_or(name)).collect();
    if names.len() > MAX_FIELDS {
        return Err(MatError::TooLarge("fields"));
    }
    let position = |name: &str| names.iter().position(|found| *found == name.as_bytes()).ok_or(MatError::NoSynsets);
    let (id, wordnet_id, words) = (position("ILSVRC2012_ID")?, position("WNID")?, position("words")?);
    let mut synsets = Vec::new();
    for _ in 0..count {
        let mut synset = Synset { id: 0, wordnet_id: String::new(), words: String::new() };
        for field in 0..names.len() {
            let data = matrix.expect(kind::MATRIX, "the value of a field")?;
            let value = Elements { bytes: data, ..matrix };
            if field == id {
                synset.id = number(value)?;
            } else if field == wordnet_id {
                synset.wordnet_id = text(value)?;
            } else if field == words {
                synset.words = text(value)?;
            }
        }
        synsets.push(synset);
    }
    Ok(Some(synsets))
}

/// The one number of a matrix, a whole one that is not negative.
fn number(mut matrix: Elements) -> Result<u32, MatError> {
    let wrong = || MatError::Damaged("an ILSVRC2012_ID is not a number");
    let Some((class, 1)) = matrix.matrix(None)? else { return Err(wrong()) };
    let Some((kind, data)) = matrix.next()?.filter(|_| class::NUMBERS.contains(&class)) else { return Err(wrong()) };
    // A number is stored in the smallest type that holds it, whatever the class of the matrix.
    let mut bytes = data.to_vec();
    if matrix.is_big_endian {
        bytes.reverse();
    }
    let value = match (kind, bytes.as_slice()) {
        (kind::INT8, &[a]) => f64::from(a.cast_signed()),
        (kind::UINT8, &[a]) => f64::from(a),
        (kind::INT16, &[a, b]) => f64::from(i16::from_le_bytes([a, b])),
        (kind::UINT16, &[a, b]) => f64::from(u16::from_le_bytes([a, b])),
        (kind::INT32, bytes) => f64::from(i32::from_le_bytes(bytes.try_into().map_err(|_| wrong())?)),
        (kind::UINT32, bytes) => f64::from(u32::from_le_bytes(bytes.try_into().map_err(|_| wrong())?)),
        (kind::SINGLE, bytes) => f64::from(f32::from_le_bytes(bytes.try_into().map_err(|_| wrong())?)),
        (kind::DOUBLE, bytes) => f64::from_le_bytes(bytes.try_into().map_err(|_| wrong())?),
        (kind::INT64, bytes) => i64::from_le_bytes(bytes.try_into().map_err(|_| wrong())?) as f64,
        (kind::UINT64, bytes) => u64::from_le_bytes(bytes.try_into().map_err(|_| wrong())?) as f64,
        _ => return Err(wrong()),
    };
    let is_whole = value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&value);
    if is_whole { Ok(value as u32) } else { Err(wrong()) }
}

/// The text of a matrix of characters; empty if it has none.
fn text(mut matrix: Elements) -> Result<String, MatError> {
    let wrong = || MatError::Damaged("a name is not a text");
    let Some((class::TEXT, count)) = matrix.matrix(None)? else { return Err(wrong()) };
    let Some((kind, data)) = matrix.next()? else {
        return if count == 0 { Ok(String::new()) } else { Err(wrong()) };
    };
    match kind {
        kind::INT8 | kind::UINT8 => Ok(data.iter().map(|byte| char::from(*byte)).collect()),
        kind::UTF8 => String::from_utf8(data.to_vec()).map_err(|_| wrong()),
        kind::UINT16 | kind::UTF16 => {
            let (units, []) = data.as_chunks::<2>() else { return Err(wrong()) };
            let units = units.iter().map(|unit| matrix.u16(*unit));
            char::decode_utf16(units).collect::<Result<_, _>>().map_err(|_| wrong())
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes elements in either byte order.
    #[derive(Clone, Copy)]
    struct Writer {
        is_big_endian: bool,
    }

    impl Writer {
        fn u32(self, value: u32) -> [u8; 4] {
            if self.is_big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
        }

        /// An element, a small one if it fits.
        fn element(self, kind: u32, data: &[u8]) -> Vec<u8> {
            let small = (1..=4).contains(&data.len());
            let mut bytes = match small {
                true => self.u32((data.len() as u32) << 16 | kind).to_vec(),
                false => [self.u32(kind), self.u32(data.len() as u32)].concat(),
            };
            bytes.extend_from_slice(data);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            bytes
        }

        fn matrix(self, class: u8, count: u32, name: &str, parts: &[Vec<u8>]) -> Vec<u8> {
            let head = [
                self.element(kind::UINT32, &[self.u32(class.into()), self.u32(0)].concat()),
                self.element(kind::INT32, &[self.u32(count), self.u32(1)].concat()),
                self.element(kind::INT8, name.as_bytes()),
            ];
            self.element(kind::MATRIX, &[head.concat(), parts.concat()].concat())
        }

        /// A file with a table of one class.
        fn file(self, number: Vec<u8>, wordnet_id: Vec<u8>) -> Vec<u8> {
            let fields = [&b"WNID\0         "[..], b"ILSVRC2012_ID\0", b"words\0        "].concat();
            assert_eq!(fields.len() % 14, 0, "one length for all names");
            let table = self.matrix(
                class::STRUCTURE,
                1,
                "synsets",
                &[
                    self.element(kind::INT32, &self.u32(14)),
                    self.element(kind::INT8, &fields),
                    self.matrix(class::TEXT, 1, "", &[wordnet_id]),
                    self.matrix(6, 1, "", &[number]),
                    self.matrix(class::TEXT, 0, "", &[]),
                ],
            );
            let other = self.matrix(6, 1, "version", &[self.element(kind::UINT8, &[1])]);
            let mut header = vec![b' '; 124];
            header.extend_from_slice(if self.is_big_endian { &[1, 0, b'M', b'I'] } else { &[0, 1, b'I', b'M'] });
            [header, other, table].concat()
        }
    }

    /// MATLAB stores a number in the smallest type that holds it, and text as characters of one or two bytes.
    #[test]
    fn numbers_and_texts_are_read_in_all_their_types() {
        for is_big_endian in [false, true] {
            let writer = Writer { is_big_endian };
            let ordered = |mut bytes: Vec<u8>| {
                if is_big_endian {
                    bytes.reverse();
                }
                bytes
            };
            let numbers: [(u32, Vec<u8>); 10] = [
                (kind::UINT8, vec![100]),
                (kind::INT8, vec![100]),
                (kind::UINT16, 100u16.to_le_bytes().into()),
                (kind::INT16, 100i16.to_le_bytes().into()),
                (kind::UINT32, 100u32.to_le_bytes().into()),
                (kind::INT32, 100i32.to_le_bytes().into()),
                (kind::SINGLE, 100f32.to_le_bytes().into()),
                (kind::DOUBLE, 100f64.to_le_bytes().into()),
                (kind::UINT64, 100u64.to_le_bytes().into()),
                (kind::INT64, 100i64.to_le_bytes().into()),
            ];
            let wide = |unit: u16| if is_big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() };
            let wide: Vec<u8> = "n01440764".encode_utf16().flat_map(wide).collect();
            let narrow = b"n01440764".to_vec();
            let texts = [
                (kind::UINT8, &narrow),
                (kind::UTF8, &narrow),
                (kind::INT8, &narrow),
                (kind::UINT16, &wide),
                (kind::UTF16, &wide),
            ];
            for (number_kind, bytes) in &numbers {
                for (text_kind, text) in texts {
                    let number = writer.element(*number_kind, &ordered(bytes.clone()));
                    let file = writer.file(number, writer.element(text_kind, text));
                    let expected = Synset { id: 100, wordnet_id: "n01440764".into(), words: String::new() };
                    assert_eq!(synsets(&file), Ok(vec![expected]), "number {number_kind}, text {text_kind}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_a_number_or_a_table_is_refused() {
        let writer = Writer { is_big_endian: false };
        let text = || writer.element(kind::UTF8, b"n01440764");
        for value in [-1.0, 0.5, f64::NAN, f64::INFINITY, 1e10] {
            let file = writer.file(writer.element(kind::DOUBLE, &value.to_le_bytes()), text());
            assert_eq!(synsets(&file), Err(MatError::Damaged("an ILSVRC2012_ID is not a number")), "{value}");
        }
        let file = writer.file(writer.element(kind::DOUBLE, &[0; 16]), text());
        assert_eq!(synsets(&file), Err(MatError::Damaged("an ILSVRC2012_ID is not a number")));
        let file = writer.file(writer.element(kind::UINT8, &[1]), writer.element(kind::UTF8, b"\xff"));
        assert_eq!(synsets(&file), Err(MatError::Damaged("a name is not a text")));
        let good = writer.file(writer.element(kind::UINT8, &[1]), text());
        assert_eq!(synsets(&good[..128]), Err(MatError::NoSynsets));
        assert_eq!(synsets(&good[..127]), Err(MatError::Header));
        assert_eq!(synsets(b"MATLAB 7.3 MAT-file, which is HDF5"), Err(MatError::Header));
        // However many classes are announced, there are no more than bytes.
        let mut many = good.clone();
        let dimensions = good.windows(7).position(|bytes| bytes == b"synsets").expect("the name") - 16;
        many[dimensions..dimensions + 4].copy_from_slice(&60_000u32.to_le_bytes());
        assert_eq!(synsets(&many), Err(MatError::Damaged("the value of a field")));
        many[dimensions..dimensions + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(synsets(&many), Err(MatError::TooLarge("classes")));
    }
}
