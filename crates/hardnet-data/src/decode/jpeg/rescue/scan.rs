//! Entropy-coded data to coefficients, with the recovery from damage of libjpeg.

use super::Stop;
use super::markers::{Block, Frame, Headers, Scan};
use super::source::Source;
use super::tables::{HuffmanTable, LONGEST, LOOK_AHEAD};
use crate::decode::jpeg::segments::marker;

/// Bits to which the buffer is filled.
const FILLED: u32 = 57;

/// Most blocks of a group that the standard allows.
pub(super) const MAX_GROUP: usize = 10;

/// Decodes the data after a scan header into the coefficients of `frame`, or drops them.
pub(super) fn decode(
    source: &mut Source,
    headers: &Headers,
    frame: &mut Frame,
    scan: &Scan,
    keep: bool,
) -> Result<(), Stop> {
    let malformed = |reason: String| Err(Stop::Malformed(reason));
    let coding = Coding::new(frame.progressive, scan)?;
    let interleaved = scan.components.len() > 1;
    let (columns, rows) = match scan.components[..] {
        [(index, ..)] => frame.components[index].blocks,
        _ => frame.groups(),
    };
    let (mut blocks, mut tables) = (0, Vec::new());
    for &(index, dc, ac) in &scan.components {
        let component = &mut frame.components[index];
        blocks += component.sampling.0 * component.sampling.1;
        if component.quantization.is_none() {
            component.quantization = headers.quantization(component);
            if component.quantization.is_none() {
                return malformed("a quantization table is missing".to_owned());
            }
        }
        let table = |is_dc: bool, number: u8| {
            let spec = headers.huffman(is_dc, number, frame.progressive);
            HuffmanTable::new(spec.ok_or_else(|| Stop::Malformed("a Huffman table is missing".to_owned()))?, is_dc)
        };
        let dc = if coding.needs_dc() { Some(table(true, dc)?) } else { None };
        let ac = if coding.needs_ac() { Some(table(false, ac)?) } else { None };
        tables.push((dc, ac));
    }
    if interleaved && blocks > MAX_GROUP {
        return malformed(format!("a group has {blocks} blocks, more than {MAX_GROUP}"));
    }

    let mut decoder =
        Decoder { source, bits: 0, left: 0, exhausted: false, next_restart: 0, last_dc: [0; 4], band_ends: 0 };
    let mut dropped = [0; 64];
    let interval = usize::from(headers.restart_interval);
    let mut to_restart = interval;
    for row in 0..rows {
        for column in 0..columns {
            if interval > 0 {
                if to_restart == 0 {
                    decoder.restart()?;
                    to_restart = interval;
                }
                to_restart -= 1;
            }
            if decoder.exhausted {
                if interval == 0 {
                    return Ok(());
                }
                continue;
            }
            for (number, (&(index, ..), (dc, ac))) in scan.components.iter().zip(&tables).enumerate() {
                let component = &mut frame.components[index];
                let (h, v) = if interleaved { component.sampling } else { (1, 1) };
                for y in 0..v {
                    for x in 0..h {
                        let place = (column * h + x, row * v + y);
                        let block = if keep { component.block(place) } else { &mut dropped };
                        decoder.block(coding, number, dc.as_ref(), ac.as_ref(), block)?;
                    }
                }
            }
        }
    }
    // Whole bytes that nobody needs.
    decoder.source.irregular |= decoder.left >= 8;
    Ok(())
}

/// How a scan codes its blocks.
#[derive(Clone, Copy)]
enum Coding {
    Sequential,
    DcFirst { low: u8 },
    DcRefine { low: u8 },
    AcFirst { band: (usize, usize), low: u8 },
    AcRefine { band: (usize, usize), low: u8 },
}

impl Coding {
    fn new(progressive: bool, scan: &Scan) -> Result<Self, Stop> {
        if !progressive {
            return Ok(Coding::Sequential);
        }
        let ((first, last), (high, low)) = (scan.band, scan.bits);
        let is_dc = first == 0;
        let band_is_valid = if is_dc { last == 0 } else { first <= last && last < 64 && scan.components.len() == 1 };
        if !band_is_valid || (high != 0 && low.checked_add(1) != Some(high)) || low > 13 {
            return Err(Stop::Malformed(format!("a scan has coefficients {first} to {last} and bits {high}, {low}")));
        }
        let band = (usize::from(first), usize::from(last));
        Ok(match (is_dc, high == 0) {
            (true, true) => Coding::DcFirst { low },
            (true, false) => Coding::DcRefine { low },
            (false, true) => Coding::AcFirst { band, low },
            (false, false) => Coding::AcRefine { band, low },
        })
    }

    fn needs_dc(self) -> bool {
        matches!(self, Coding::Sequential | Coding::DcFirst { .. })
    }

    fn needs_ac(self) -> bool {
        matches!(self, Coding::Sequential | Coding::AcFirst { .. } | Coding::AcRefine { .. })
    }
}

/// Entropy-coded data of one scan, bit by bit.
struct Decoder<'s, 'a> {
    source: &'s mut Source<'a>,
    bits: u64,
    /// Bits that are still to be used.
    left: u32,
    /// A marker came before the data was complete: the rest of the interval is missing.
    exhausted: bool,
    next_restart: u8,
    last_dc: [i32; 4],
    /// Blocks that follow without another coefficient in the band of the scan.
    band_ends: u32,
}

impl Decoder<'_, '_> {
    fn block(
        &mut self,
        coding: Coding,
        number: usize,
        dc: Option<&HuffmanTable>,
        ac: Option<&HuffmanTable>,
        block: &mut Block,
    ) -> Result<(), Stop> {
        match (coding, dc, ac) {
            (Coding::Sequential, Some(dc), Some(ac)) => {
                block[0] = self.dc(number, dc)? as i16;
                self.sequential_ac(ac, block)
            }
            (Coding::DcFirst { low }, Some(dc), _) => {
                block[0] = (self.dc(number, dc)? << low) as i16;
                Ok(())
            }
            (Coding::DcRefine { low }, ..) => {
                if self.take(1)? == 1 {
                    block[0] |= 1 << low;
                }
                Ok(())
            }
            (Coding::AcFirst { band, low }, _, Some(ac)) => self.first_ac(band, low, ac, block),
            (Coding::AcRefine { band, low }, _, Some(ac)) => self.refine_ac(band, low, ac, block),
            _ => Err(Stop::Malformed("a Huffman table is missing".to_owned())),
        }
    }

    /// The next DC coefficient of a component.
    fn dc(&mut self, number: usize, table: &HuffmanTable) -> Result<i32, Stop> {
        let size = self.symbol(table)?;
        let difference = self.signed(size)?;
        self.last_dc[number] = self.last_dc[number].wrapping_add(difference);
        Ok(self.last_dc[number])
    }

    fn sequential_ac(&mut self, table: &HuffmanTable, block: &mut Block) -> Result<(), Stop> {
        let mut at = 1;
        while at < 64 {
            let symbol = self.symbol(table)?;
            let (run, size) = (usize::from(symbol >> 4), symbol & 15);
            if size != 0 {
                at += run;
                block[at.min(63)] = self.signed(size)? as i16;
            } else if run == 15 {
                at += 15;
            } else {
                break;
            }
            at += 1;
        }
        Ok(())
    }

    fn first_ac(&mut self, band: (usize, usize), low: u8, table: &HuffmanTable, block: &mut Block) -> Result<(), Stop> {
        if self.band_ends > 0 {
            self.band_ends -= 1;
            return Ok(());
        }
        let mut at = band.0;
        while at <= band.1 {
            let symbol = self.symbol(table)?;
            let (run, size) = (symbol >> 4, symbol & 15);
            if size != 0 {
                at += usize::from(run);
                block[at.min(63)] = (self.signed(size)? << low) as i16;
            } else if run == 15 {
                at += 15;
            } else {
                self.band_ends = self.end_of_bands(run)? - 1;
                break;
            }
            at += 1;
        }
        Ok(())
    }

    fn refine_ac(
        &mut self,
        band: (usize, usize),
        low: u8,
        table: &HuffmanTable,
        block: &mut Block,
    ) -> Result<(), Stop> {
        let step = 1_i16 << low;
        let mut at = band.0;
        if self.band_ends == 0 {
            while at <= band.1 {
                let symbol = self.symbol(table)?;
                let (mut run, size) = (i32::from(symbol >> 4), symbol & 15);
                let mut fresh = 0;
                if size != 0 {
                    // A coefficient that becomes nonzero has size 1.
                    self.source.damaged |= size != 1;
                    fresh = if self.take(1)? == 1 { step } else { -step };
                } else if run != 15 {
                    self.band_ends = self.end_of_bands(symbol >> 4)?;
                    break;
                }
                while at <= band.1 {
                    let coefficient = &mut block[at];
                    if *coefficient != 0 {
                        self.correct(coefficient, step)?;
                    } else {
                        run -= 1;
                        if run < 0 {
                            break;
                        }
                    }
                    at += 1;
                }
                if fresh != 0 {
                    block[at.min(63)] = fresh;
                }
                at += 1;
            }
        }
        if self.band_ends > 0 {
            for coefficient in block.get_mut(at..=band.1).unwrap_or_default() {
                if *coefficient != 0 {
                    self.correct(coefficient, step)?;
                }
            }
            self.band_ends -= 1;
        }
        Ok(())
    }

    /// Adds a correction bit to a coefficient that is not zero.
    fn correct(&mut self, coefficient: &mut i16, step: i16) -> Result<(), Stop> {
        if self.take(1)? == 1 && *coefficient & step == 0 {
            let change = if *coefficient >= 0 { step } else { -step };
            *coefficient = coefficient.wrapping_add(change);
        }
        Ok(())
    }

    /// The number of blocks without further coefficients that a code with `run` announces.
    fn end_of_bands(&mut self, run: u8) -> Result<u32, Stop> {
        let more = if run == 0 { 0 } else { self.take(run.into())? };
        Ok((1 << run) + more)
    }

    /// The next symbol.
    fn symbol(&mut self, table: &HuffmanTable) -> Result<u8, Stop> {
        let mut length = 1;
        if self.left < LOOK_AHEAD {
            self.fill(0)?;
        }
        if self.left >= LOOK_AHEAD {
            let next = (self.bits >> (self.left - LOOK_AHEAD)) as usize & ((1 << LOOK_AHEAD) - 1);
            let (found, symbol) = table.lookup[next];
            if u32::from(found) <= LOOK_AHEAD {
                self.left -= u32::from(found);
                return Ok(symbol);
            }
            length = usize::from(found);
        }
        let mut code = self.take(length as u32)? as i32;
        while code > table.max_code[length] {
            code = code << 1 | self.take(1)? as i32;
            length += 1;
        }
        if length > LONGEST {
            self.source.damaged = true;
            return Ok(0);
        }
        Ok(table.values[(code + table.offset[length]) as usize & 0xFF])
    }

    /// A number of `size` bits, with the sign that the standard codes in its first bit.
    fn signed(&mut self, size: u8) -> Result<i32, Stop> {
        if size == 0 {
            return Ok(0);
        }
        let value = self.take(size.into())? as i32;
        let half = 1 << (size - 1);
        Ok(if value < half { value - (2 * half - 1) } else { value })
    }

    /// The next `count` bits, at most 16.
    fn take(&mut self, count: u32) -> Result<u32, Stop> {
        if self.left < count {
            self.fill(count)?;
        }
        self.left -= count;
        Ok((self.bits >> self.left) as u32 & ((1 << count) - 1))
    }

    /// Fills the buffer as far as it goes. Behind a marker, zeros are added where `needed` bits are not left.
    fn fill(&mut self, needed: u32) -> Result<(), Stop> {
        if self.source.unread.is_none()
            && self.left < FILLED
            && let Some(eight) = self.source.eight_of_data()
        {
            let count = 8 * ((u64::BITS - self.left) / 8);
            self.bits = self.bits.checked_shl(count).unwrap_or(0) | eight >> (u64::BITS - count);
            self.left += count;
            self.source.skip(count as usize / 8);
            return Ok(());
        }
        while self.source.unread.is_none() && self.left < FILLED {
            let mut byte = self.source.byte()?;
            if byte == 0xFF {
                while byte == 0xFF {
                    byte = self.source.byte()?;
                }
                if byte != 0 {
                    self.source.unread = Some(byte);
                    break;
                }
                byte = 0xFF;
            }
            self.bits = self.bits << 8 | u64::from(byte);
            self.left += 8;
        }
        if self.left < needed {
            self.source.damaged = true;
            self.exhausted = true;
            self.bits <<= FILLED - self.left;
            self.left = FILLED;
        }
        Ok(())
    }

    /// Steps over a restart marker, or goes on where the next interval seems to begin.
    fn restart(&mut self) -> Result<(), Stop> {
        self.source.irregular |= self.left >= 8 && !self.exhausted;
        self.left = 0;
        let expected = self.next_restart;
        let mut code = self.source.marker()?;
        if code == marker::RST0 + expected {
            self.source.unread = None;
        } else {
            self.source.damaged = true;
            loop {
                let ahead = code.wrapping_sub(marker::RST0).wrapping_sub(expected) & 7;
                match code {
                    // Not a marker of the standard.
                    ..marker::SOF0 => {}
                    // A restart marker of the past.
                    marker::RST0..=marker::RST7 if ahead >= 6 => {}
                    // One of the next two, so that this one is lost.
                    marker::RST0..=marker::RST7 if ahead == 1 || ahead == 2 => break,
                    marker::RST0..=marker::RST7 => {
                        self.source.unread = None;
                        break;
                    }
                    _ => break,
                }
                code = self.source.next_marker()?;
            }
        }
        self.next_restart = (expected + 1) & 7;
        self.last_dc = [0; 4];
        self.band_ends = 0;
        if self.source.unread.is_none() {
            self.exhausted = false;
        }
        Ok(())
    }
}
