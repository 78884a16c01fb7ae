//! The marker structure of a JPEG (ITU-T T.81, annex B), walked without decoding.
//!
//! The walk reads what the header says of size and color and finds where the image ends. It accepts files that follow
//! the standard; of others it gives an error, and [`rescue`](super::rescue) decides.

use std::ops::Range;

use super::{END_OF_IMAGE, malformed};
use crate::decode::{DecodeError, ImageFormat};

/// Marker codes, the byte after `0xFF`.
pub(super) mod marker {
    pub(in crate::decode::jpeg) const TEM: u8 = 0x01;
    pub(in crate::decode::jpeg) const SOF0: u8 = 0xC0;
    pub(in crate::decode::jpeg) const SOF1: u8 = 0xC1;
    pub(in crate::decode::jpeg) const SOF2: u8 = 0xC2;
    pub(in crate::decode::jpeg) const SOF3: u8 = 0xC3;
    pub(in crate::decode::jpeg) const DHT: u8 = 0xC4;
    pub(in crate::decode::jpeg) const SOF5: u8 = 0xC5;
    pub(in crate::decode::jpeg) const SOF7: u8 = 0xC7;
    pub(in crate::decode::jpeg) const JPG: u8 = 0xC8;
    pub(in crate::decode::jpeg) const SOF9: u8 = 0xC9;
    pub(in crate::decode::jpeg) const SOF11: u8 = 0xCB;
    pub(in crate::decode::jpeg) const DAC: u8 = 0xCC;
    pub(in crate::decode::jpeg) const SOF13: u8 = 0xCD;
    pub(in crate::decode::jpeg) const SOF15: u8 = 0xCF;
    pub(in crate::decode::jpeg) const RST0: u8 = 0xD0;
    pub(in crate::decode::jpeg) const RST7: u8 = 0xD7;
    pub(in crate::decode::jpeg) const SOI: u8 = 0xD8;
    pub(in crate::decode::jpeg) const EOI: u8 = 0xD9;
    pub(in crate::decode::jpeg) const SOS: u8 = 0xDA;
    pub(in crate::decode::jpeg) const DQT: u8 = 0xDB;
    pub(in crate::decode::jpeg) const DNL: u8 = 0xDC;
    pub(in crate::decode::jpeg) const DRI: u8 = 0xDD;
    pub(in crate::decode::jpeg) const EXP: u8 = 0xDF;
    pub(in crate::decode::jpeg) const APP0: u8 = 0xE0;
    pub(in crate::decode::jpeg) const APP2: u8 = 0xE2;
    pub(in crate::decode::jpeg) const APP14: u8 = 0xEE;
    pub(in crate::decode::jpeg) const APP15: u8 = 0xEF;
    pub(in crate::decode::jpeg) const JPG0: u8 = 0xF0;
    pub(in crate::decode::jpeg) const JPG13: u8 = 0xFD;
    pub(in crate::decode::jpeg) const COM: u8 = 0xFE;
}

/// Most scans of a progressive image; each costs a pass over all of it. Encoders write about ten.
pub(super) const MAX_SCANS: usize = 100;

/// Content and ranges of the segments that a decoder needs.
pub(super) struct JpegLayout {
    /// Columns in pixels.
    pub(super) width: u16,
    /// Rows in pixels.
    pub(super) height: u16,
    /// Identifiers of the components, in frame order.
    pub(super) component_ids: Vec<u8>,
    /// Their sampling factors, across and down.
    pub(super) sampling: Vec<(usize, usize)>,
    /// Whether a JFIF segment is present.
    pub(super) jfif: bool,
    /// The color transform of Adobe's segment, if present.
    pub(super) adobe_transform: Option<u8>,
    /// Stray bytes stand between the segments.
    pub(super) irregular: bool,
    /// The image data may be incomplete or followed by other bytes.
    pub(super) suspicious: bool,
    /// Whether all components are in one sequential scan.
    pub(super) one_scan: bool,
    pub(super) progressive: bool,
    /// Scans of a progressive image are missing.
    pub(super) incomplete: bool,
    /// Segments before the first scan that a decoder needs, markers included.
    essentials: Vec<Range<usize>>,
    /// From the first scan's marker to the end of its image's entropy-coded data.
    scans: Range<usize>,
    /// The ends of the intervals whose data a decoder finds complete or not: all of one sequential scan, those of the
    /// later scans of a progressive image.
    intervals: Vec<usize>,
}

impl JpegLayout {
    /// Walks `bytes` from its start-of-image marker to its end-of-image marker.
    pub(super) fn read(bytes: &[u8]) -> Result<JpegLayout, DecodeError> {
        let mut walk = Walk { bytes, position: 2, irregular: false };
        let mut frame: Option<Frame> = None;
        let mut essentials = Vec::new();
        let (mut jfif, mut adobe_transform, mut restart_interval) = (false, None, 0);
        loop {
            let (start, code) = walk.next_marker("start of scan")?;
            if matches!(code, marker::RST0..=marker::RST7) {
                walk.irregular = true;
                continue;
            }
            if code == marker::JPG
                || !matches!(code, marker::SOF0..=marker::DAC | marker::SOF13..=marker::SOF15 | marker::SOS..=marker::DRI)
                    && !matches!(code, marker::APP0..=marker::APP15 | marker::COM)
            {
                return Err(malformed(format!("marker `0xff{code:02x}` comes before the image data")));
            }
            let payload = walk.segment()?;
            match code {
                marker::SOS => {
                    let frame = frame.ok_or_else(|| malformed("the image data comes before its frame header"))?;
                    let irregular = walk.irregular;
                    let Ending { data, suspicious, one_scan, incomplete, intervals } =
                        walk.ending(&frame, payload, restart_interval)?;
                    return Ok(JpegLayout {
                        width: frame.width,
                        height: frame.height,
                        component_ids: frame.components.iter().map(|&[id, ..]| id).collect(),
                        sampling: frame.components.iter().map(sampling).collect(),
                        jfif,
                        adobe_transform,
                        irregular,
                        suspicious,
                        one_scan,
                        progressive: frame.progressive,
                        incomplete,
                        essentials,
                        scans: start..data,
                        intervals,
                    });
                }
                marker::SOF0..=marker::SOF2 => {
                    if frame.replace(Frame::read(code, payload)?).is_some() {
                        return Err(malformed("there are two frame headers"));
                    }
                    essentials.push(start..walk.position);
                }
                marker::DHT | marker::DQT | marker::DRI => {
                    if let (marker::DRI, &[high, low]) = (code, payload) {
                        restart_interval = usize::from(u16::from_be_bytes([high, low]));
                    }
                    essentials.push(start..walk.position);
                }
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

    /// Writes the file reduced to what a decoder needs, behind the segments `first`: no application data, no comments
    /// before the image, nothing after it. `padding` follows the data of each interval; the result has the positions
    /// after it.
    pub(super) fn essential(&self, bytes: &[u8], first: &[u8], padding: &[u8], data: &mut Vec<u8>) -> Vec<usize> {
        data.clear();
        data.reserve_exact(bytes.len() + first.len() + self.intervals.len() * padding.len() + 4);
        data.extend_from_slice(&[0xFF, marker::SOI]);
        data.extend_from_slice(first);
        for range in &self.essentials {
            data.extend_from_slice(&bytes[range.clone()]);
        }
        let mut start = self.scans.start;
        let mut ends = Vec::with_capacity(self.intervals.len());
        for &end in &self.intervals {
            data.extend_from_slice(&bytes[start..end]);
            data.extend_from_slice(padding);
            ends.push(data.len());
            start = end;
        }
        data.extend_from_slice(&bytes[start..self.scans.end]);
        data.extend_from_slice(END_OF_IMAGE);
        ends
    }
}

/// Where the image data ends, and whether it looks complete.
struct Ending {
    data: usize,
    suspicious: bool,
    one_scan: bool,
    incomplete: bool,
    intervals: Vec<usize>,
}

/// The frame header (T.81 B.2.2).
struct Frame {
    width: u16,
    height: u16,
    /// Identifier, sampling factors and quantization table.
    components: Vec<[u8; 3]>,
    progressive: bool,
}

/// The sampling factors of a component, across and down.
fn sampling(&[_, factors, _]: &[u8; 3]) -> (usize, usize) {
    (usize::from(factors >> 4), usize::from(factors & 15))
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
            components: components.to_vec(),
            progressive: code == marker::SOF2,
        })
    }

    /// Restart markers of one scan of all components.
    fn restarts(&self, interval: usize) -> usize {
        let factors = |shift: u8| match self.components[..] {
            [_] => 1,
            _ => self.components.iter().map(|&[_, factors, _]| usize::from(factors >> shift & 15)).max().unwrap_or(1),
        };
        let groups = |side: u16, factor: usize| usize::from(side).div_ceil(8 * factor.max(1));
        let groups = groups(self.width, factors(4)) * groups(self.height, factors(0));
        if interval == 0 { 0 } else { groups.div_ceil(interval).saturating_sub(1) }
    }
}

/// How far the scans of a progressive image have refined each coefficient.
struct Progress(Vec<(u8, [u8; 64])>);

impl Progress {
    const NONE: u8 = u8::MAX;

    fn new(frame: &Frame) -> Self {
        Progress(frame.components.iter().map(|&[id, ..]| (id, [Self::NONE; 64])).collect())
    }

    /// Takes note of a scan header.
    fn add(&mut self, payload: &[u8]) {
        let Some((&count, rest)) = payload.split_first() else { return };
        let Some((components, &[first, last, bits])) = rest.split_at_checked(2 * usize::from(count)) else { return };
        for (id, refined) in &mut self.0 {
            if components.as_chunks::<2>().0.iter().any(|[named, _]| named == id) {
                let band = refined.get_mut(usize::from(first)..=usize::from(last));
                band.into_iter().flatten().for_each(|bit| *bit = bits & 15);
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.0.iter().all(|(_, refined)| refined.iter().all(|&bit| bit == 0))
    }
}

/// A position among the segments.
struct Walk<'a> {
    bytes: &'a [u8],
    position: usize,
    /// Stray bytes were stepped over.
    irregular: bool,
}

impl<'a> Walk<'a> {
    /// The next marker, over junk and fill bytes: where its (last) `0xFF` is, and its code. The position is then after
    /// it.
    fn next_marker(&mut self, missing: &'static str) -> Result<(usize, u8), DecodeError> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let found = find_marker(rest).ok_or_else(|| self.truncated(missing))?;
        self.irregular |= rest[..found].iter().any(|&byte| byte != 0xFF);
        let start = self.position + found;
        self.position = start + 2;
        Ok((start, self.bytes[start + 1]))
    }

    /// The payload of the segment whose marker was just read. The position is then after it.
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

    /// From the end of the first scan header to the end of the last scan's data.
    ///
    /// A sequential image in one scan of all components ends with the first marker other than a restart; between it
    /// and the end-of-image marker only comments and application data may stand. All others have more scans.
    fn ending(&mut self, frame: &Frame, header: &[u8], restart_interval: usize) -> Result<Ending, DecodeError> {
        let components = frame.components.len();
        let interleaved = header.first().is_some_and(|&count| usize::from(count) == components);
        let one_scan = interleaved && !frame.progressive;
        let max_scans = if frame.progressive { MAX_SCANS } else { components };
        let mut progress = Progress::new(frame);
        progress.add(header);
        let (mut scans, mut restarts, mut suspicious, mut end) = (1, 0_usize, false, None);
        let (mut intervals, mut is_data) = (Vec::new(), true);
        let data = loop {
            let behind_segment = self.position;
            let (start, code) = self.next_marker("end of image")?;
            if end.is_some() && start != behind_segment {
                return Err(malformed("a segment interrupts the image data"));
            }
            let is_restart = matches!(code, marker::RST0..=marker::RST7);
            if is_data && (one_scan || frame.progressive && scans > 1) {
                intervals.push(start);
            }
            is_data = is_restart || code == marker::SOS;
            match code {
                marker::EOI => break end.unwrap_or(start),
                _ if is_restart => {
                    suspicious |= usize::from(code - marker::RST0) != restarts % 8;
                    restarts += 1;
                    continue;
                }
                marker::COM | marker::APP0..=marker::APP15 if one_scan => {
                    end.get_or_insert(start);
                }
                marker::SOS if !one_scan => {
                    (scans, restarts) = (scans + 1, 0);
                    if scans > max_scans {
                        return Err(malformed(format!("there are more than {max_scans} scans")));
                    }
                    progress.add(self.segment()?);
                    continue;
                }
                marker::DHT | marker::DQT | marker::DRI | marker::COM | marker::APP0..=marker::APP15 if !one_scan => {}
                _ => return Err(malformed(format!("marker `0xff{code:02x}` interrupts the image data"))),
            }
            self.segment()?;
        };
        suspicious |= one_scan && restarts != frame.restarts(restart_interval);
        let incomplete = frame.progressive && !progress.is_complete();
        suspicious |= incomplete;
        // Few images end so, but it is what most stray bytes are.
        let zeros = self.bytes[data - 1] == 0 && !matches!(self.bytes[..data], [.., 0xFF, 0]);
        Ok(Ending { data, suspicious: suspicious || zeros, one_scan, incomplete, intervals })
    }

    fn truncated(&self, missing: &'static str) -> DecodeError {
        DecodeError::Truncated { format: ImageFormat::Jpeg, len: self.bytes.len(), missing }
    }
}

/// The position of the first marker, at its (last) `0xFF`.
fn find_marker(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + find_ff(bytes.get(from..)?)?;
        match bytes.get(at + 1)? {
            0x00 | 0xFF => from = at + 1,
            _ => return Some(at),
        }
    }
}

/// The position of the first `0xFF`.
fn find_ff(bytes: &[u8]) -> Option<usize> {
    let chunks = bytes.as_chunks::<32>().0.iter();
    // Without a branch in the chunk, it is a comparison of vectors.
    let has_none = |chunk: &&[u8; 32]| chunk.iter().fold(true, |none, &byte| none & (byte != 0xFF));
    let start = 32 * chunks.take_while(has_none).count();
    bytes[start..].iter().position(|&byte| byte == 0xFF).map(|at| start + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_found_wherever_they_stand() {
        let naive = |bytes: &[u8]| bytes.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xFF));
        let mut bytes = [0x7F; 200];
        for at in 0..199 {
            for pair in [[0xFF, 0xD9], [0xFF, 0], [0xFF, 0xFF]] {
                bytes[at..at + 2].copy_from_slice(&pair);
                for start in [0, at / 2, at] {
                    assert_eq!(find_marker(&bytes[start..]), naive(&bytes[start..]), "{pair:?} at {at} from {start}");
                }
                bytes[at..at + 2].fill(0x7F);
            }
        }
        assert_eq!([&b""[..], b"\xff", b"\xff\0", b"a\xff\xff"].map(find_marker), [None; 4]);
        assert_eq!(find_marker(&[0xFF, 0, 0xFF, 0xFF, 0xC0]), Some(3));
    }
}
