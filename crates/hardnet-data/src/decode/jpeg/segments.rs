//! The marker structure of a JPEG (ITU-T T.81, annex B), walked without decoding.
//!
//! The walk reads what the header says of size and color and finds where the image ends. Pillow refuses a file whose
//! end-of-image marker cannot be reached this way; so do we.

use std::ops::Range;

use super::malformed;
use crate::decode::{DecodeError, ImageFormat};

/// Marker codes, the byte after `0xFF`.
mod marker {
    pub(super) const TEM: u8 = 0x01;
    pub(super) const SOF0: u8 = 0xC0;
    pub(super) const SOF2: u8 = 0xC2;
    pub(super) const SOF3: u8 = 0xC3;
    pub(super) const DHT: u8 = 0xC4;
    pub(super) const SOF5: u8 = 0xC5;
    pub(super) const SOF7: u8 = 0xC7;
    pub(super) const SOF9: u8 = 0xC9;
    pub(super) const SOF11: u8 = 0xCB;
    pub(super) const SOF13: u8 = 0xCD;
    pub(super) const SOF15: u8 = 0xCF;
    pub(super) const RST0: u8 = 0xD0;
    pub(super) const RST7: u8 = 0xD7;
    pub(super) const SOI: u8 = 0xD8;
    pub(super) const EOI: u8 = 0xD9;
    pub(super) const SOS: u8 = 0xDA;
    pub(super) const DQT: u8 = 0xDB;
    pub(super) const DRI: u8 = 0xDD;
    pub(super) const APP0: u8 = 0xE0;
    pub(super) const APP14: u8 = 0xEE;
    pub(super) const APP15: u8 = 0xEF;
    pub(super) const COM: u8 = 0xFE;
}

/// Most scans of a progressive image; each costs a pass over all of it. Encoders write about ten.
const MAX_SCANS: usize = 100;

/// Content and ranges of the segments that a decoder needs.
pub(super) struct JpegLayout {
    /// Columns in pixels.
    pub(super) width: u16,
    /// Rows in pixels.
    pub(super) height: u16,
    /// Identifiers of the components, in frame order.
    pub(super) component_ids: Vec<u8>,
    /// Whether a JFIF segment is present.
    pub(super) jfif: bool,
    /// The color transform of Adobe's segment, if present.
    pub(super) adobe_transform: Option<u8>,
    /// Segments before the first scan that a decoder needs, markers included.
    essentials: Vec<Range<usize>>,
    /// From the first scan's marker to the end of its image's entropy-coded data.
    scans: Range<usize>,
}

impl JpegLayout {
    /// Walks `bytes` from its start-of-image marker to its end-of-image marker.
    pub(super) fn read(bytes: &[u8]) -> Result<JpegLayout, DecodeError> {
        let mut walk = Walk { bytes, position: 2 };
        let mut frame: Option<Frame> = None;
        let mut essentials = Vec::new();
        let (mut jfif, mut adobe_transform) = (false, None);
        loop {
            let (start, code) = walk.next_marker("start of scan")?;
            if matches!(code, marker::TEM | marker::RST0..=marker::RST7) {
                continue;
            }
            if matches!(code, marker::SOI | marker::EOI) {
                return Err(malformed(format!("marker `0xff{code:02x}` comes before the image data")));
            }
            let payload = walk.segment()?;
            match code {
                marker::SOS => {
                    let frame = frame.ok_or_else(|| malformed("the image data comes before its frame header"))?;
                    let interleaved = payload.first().is_some_and(|&count| usize::from(count) == frame.ids.len());
                    let end = walk.end_of_scans(frame.progressive, interleaved, frame.ids.len())?;
                    return Ok(JpegLayout {
                        width: frame.width,
                        height: frame.height,
                        component_ids: frame.ids,
                        jfif,
                        adobe_transform,
                        essentials,
                        scans: start..end,
                    });
                }
                marker::SOF0..=marker::SOF2 => {
                    if frame.replace(Frame::read(code, payload)?).is_some() {
                        return Err(malformed("there are two frame headers"));
                    }
                    essentials.push(start..walk.position);
                }
                marker::DHT | marker::DQT | marker::DRI => essentials.push(start..walk.position),
                marker::SOF3
                | marker::SOF5..=marker::SOF7
                | marker::SOF9..=marker::SOF11
                | marker::SOF13..=marker::SOF15 => {
                    let feature = match code {
                        marker::SOF3 => "lossless coding",
                        marker::SOF5..=marker::SOF7 => "hierarchical coding",
                        _ => "arithmetic coding",
                    };
                    return Err(DecodeError::Unsupported { format: ImageFormat::Jpeg, feature: feature.to_owned() });
                }
                // The thresholds of libjpeg, below which it takes the segment for someone else's. Motion JPEG is told
                // by its APP0 and may then lack Huffman tables.
                marker::APP0 => {
                    jfif |= payload.len() >= 14 && payload.starts_with(b"JFIF\0");
                    essentials.push(start..walk.position);
                }
                marker::APP14 if payload.len() >= 12 && payload.starts_with(b"Adobe") => {
                    adobe_transform = Some(payload[11]);
                }
                _ => {}
            }
        }
    }

    /// Writes the file reduced to what a decoder needs, behind `first`: no application data, no comments, nothing
    /// behind the image.
    pub(super) fn essential(&self, bytes: &[u8], first: &[u8], data: &mut Vec<u8>) {
        data.clear();
        data.reserve_exact(bytes.len() + first.len() + 4);
        data.extend_from_slice(&[0xFF, marker::SOI]);
        data.extend_from_slice(first);
        for range in self.essentials.iter().chain([&self.scans]) {
            data.extend_from_slice(&bytes[range.clone()]);
        }
        data.extend_from_slice(&[0xFF, marker::EOI]);
    }
}

/// The frame header (T.81 B.2.2).
struct Frame {
    width: u16,
    height: u16,
    ids: Vec<u8>,
    progressive: bool,
}

impl Frame {
    fn read(code: u8, payload: &[u8]) -> Result<Frame, DecodeError> {
        let Some((&[precision, h1, h0, w1, w0, count], components)) = payload.split_first_chunk() else {
            return Err(malformed("the frame header is too short"));
        };
        if precision != 8 {
            let feature = format!("{precision} bits a sample");
            return Err(DecodeError::Unsupported { format: ImageFormat::Jpeg, feature });
        }
        let (components, rest) = components.as_chunks::<3>();
        if components.len() != usize::from(count) || !rest.is_empty() {
            return Err(malformed(format!("the frame header is not as long as {count} components need")));
        }
        Ok(Frame {
            width: u16::from_be_bytes([w1, w0]),
            height: u16::from_be_bytes([h1, h0]),
            ids: components.iter().map(|&[id, ..]| id).collect(),
            progressive: code == marker::SOF2,
        })
    }
}

/// A position among the segments.
struct Walk<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Walk<'a> {
    /// The next marker, over junk and fill bytes: where its (last) `0xFF` is, and its code. The position is then behind
    /// it.
    fn next_marker(&mut self, missing: &'static str) -> Result<(usize, u8), DecodeError> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let found = rest.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xFF));
        let start = self.position + found.ok_or_else(|| self.truncated(missing))?;
        self.position = start + 2;
        Ok((start, self.bytes[start + 1]))
    }

    /// The payload of the segment whose marker was just read. The position is then behind it.
    fn segment(&mut self) -> Result<&'a [u8], DecodeError> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let (length, _) = rest.split_first_chunk().ok_or_else(|| self.truncated("segment length"))?;
        let length = usize::from(u16::from_be_bytes(*length));
        if length < 2 {
            return Err(malformed(format!("a segment has length {length}, expected at least 2")));
        }
        let payload = rest.get(2..length).ok_or_else(|| self.truncated("rest of a segment"))?;
        self.position += length;
        Ok(payload)
    }

    /// From behind the first scan header to the end of the last scan's data.
    ///
    /// A sequential image in one `interleaved` scan ends with the first marker other than a restart; between it and
    /// the end-of-image marker only comments and application data may stand. All others have more scans.
    fn end_of_scans(&mut self, progressive: bool, interleaved: bool, components: usize) -> Result<usize, DecodeError> {
        let one_scan = interleaved && !progressive;
        let max_scans = if progressive { MAX_SCANS } else { components };
        let mut scans = 1;
        let mut end = None;
        loop {
            let behind_segment = self.position;
            let (start, code) = self.next_marker("end of image")?;
            if end.is_some() && start != behind_segment {
                return Err(malformed("a segment interrupts the image data"));
            }
            match code {
                marker::EOI => return Ok(end.unwrap_or(start)),
                marker::TEM | marker::RST0..=marker::RST7 => continue,
                marker::COM | marker::APP0..=marker::APP15 if one_scan => {
                    end.get_or_insert(start);
                }
                marker::SOS if !one_scan => {
                    scans += 1;
                    if scans > max_scans {
                        return Err(malformed(format!("there are more than {max_scans} scans")));
                    }
                }
                marker::DHT | marker::DQT | marker::DRI | marker::COM | marker::APP0..=marker::APP15 if !one_scan => {}
                _ => return Err(malformed(format!("marker `0xff{code:02x}` interrupts the image data"))),
            }
            self.segment()?;
        }
    }

    fn truncated(&self, missing: &'static str) -> DecodeError {
        DecodeError::Truncated { format: ImageFormat::Jpeg, len: self.bytes.len(), missing }
    }
}
