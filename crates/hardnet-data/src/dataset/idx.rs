//! Images and labels in IDX files, the format of MNIST and Fashion-MNIST, plain or compressed by gzip.
//!
//! A file is `00 00`, a byte for the type of its values (8: unsigned bytes), a byte for the number of dimensions, each
//! dimension as a big-endian u32, and the values in C order. Images are `[count, rows, columns]` in gray, labels
//! `[count]`. Both are held in memory: the images of a compressed file cannot be read one by one.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;

use super::labels::{LabelRule, Labeling, WrittenLabel, resolve};
use super::{Classes, Dataset, DatasetError, MAX_SAMPLES, Sample};
use crate::{Channels, FileKind, Image};

/// The most bytes of values accepted in an IDX file; EMNIST, the largest of its kind, has 640 MB.
pub const MAX_IDX_BYTES: u64 = 1 << 30;

/// The largest accepted side of an image in an IDX file, in pixels.
const MAX_SIDE: u64 = 4096;

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// One image of an IDX file, which is held in memory as a whole while any of its images is.
///
/// Two are equal if they are the same image of files of the same path.
#[derive(Clone)]
pub struct IdxImage {
    file: Arc<IdxImages>,
    index: usize,
}

struct IdxImages {
    path: PathBuf,
    rows: usize,
    columns: usize,
    values: Vec<u8>,
}

impl IdxImage {
    /// The image, in gray.
    pub fn image(&self) -> Image {
        let IdxImages { rows, columns, values, .. } = &*self.file;
        let length = rows * columns;
        let samples = values[self.index * length..][..length].to_vec();
        Image::new(*columns, *rows, Channels::Gray, samples).expect("the file's sides were checked against its length")
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Which of the file's images it is.
    pub fn index(&self) -> usize {
        self.index
    }
}

impl PartialEq for IdxImage {
    fn eq(&self, other: &Self) -> bool {
        (self.path(), self.index) == (other.path(), other.index)
    }
}

impl Eq for IdxImage {}

impl fmt::Debug for IdxImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdxImage").field("path", &self.path()).field("index", &self.index).finish()
    }
}

/// Error of an IDX file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdxError {
    /// The operating system refuses to read it, or its compressed data is damaged.
    #[error("cannot be read")]
    Io(#[from] io::Error),
    /// It is not a regular file.
    #[error("is {0}, expected a file")]
    NotAFile(FileKind),
    /// It does not begin as an IDX file of unsigned bytes does.
    #[error(
        "begins with the bytes {found:02x?}, expected [00, 00, 08, {dimensions:02x}]: an IDX file of unsigned bytes"
    )]
    Magic {
        /// The first four bytes.
        found: [u8; 4],
        /// Dimensions that were expected: 3 of images, 1 of labels.
        dimensions: u8,
    },
    /// A dimension is 0 or larger than any that is read.
    #[error("has dimension {index} of {value}, expected 1..={limit}")]
    Dimension {
        /// Which, from 0.
        index: usize,
        /// Its value.
        value: u64,
        /// The largest accepted.
        limit: u64,
    },
    /// More values than [`MAX_IDX_BYTES`].
    #[error("announces {bytes} bytes of values, expected at most {limit}")]
    TooLarge {
        /// Values announced.
        bytes: u64,
        /// The most accepted.
        limit: u64,
    },
    /// The file ends before its values do.
    #[error("ends after {found} of {expected} bytes of values; fetch it again")]
    Truncated {
        /// Values that are there.
        found: u64,
        /// Values announced.
        expected: u64,
    },
    /// Bytes follow the values.
    #[error("has more than the {expected} bytes of values that its header announces")]
    TooLong {
        /// Values announced.
        expected: u64,
    },
}

/// Whether `path` is a file that begins as an IDX file does, compressed or not.
pub(super) fn is_idx(path: &Path) -> bool {
    let mut magic = [0; 4];
    let read = open(path).and_then(|mut reader| Ok(reader.read_exact(&mut magic)?));
    read.is_ok() && magic[..3] == [0, 0, 8] && (1..=4).contains(&magic[3])
}

pub(super) fn read(images: &Path, classes: &Classes) -> Result<Dataset, DatasetError> {
    let (dimensions, values) = values::<3>(images)?;
    let [count, rows, columns] = dimensions;
    let labels = labels_path(images)?;
    let ([label_count], label_values) = self::values::<1>(&labels)?;
    if label_count != count {
        return Err(DatasetError::IdxCounts { images: images.into(), labels, image_count: count, label_count });
    }
    let labeling = label(&labels, &label_values, classes)?;
    let file = Arc::new(IdxImages { path: images.into(), rows, columns, values });
    let sample = |(index, &label): (usize, &u8)| {
        let image = IdxImage { file: Arc::clone(&file), index };
        Sample::stored(image, labeling.indices[usize::from(label)])
    };
    let samples = label_values.iter().enumerate().map(sample).collect();
    Ok(Dataset::labeled(samples, labeling, Vec::new()))
}

/// The class of each value that labels may have: the value itself, unless a class map says another.
fn label(path: &Path, values: &[u8], classes: &Classes) -> Result<Labeling, DatasetError> {
    let known = classes.known();
    if known.is_some_and(|known| known.map().is_some()) {
        let mut found = values.to_vec();
        found.sort_unstable();
        found.dedup();
        let texts: Vec<_> = found.iter().map(ToString::to_string).collect();
        let written: Vec<_> = texts.iter().map(|text| WrittenLabel { text, line: None }).collect();
        let resolved = resolve(&written, classes);
        let mut labeling = resolved.map_err(|reason| DatasetError::Labels { path: path.into(), reason })?;
        let mut indices = vec![0; 256];
        found.iter().zip(&labeling.indices).for_each(|(value, index)| indices[usize::from(*value)] = *index);
        labeling.indices = indices;
        return Ok(labeling);
    }
    let largest = values.iter().copied().max().unwrap_or(0);
    let count = known.map_or(usize::from(largest) + 1, |known| known.count);
    if let Some(index) = values.iter().position(|&label| usize::from(label) >= count) {
        return Err(DatasetError::IdxLabel { labels: path.into(), index, label: values[index], classes: count });
    }
    let names = known.and_then(|known| known.names.clone());
    let notes = vec![format!("labels: those of `{}`", path.display())];
    Ok(Labeling { indices: (0..256).collect(), count, names, rule: LabelRule::Indices, notes })
}

/// The dimensions and values of the file `path`.
fn values<const N: usize>(path: &Path) -> Result<([usize; N], Vec<u8>), DatasetError> {
    let read = || parse(open(path)?);
    read().map_err(|source| DatasetError::Idx { path: path.into(), source })
}

/// Opens the content of the file, decompressed if it is compressed.
fn open(path: &Path) -> Result<Box<dyn Read>, IdxError> {
    if let Some(kind) = FileKind::irregular(&std::fs::metadata(path)?) {
        return Err(IdxError::NotAFile(kind));
    }
    let mut file = io::BufReader::new(File::open(path)?);
    let compressed = io::BufRead::fill_buf(&mut file)?.starts_with(&GZIP);
    Ok(if compressed { Box::new(io::BufReader::new(MultiGzDecoder::new(file))) } else { Box::new(file) })
}

/// Reads an IDX file of `N` dimensions of unsigned bytes. Memory grows with what is there, not with what is announced.
fn parse<const N: usize>(mut reader: impl Read) -> Result<([usize; N], Vec<u8>), IdxError> {
    let mut magic = [0; 4];
    fill(&mut reader, &mut magic)?;
    if magic != [0, 0, 8, N as u8] {
        return Err(IdxError::Magic { found: magic, dimensions: N as u8 });
    }
    let mut dimensions = [0; N];
    let mut expected = 1u64;
    for (index, dimension) in dimensions.iter_mut().enumerate() {
        let mut bytes = [0; 4];
        fill(&mut reader, &mut bytes)?;
        let value = u64::from(u32::from_be_bytes(bytes));
        let limit = if index == 0 { MAX_SAMPLES as u64 } else { MAX_SIDE };
        if value == 0 || value > limit {
            return Err(IdxError::Dimension { index, value, limit });
        }
        *dimension = value as usize;
        expected *= value;
    }
    if expected > MAX_IDX_BYTES {
        return Err(IdxError::TooLarge { bytes: expected, limit: MAX_IDX_BYTES });
    }
    let mut values = Vec::new();
    reader.by_ref().take(expected).read_to_end(&mut values)?;
    if (values.len() as u64) < expected {
        return Err(IdxError::Truncated { found: values.len() as u64, expected });
    }
    // A compressed file has its checksum after the last value: reading on verifies it.
    if reader.read(&mut [0])? > 0 {
        return Err(IdxError::TooLong { expected });
    }
    Ok((dimensions, values))
}

/// Fills `bytes` of the header.
fn fill(reader: &mut impl Read, bytes: &mut [u8]) -> Result<(), IdxError> {
    reader.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => IdxError::Truncated { found: 0, expected: 1 },
        _ => error.into(),
    })
}

/// The labels file of a file of images: `images` is `labels` in its name, and `idx3` is `idx1`. Either file may be
/// compressed without the other.
fn labels_path(images: &Path) -> Result<PathBuf, DatasetError> {
    let name = images.file_name().unwrap_or_default().to_string_lossy();
    if !name.contains("images") {
        return Err(DatasetError::IdxName { images: images.into() });
    }
    let name = name.replace("images", "labels").replace("idx3", "idx1");
    let plain = name.strip_suffix(".gz").unwrap_or(&name).to_owned();
    let tried = [name.clone(), plain.clone(), format!("{plain}.gz")].map(|name| images.with_file_name(name));
    let found = tried.iter().find(|path| path.is_file()).cloned();
    found.ok_or_else(|| DatasetError::IdxNoLabels { images: images.into(), expected: tried[0].clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dimensions: &[u32], values: usize) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, dimensions.len() as u8];
        bytes.extend(dimensions.iter().flat_map(|dimension| dimension.to_be_bytes()));
        bytes.extend((0..values).map(|value| value as u8));
        bytes
    }

    #[test]
    fn values_are_read_in_order() {
        let (dimensions, values) = parse::<3>(&file(&[2, 3, 4], 24)[..]).unwrap();
        assert_eq!((dimensions, values), ([2, 3, 4], (0..24).collect()));
    }

    #[test]
    fn hostile_headers_are_errors() {
        let message = |bytes: &[u8]| parse::<3>(bytes).unwrap_err().to_string();
        let table: [(Vec<u8>, &str); 9] = [
            (vec![], "ends after 0 of 1 bytes of values; fetch it again"),
            (file(&[2, 3, 4], 24)[..13].to_vec(), "ends after 0 of 1 bytes of values; fetch it again"),
            (file(&[2, 3, 4], 23), "ends after 23 of 24 bytes of values; fetch it again"),
            (file(&[2, 3, 4], 25), "has more than the 24 bytes of values that its header announces"),
            (
                file(&[6], 6),
                "begins with the bytes [00, 00, 08, 01], expected [00, 00, 08, 03]: an IDX file of unsigned bytes",
            ),
            (
                [&[0, 0, 13, 3][..], &file(&[2, 3, 4], 24)[4..]].concat(),
                "begins with the bytes [00, 00, 0d, 03], expected [00, 00, 08, 03]: an IDX file of unsigned bytes",
            ),
            (file(&[0, 3, 4], 0), "has dimension 0 of 0, expected 1..=4194304"),
            (file(&[2, 3, u32::MAX], 0), "has dimension 2 of 4294967295, expected 1..=4096"),
            (
                file(&[4_194_304, 4096, 4096], 0),
                "announces 70368744177664 bytes of values, expected at most 1073741824",
            ),
        ];
        for (bytes, expected) in table {
            assert_eq!(message(&bytes), expected);
        }
    }
}
