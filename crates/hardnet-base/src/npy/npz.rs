//! Archives of arrays, as `numpy.savez` writes them: a zip file of stored `.npy` files.

use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use crc32fast::Hasher;

use super::{ElementType, header};

/// The largest size or offset that Python's `zipfile` writes in 32 bits.
const LARGEST_32: u64 = (1 << 31) - 1;

/// In place of a size or offset that a zip64 field has.
const IN_ZIP64: u32 = u32::MAX;

/// Version of the format that has zip64 fields: 4.5.
const ZIP64_VERSION: u16 = 45;

/// Bytes of an entry's header before its name.
const LOCAL_HEADER: u64 = 30;

/// Where the checksum is in it.
const CHECKSUM: u64 = 14;

/// January 1, 1980, the first day of the format.
const DATE: u16 = 1 << 5 | 1;

/// Writes arrays into a file as `numpy.savez` does; `numpy.load` reads it.
///
/// ```
/// use std::io::{Cursor, Write};
///
/// use hardnet_base::npy::{ElementType, NpzWriter};
///
/// # fn main() -> std::io::Result<()> {
/// let mut writer = NpzWriter::new(Cursor::new(Vec::new()));
/// writer.array("levels", ElementType::U8, &[3], |out| out.write_all(&[1, 2, 3]))?;
/// let file = writer.finish()?.into_inner();
/// assert_eq!(&file[..2], b"PK");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct NpzWriter<W> {
    out: W,
    /// Bytes written.
    length: u64,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    checksum: u32,
    size: u64,
    offset: u64,
}

impl<W: Write + Seek> NpzWriter<W> {
    /// Starts an archive at the beginning of `out`, which is empty.
    pub fn new(out: W) -> Self {
        Self { out, length: 0, entries: Vec::new() }
    }

    /// Adds the array `name`, whose values `write` gives.
    ///
    /// # Errors
    ///
    /// Those of the file and of `write`; `InvalidData` where it gives more or fewer bytes than `shape` has.
    pub fn array(
        &mut self,
        name: &str,
        element: ElementType,
        shape: &[usize],
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let head = header(element, shape);
        let values = shape.iter().try_fold(element.size() as u64, |size, &extent| size.checked_mul(extent as u64));
        let size = values.and_then(|values| values.checked_add(head.len() as u64));
        let size = size.ok_or_else(|| invalid(format!("array `{name}` has more bytes than a file can have")))?;
        let mut entry = Entry { name: format!("{name}.npy"), checksum: 0, size, offset: self.length };
        self.out.write_all(&entry.local_header())?;
        let mut values = Counted { out: &mut self.out, checksum: Hasher::new(), written: 0 };
        values.write_all(&head)?;
        write(&mut values)?;
        let (written, checksum) = (values.written, values.checksum.finalize());
        if written != size {
            return Err(invalid(format!("array `{name}` has {written} bytes with its header, expected {size}")));
        }
        entry.checksum = checksum;
        self.length += entry.local_header().len() as u64 + size;
        self.out.seek(SeekFrom::Start(entry.offset + CHECKSUM))?;
        self.out.write_all(&checksum.to_le_bytes())?;
        self.out.seek(SeekFrom::Start(self.length))?;
        self.entries.push(entry);
        Ok(())
    }

    /// Adds the array `name` of texts.
    ///
    /// # Errors
    ///
    /// Those of the file.
    pub fn texts<'a>(&mut self, name: &str, texts: impl Iterator<Item = &'a str> + Clone) -> io::Result<()> {
        let (count, characters) =
            texts.clone().fold((0, 0), |(count, most), text| (count + 1, most.max(text.chars().count())));
        self.text_array(name, (count, characters), |add| texts.into_iter().try_for_each(add))
    }

    /// Adds the array `name` of `count` texts of at most `characters` characters each, which `write` gives one by one.
    ///
    /// # Errors
    ///
    /// Those of the file and of `write`; `InvalidData` where it gives more or fewer texts, or a longer one.
    pub fn text_array(
        &mut self,
        name: &str,
        (count, characters): (usize, usize),
        write: impl FnOnce(&mut dyn FnMut(&str) -> io::Result<()>) -> io::Result<()>,
    ) -> io::Result<()> {
        // NumPy has no text of no characters.
        let characters = characters.max(1);
        self.array(name, ElementType::Text(characters), &[count], |out| {
            // The file gets pieces of a fair size.
            let mut out = BufWriter::new(out);
            write(&mut |text| write_text(&mut out, text, characters))?;
            out.flush()
        })
    }

    /// Completes the archive and returns the file, which has been flushed.
    ///
    /// # Errors
    ///
    /// Those of the file.
    pub fn finish(self) -> io::Result<W> {
        let Self { mut out, length: directory, entries } = self;
        let records: Vec<u8> = entries.iter().flat_map(Entry::directory_record).collect();
        out.write_all(&records)?;
        let (count, size) = (entries.len() as u64, records.len() as u64);
        if directory > LARGEST_32 {
            let mut end = b"PK\x06\x06".to_vec();
            end.extend(44u64.to_le_bytes());
            end.extend([ZIP64_VERSION; 2].iter().flat_map(|version| version.to_le_bytes()));
            end.extend([0; 8]);
            end.extend([count, count, size, directory].iter().flat_map(|number| number.to_le_bytes()));
            end.extend(b"PK\x06\x07\0\0\0\0");
            end.extend((directory + size).to_le_bytes());
            end.extend(1u32.to_le_bytes());
            out.write_all(&end)?;
        }
        let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
        end.extend([count.min(0xffff) as u16; 2].iter().flat_map(|count| count.to_le_bytes()));
        end.extend([size, directory].iter().flat_map(|&number| (number.min(IN_ZIP64.into()) as u32).to_le_bytes()));
        end.extend([0; 2]);
        out.write_all(&end)?;
        out.flush()?;
        Ok(out)
    }
}

impl Entry {
    /// The bytes before the content; their length does not depend on the checksum.
    fn local_header(&self) -> Vec<u8> {
        let mut bytes = b"PK\x03\x04".to_vec();
        bytes.extend(self.common(IN_ZIP64, IN_ZIP64, 20));
        bytes.extend(self.name.as_bytes());
        bytes.extend([1u16, 16].iter().flat_map(|number| number.to_le_bytes()));
        bytes.extend([self.size; 2].iter().flat_map(|size| size.to_le_bytes()));
        debug_assert_eq!(bytes.len() as u64, LOCAL_HEADER + self.name.len() as u64 + 20);
        bytes
    }

    /// The entry in the directory at the end.
    fn directory_record(&self) -> Vec<u8> {
        let (mut large, mut fields) = (Vec::new(), [0; 2]);
        if self.size > LARGEST_32 {
            large.extend([self.size; 2]);
        }
        if self.offset > LARGEST_32 {
            large.push(self.offset);
        }
        for (field, number) in fields.iter_mut().zip([self.size, self.offset]) {
            *field = if number > LARGEST_32 { IN_ZIP64 } else { number as u32 };
        }
        let [size, offset] = fields;
        let extra = if large.is_empty() { 0 } else { 4 + 8 * large.len() as u16 };
        let mut bytes = b"PK\x01\x02".to_vec();
        // Made on Unix, whose permissions follow below.
        bytes.extend([ZIP64_VERSION as u8, 3]);
        bytes.extend(self.common(size, size, extra));
        // Without comment, on the first disk, not text.
        bytes.extend([0; 6]);
        bytes.extend((0o600u32 << 16).to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        bytes.extend(self.name.as_bytes());
        if extra > 0 {
            bytes.extend([1, extra - 4].iter().flat_map(|number| number.to_le_bytes()));
            bytes.extend(large.iter().flat_map(|number| number.to_le_bytes()));
        }
        bytes
    }

    /// The fields of both headers: version, flags, method, time, checksum, sizes and lengths.
    fn common(&self, compressed: u32, size: u32, extra: u16) -> Vec<u8> {
        // Stored without compression at midnight.
        let mut bytes: Vec<u8> = [ZIP64_VERSION, 0, 0, 0, DATE].iter().flat_map(|field| field.to_le_bytes()).collect();
        bytes.extend([self.checksum, compressed, size].iter().flat_map(|field| field.to_le_bytes()));
        bytes.extend([self.name.len() as u16, extra].iter().flat_map(|field| field.to_le_bytes()));
        bytes
    }
}

/// Counts and sums what passes.
struct Counted<'a, W> {
    out: &'a mut W,
    checksum: Hasher,
    written: u64,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.checksum.update(&bytes[..written]);
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Writes `text` as one element with room for `characters`, filled up with zeros.
fn write_text(out: &mut impl Write, text: &str, characters: usize) -> io::Result<()> {
    if text.chars().count() > characters {
        return Err(invalid(format!("the text `{text}` has more than {characters} characters")));
    }
    let mut bytes = vec![0; 4 * characters];
    let elements = bytes.chunks_exact_mut(4).zip(text.chars());
    elements.for_each(|(bytes, character)| bytes.copy_from_slice(&u32::from(character).to_le_bytes()));
    out.write_all(&bytes)
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::super::f32_bytes;
    use super::*;

    /// The archive that `numpy.savez` wrote: `tests/numpy/make.py`.
    #[test]
    fn archives_are_those_that_numpy_saves() {
        let mut writer = NpzWriter::new(Cursor::new(Vec::new()));
        let floats: Vec<f32> = (0..6).map(|value| value as f32 / 7.0).collect();
        writer.array("embeddings", ElementType::F32, &[3, 2], |out| out.write_all(&f32_bytes(&floats))).unwrap();
        let names = ["cat/0.png", "", "fox/\u{e9}\u{1f98a}.png"];
        writer.texts("names", names.into_iter()).unwrap();
        let labels: Vec<u8> = [0i64, 0, 2].iter().flat_map(|label| label.to_le_bytes()).collect();
        writer.array("labels", ElementType::I64, &[3], |out| out.write_all(&labels)).unwrap();
        assert_eq!(writer.finish().unwrap().into_inner(), include_bytes!("../../tests/numpy/arrays.npz"));
    }

    #[test]
    fn texts_are_padded_by_zeros() {
        let mut file = header(ElementType::Text(10), &[3]);
        ["cat/0.png", "", "fox/\u{e9}\u{1f98a}.png"].iter().for_each(|name| write_text(&mut file, name, 10).unwrap());
        assert_eq!(file, include_bytes!("../../tests/numpy/names.npy"));
    }

    #[test]
    fn values_must_be_as_many_as_the_shape_says() {
        for bytes in [0, 3, 5] {
            let mut writer = NpzWriter::new(Cursor::new(Vec::new()));
            let error = writer.array("a", ElementType::U8, &[4], |out| out.write_all(&vec![0; bytes])).unwrap_err();
            assert!(error.to_string().starts_with("array `a` has "), "{error}");
        }
        let mut writer = NpzWriter::new(Cursor::new(Vec::new()));
        assert!(writer.array("a", ElementType::F32, &[usize::MAX, 2], |_| Ok(())).is_err());
        for texts in [vec!["ab"], vec!["a", "b", "c"], vec!["a", "bcd"]] {
            let error = writer.text_array("a", (2, 2), |add| texts.iter().try_for_each(|text| add(text)));
            assert_eq!(error.unwrap_err().kind(), io::ErrorKind::InvalidData, "{texts:?}");
        }
    }

    /// A file without its zeros, which has only the bytes that are not part of a long run of them.
    #[derive(Default)]
    struct Sparse {
        at: u64,
        parts: Vec<(u64, Vec<u8>)>,
    }

    impl Write for Sparse {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if bytes.len() < 4096 {
                self.parts.push((self.at, bytes.to_vec()));
            }
            self.at += bytes.len() as u64;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Seek for Sparse {
        fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
            let SeekFrom::Start(at) = position else { unreachable!("the writer seeks from the start") };
            self.at = at;
            Ok(at)
        }
    }

    /// The ends of an archive of more than 2 GiB that `numpy.savez` wrote: `tests/numpy/make.py`.
    #[test]
    fn archives_of_more_than_2_gib_have_wide_fields() {
        let expected: serde_json::Value = serde_json::from_str(include_str!("../../tests/numpy/large.json")).unwrap();
        let rows = expected["rows"].as_u64().unwrap() as usize;
        let mut writer = NpzWriter::new(Sparse::default());
        let zeros = vec![0; 1 << 20];
        let write = |out: &mut dyn Write| (0..rows).try_for_each(|_| out.write_all(&zeros));
        writer.array("zeros", ElementType::U8, &[rows, 1 << 20], write).unwrap();
        writer.array("after", ElementType::U8, &[2], |out| out.write_all(&[1, 2])).unwrap();
        let file = writer.finish().unwrap();
        for part in expected["parts"].as_array().unwrap() {
            let at = part["at"].as_u64().unwrap();
            let bytes = part["hex"].as_str().unwrap();
            let mut found = vec![0; bytes.len() / 2];
            for (start, written) in &file.parts {
                for (offset, byte) in written.iter().enumerate() {
                    let place = start + offset as u64;
                    if let Some(slot) = place.checked_sub(at).and_then(|index| found.get_mut(index as usize)) {
                        *slot = *byte;
                    }
                }
            }
            assert_eq!(crate::hex(&found), bytes, "at {at}");
        }
    }
}
