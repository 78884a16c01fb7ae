//! Reads a JPEG that breaks the standard as Pillow reads it.
//!
//! Pillow opens a file by a walk of its own over the segments ([`opening`]), then hands it to libjpeg in pieces of
//! 64 KiB ([`source`]). libjpeg goes on after damage: where a marker comes too early the rest of the interval is gray,
//! an unknown code counts as zero, a missing restart marker is searched for. An image is refused where its data ends
//! before its last row, or where the markers contradict each other. [`markers`] and [`scan`] do the same up to the
//! coefficients; [`rewrite`] stores them as a plain baseline JPEG, which either decoder takes.
//!
//! Two things differ from libjpeg: a progressive image without its last scans is not smoothed, and arithmetic and
//! lossless coding are not read.

mod markers;
mod opening;
mod rewrite;
mod scan;
mod source;
mod tables;

use super::color::Encoding;
use super::malformed;
use super::segments::MAX_SCANS;
use crate::decode::{DecodeError, DecodeLimits, ImageFormat};
use markers::{Frame, Headers, Reached, Scan};
use source::Source;

/// The coefficients of a file, and how it deviates from the standard.
pub(super) struct Rescued {
    frame: Frame,
    pub(super) encoding: Encoding,
    /// There are stray bytes between the segments or after the image data, or the end-of-image marker is missing.
    pub(super) irregular: bool,
    /// Parts of the image are lost.
    pub(super) damaged: bool,
}

/// A file up to the data of its first scan.
struct Begun<'a> {
    source: Source<'a>,
    headers: Headers,
    frame: Frame,
    encoding: Encoding,
    first: Scan,
}

impl<'a> Begun<'a> {
    fn read(bytes: &'a [u8], limits: &DecodeLimits) -> Result<Self, DecodeError> {
        let error = |stop| stop_error(stop, bytes.len());
        opening::check(bytes).map_err(error)?;
        let mut source = Source::new(bytes);
        let mut headers = Headers::default();
        let mut frame = None;
        source.start_of_image().map_err(error)?;
        let first = loop {
            match headers.read(&mut source, &mut frame).map_err(error)? {
                Reached::Scan(first) => break first,
                Reached::End if frame.is_some() => return Err(malformed("the image ends before its data")),
                // Tables without an image may come before the image that uses them.
                Reached::End => {
                    source.start_of_image().map_err(error)?;
                    headers.start_image();
                }
            }
        };
        let mut frame = frame.ok_or_else(|| malformed("the image data comes before its frame header"))?;
        limits.check(ImageFormat::Jpeg, frame.width.into(), frame.height.into())?;
        frame.check().map_err(error)?;
        let ids: Vec<u8> = frame.components.iter().map(|component| component.id).collect();
        let encoding = Encoding::new(&ids, headers.jfif, headers.adobe_transform)?;
        Ok(Begun { source, headers, frame, encoding, first })
    }
}

/// Whether the file follows the standard to the end of its first scan.
pub(super) fn first_scan_is_intact(bytes: &[u8], limits: &DecodeLimits) -> bool {
    let Ok(Begun { mut source, headers, mut frame, first, .. }) = Begun::read(bytes, limits) else { return false };
    let is_read = scan::decode(&mut source, &headers, &mut frame, &first, false).is_ok();
    is_read && source.marker().is_ok() && !source.damaged && !source.irregular
}

impl Rescued {
    /// Reads the coefficients of `bytes`. Those of a sequential image are only kept if `keep` is set.
    pub(super) fn read(bytes: &[u8], limits: &DecodeLimits, keep: bool) -> Result<Rescued, DecodeError> {
        let error = |stop| stop_error(stop, bytes.len());
        let Begun { mut source, mut headers, frame: mut image, encoding, first } = Begun::read(bytes, limits)?;
        let keep = keep || image.progressive;
        let several_scans = image.progressive || first.components.len() < image.components.len();
        scan::decode(&mut source, &headers, &mut image, &first, keep).map_err(error)?;
        let mut frame = Some(image);
        if several_scans {
            let mut scans = 1;
            while let Reached::Scan(scan) = headers.read(&mut source, &mut frame).map_err(error)? {
                scans += 1;
                if scans > MAX_SCANS {
                    return Err(malformed(format!("there are more than {MAX_SCANS} scans")));
                }
                let Some(image) = &mut frame else { break };
                scan::decode(&mut source, &headers, image, &scan, keep).map_err(error)?;
            }
        } else {
            // All rows are complete. What follows matters only as far as it was loaded together with them.
            source.stop_loading();
            match headers.read(&mut source, &mut frame) {
                Ok(Reached::End) => {}
                Ok(Reached::Scan(_)) => return Err(malformed("a second scan follows a complete image")),
                Err(Stop::Ended) => source.irregular = true,
                Err(stop) => return Err(error(stop)),
            }
        }
        let Source { irregular, damaged, .. } = source;
        let frame = frame.ok_or_else(|| malformed("there is no frame header"))?;
        Ok(Rescued { frame, encoding, irregular, damaged })
    }

    pub(super) fn size(&self) -> (u16, u16) {
        (self.frame.width, self.frame.height)
    }

    pub(super) fn component_count(&self) -> usize {
        self.frame.components.len()
    }

    /// Sampling factors of the components, across and down.
    pub(super) fn sampling(&self) -> Vec<(usize, usize)> {
        self.frame.components.iter().map(|component| component.sampling).collect()
    }

    /// Writes the image as a baseline JPEG in one scan, with the segments `first` in front.
    pub(super) fn rewrite(&self, first: &[u8], data: &mut Vec<u8>) -> Result<(), DecodeError> {
        rewrite::rewrite(&self.frame, first, data)
    }
}

/// Why reading ends.
enum Stop {
    /// The data is used up.
    Ended,
    /// The data contradicts the standard in a way that libjpeg refuses.
    Malformed(String),
    /// The data needs a feature that is not supported.
    Unsupported(String),
}

fn stop_error(stop: Stop, len: usize) -> DecodeError {
    let format = ImageFormat::Jpeg;
    match stop {
        Stop::Ended => DecodeError::Truncated { format, len, missing: "rest of the image data" },
        Stop::Malformed(reason) => malformed(reason),
        Stop::Unsupported(feature) => DecodeError::Unsupported { format, feature },
    }
}
