//! Tables, frame and scan headers, with the checks of libjpeg.

use super::Stop;
use super::source::Source;
use super::tables::{HuffmanSpec, STANDARD_TABLES};
use crate::decode::jpeg::segments::marker;

/// Coefficients of a block in zigzag order.
pub(super) type Block = [i16; 64];

/// A side beyond which libjpeg refuses an image.
const MAX_SIDE: u16 = 65500;

/// A component of the frame.
pub(super) struct Component {
    pub(super) id: u8,
    /// Samples across and down, as a factor.
    pub(super) sampling: (usize, usize),
    quantization_index: u8,
    /// In zigzag order; `None` until a scan has the component.
    pub(super) quantization: Option<[u16; 64]>,
    /// Blocks across and down that hold samples of the image.
    pub(super) blocks: (usize, usize),
    /// Blocks of a row, with those that fill up the last group of an interleaved scan.
    pub(super) stride: usize,
    /// Row by row, up to the last block with data.
    pub(super) coefficients: Vec<Block>,
}

impl Component {
    /// The block at `(column, row)`.
    pub(super) fn block(&mut self, (column, row): (usize, usize)) -> &mut Block {
        let index = row * self.stride + column;
        if index >= self.coefficients.len() {
            self.coefficients.resize(index + 1, [0; 64]);
        }
        &mut self.coefficients[index]
    }
}

/// The frame header.
pub(super) struct Frame {
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) progressive: bool,
    pub(super) components: Vec<Component>,
}

impl Frame {
    /// The largest sampling factors.
    pub(super) fn max_sampling(&self) -> (usize, usize) {
        let factors = || self.components.iter().map(|component| component.sampling);
        (factors().map(|(h, _)| h).max().unwrap_or(1), factors().map(|(_, v)| v).max().unwrap_or(1))
    }

    /// Groups of blocks of an interleaved scan, across and down.
    pub(super) fn groups(&self) -> (usize, usize) {
        let (h, v) = self.max_sampling();
        (usize::from(self.width).div_ceil(8 * h), usize::from(self.height).div_ceil(8 * v))
    }

    /// Checks sizes and sampling factors before the first scan.
    pub(super) fn check(&mut self) -> Result<(), Stop> {
        if self.width > MAX_SIDE || self.height > MAX_SIDE {
            return Err(Stop::Malformed(format!("a side of the image is longer than {MAX_SIDE} pixels")));
        }
        let (width, height) = (usize::from(self.width), usize::from(self.height));
        for Component { sampling: (h, v), .. } in &self.components {
            if !(1..=4).contains(h) || !(1..=4).contains(v) {
                return Err(Stop::Malformed(format!("a component has sampling factors {h}x{v}")));
            }
        }
        let (h_max, v_max) = self.max_sampling();
        let groups = self.groups();
        for component in &mut self.components {
            let (h, v) = component.sampling;
            if h_max % h != 0 || v_max % v != 0 {
                return Err(Stop::Unsupported(format!("sampling factors {h}x{v} of {h_max}x{v_max}")));
            }
            component.blocks = ((width * h).div_ceil(8 * h_max), (height * v).div_ceil(8 * v_max));
            component.stride = groups.0 * h;
        }
        Ok(())
    }
}

/// A scan header.
pub(super) struct Scan {
    /// Component, DC table and AC table.
    pub(super) components: Vec<(usize, u8, u8)>,
    /// First and last coefficient of a progressive scan.
    pub(super) band: (u8, u8),
    /// Bit position of the scan before this one, and of this one.
    pub(super) bits: (u8, u8),
}

pub(super) enum Reached {
    Scan(Scan),
    End,
}

/// The definitions in the segments so far.
#[derive(Default)]
pub(super) struct Headers {
    quantization: [Option<[u16; 64]>; 4],
    dc: [Option<HuffmanSpec>; 4],
    ac: [Option<HuffmanSpec>; 4],
    pub(super) restart_interval: u16,
    pub(super) jfif: bool,
    pub(super) adobe_transform: Option<u8>,
}

impl Headers {
    /// Forgets what belongs to one image. Tables stay.
    pub(super) fn start_image(&mut self) {
        (self.restart_interval, self.jfif, self.adobe_transform) = (0, false, None);
    }

    /// The Huffman table of a scan; the standard's where a sequential image has none, as in motion JPEG.
    pub(super) fn huffman(&self, dc: bool, index: u8, progressive: bool) -> Option<&HuffmanSpec> {
        let defined = if dc { &self.dc } else { &self.ac }.get(usize::from(index))?;
        let standard = || STANDARD_TABLES.get(usize::from(index)).filter(|_| !progressive);
        defined.as_ref().or_else(|| standard().map(|(dc_table, ac_table)| if dc { dc_table } else { ac_table }))
    }

    /// The quantization table of a component.
    pub(super) fn quantization(&self, component: &Component) -> Option<[u16; 64]> {
        *self.quantization.get(usize::from(component.quantization_index))?
    }

    /// Reads segments up to the next scan header or the end of the image.
    pub(super) fn read(&mut self, source: &mut Source, frame: &mut Option<Frame>) -> Result<Reached, Stop> {
        let malformed = |reason: String| Err(Stop::Malformed(reason));
        loop {
            let code = source.marker()?;
            match code {
                marker::SOF0..=marker::SOF2 => {
                    if frame.is_some() {
                        return malformed("there are two frame headers".to_owned());
                    }
                    *frame = Some(read_frame(source, code == marker::SOF2)?);
                }
                marker::DHT => self.read_huffman(source)?,
                marker::DQT => self.read_quantization(source)?,
                marker::DRI => {
                    let length = source.word()?;
                    if length != 4 {
                        return malformed(format!("a restart interval has {length} bytes"));
                    }
                    self.restart_interval = source.word()?;
                }
                marker::DAC => {
                    let payload = payload(source)?;
                    if !payload.is_multiple_of(2) {
                        return malformed("the arithmetic conditioning has an odd length".to_owned());
                    }
                    source.skip(payload);
                }
                marker::SOS => {
                    let frame = frame
                        .as_ref()
                        .ok_or_else(|| Stop::Malformed("the image data comes before its frame header".to_owned()))?;
                    let scan = read_scan(source, frame)?;
                    source.unread = None;
                    return Ok(Reached::Scan(scan));
                }
                marker::EOI => {
                    source.unread = None;
                    return Ok(Reached::End);
                }
                marker::APP0 | marker::APP14 => self.read_application(source, code)?,
                marker::APP0..=marker::APP15 | marker::COM | marker::DNL => {
                    let payload = payload(source)?;
                    source.skip(payload);
                }
                marker::TEM | marker::RST0..=marker::RST7 => source.irregular = true,
                marker::SOI => return malformed("an image begins inside the image".to_owned()),
                marker::SOF3 => return Err(Stop::Unsupported("lossless coding".to_owned())),
                marker::SOF9..=marker::SOF11 => return Err(Stop::Unsupported("arithmetic coding".to_owned())),
                _ => return malformed(format!("marker `0xff{code:02x}` is not one of an image")),
            }
            source.unread = None;
        }
    }

    fn read_huffman(&mut self, source: &mut Source) -> Result<(), Stop> {
        let mut left = i32::from(source.word()?) - 2;
        while left > 16 {
            let index = source.byte()?;
            let mut spec = HuffmanSpec { counts: [0; 16], values: [0; 256] };
            for count in &mut spec.counts {
                *count = source.byte()?;
            }
            left -= 17;
            let count: usize = spec.counts.iter().map(|&count| usize::from(count)).sum();
            if count > 256 || count as i32 > left {
                return Err(Stop::Malformed("a Huffman table is too long".to_owned()));
            }
            for value in &mut spec.values[..count] {
                *value = source.byte()?;
            }
            left -= count as i32;
            let tables = if index & 0x10 == 0 { &mut self.dc } else { &mut self.ac };
            match tables.get_mut(usize::from(index & !0x10)) {
                Some(table) => *table = Some(spec),
                None => return Err(Stop::Malformed(format!("a Huffman table has number {index}"))),
            }
        }
        if left != 0 {
            return Err(Stop::Malformed("the Huffman tables have a wrong length".to_owned()));
        }
        Ok(())
    }

    fn read_quantization(&mut self, source: &mut Source) -> Result<(), Stop> {
        let mut left = i32::from(source.word()?) - 2;
        while left > 0 {
            let kind = source.byte()?;
            let index = usize::from(kind & 15);
            if index >= self.quantization.len() {
                return Err(Stop::Malformed(format!("a quantization table has number {index}")));
            }
            let mut table = [0; 64];
            for value in &mut table {
                *value = if kind >> 4 == 0 { source.byte()?.into() } else { source.word()? };
            }
            self.quantization[index] = Some(table);
            left -= if kind >> 4 == 0 { 65 } else { 129 };
        }
        if left != 0 {
            return Err(Stop::Malformed("the quantization tables have a wrong length".to_owned()));
        }
        Ok(())
    }

    /// Reads the application data that decides the colors, with the lengths that libjpeg asks for.
    fn read_application(&mut self, source: &mut Source, code: u8) -> Result<(), Stop> {
        let payload = payload(source)?;
        let mut start = [0; 14];
        let read = payload.min(start.len());
        for byte in &mut start[..read] {
            *byte = source.byte()?;
        }
        source.skip(payload - read);
        if code == marker::APP0 {
            self.jfif |= read >= 14 && start.starts_with(b"JFIF\0");
        } else if read >= 12 && start.starts_with(b"Adobe") {
            self.adobe_transform = Some(start[11]);
        }
        Ok(())
    }
}

/// The length of a segment's content.
fn payload(source: &mut Source) -> Result<usize, Stop> {
    Ok(usize::from(source.word()?).saturating_sub(2))
}

fn read_frame(source: &mut Source, progressive: bool) -> Result<Frame, Stop> {
    let length = source.word()?;
    let _precision = source.byte()?;
    let (height, width) = (source.word()?, source.word()?);
    let count = source.byte()?;
    if width == 0 || height == 0 || count == 0 {
        return Err(Stop::Malformed(format!("the header announces {width}x{height} pixels")));
    }
    if length != 8 + 3 * u16::from(count) {
        return Err(Stop::Malformed(format!("the frame header is not as long as {count} components need")));
    }
    let mut components = Vec::new();
    for _ in 0..count {
        let (id, factors, quantization_index) = (source.byte()?, source.byte()?, source.byte()?);
        components.push(Component {
            id,
            sampling: (usize::from(factors >> 4), usize::from(factors & 15)),
            quantization_index,
            quantization: None,
            blocks: (0, 0),
            stride: 0,
            coefficients: Vec::new(),
        });
    }
    Ok(Frame { width, height, progressive, components })
}

fn read_scan(source: &mut Source, frame: &Frame) -> Result<Scan, Stop> {
    let (length, count) = (source.word()?, source.byte()?);
    if length != 6 + 2 * u16::from(count) || !(1..=4).contains(&count) {
        return Err(Stop::Malformed("the scan header has a wrong length".to_owned()));
    }
    let mut components: Vec<(usize, u8, u8)> = Vec::new();
    for _ in 0..count {
        let (id, tables) = (source.byte()?, source.byte()?);
        let is_free = |index: &usize| components.iter().all(|(taken, ..)| taken != index);
        let mut named = frame.components.iter().enumerate().filter(|(_, component)| component.id == id);
        let index = named.find(|(index, _)| is_free(index)).map(|(index, _)| index);
        let index = index.ok_or_else(|| Stop::Malformed(format!("a scan names component {id}, which is not there")))?;
        components.push((index, tables >> 4, tables & 15));
    }
    let band = (source.byte()?, source.byte()?);
    let bits = source.byte()?;
    Ok(Scan { components, band, bits: (bits >> 4, bits & 15) })
}
