//! Coefficients as a baseline JPEG in one scan.

use super::markers::{Block, Component, Frame};
use super::scan::MAX_GROUP;
use crate::decode::jpeg::segments::marker;
use crate::decode::{DecodeError, ImageFormat};

/// All 16 sizes of DC differences, each a code of 5 bits.
const DC_LENGTH: u32 = 5;

/// Symbols of AC coefficients below this one have codes of 8 bits, the others of 9.
const SHORT_CODES: u8 = 128;

const EMPTY: Block = [0; 64];

/// Writes `frame` to `data`, with the segments `first` after the start-of-image marker.
pub(super) fn rewrite(frame: &Frame, first: &[u8], data: &mut Vec<u8>) -> Result<(), DecodeError> {
    let components = &frame.components;
    let sampling = |component: &Component| if components.len() == 1 { (1, 1) } else { component.sampling };
    let blocks: usize = components.iter().map(sampling).map(|(h, v)| h * v).sum();
    if blocks > MAX_GROUP {
        let feature = format!("{blocks} blocks a group in several scans");
        return Err(DecodeError::Unsupported { format: ImageFormat::Jpeg, feature });
    }
    data.clear();
    data.extend_from_slice(&[0xFF, marker::SOI]);
    data.extend_from_slice(first);
    let mut segment = |code: u8, content: &[u8]| {
        data.extend_from_slice(&[0xFF, code]);
        data.extend_from_slice(&(content.len() as u16 + 2).to_be_bytes());
        data.extend_from_slice(content);
    };
    let mut header = vec![8];
    header.extend_from_slice(&frame.height.to_be_bytes());
    header.extend_from_slice(&frame.width.to_be_bytes());
    header.push(components.len() as u8);
    let mut scan = vec![components.len() as u8];
    let mut is_baseline = true;
    for (number, component) in (0_u8..).zip(components) {
        // A component without a scan has no coefficients to scale.
        let table = component.quantization.unwrap_or([1; 64]);
        let is_wide = table.iter().any(|&value| value > 255);
        is_baseline &= !is_wide;
        let mut content = vec![u8::from(is_wide) << 4 | number];
        for value in table {
            let [high, low] = value.to_be_bytes();
            content.extend(is_wide.then_some(high).into_iter().chain([low]));
        }
        segment(marker::DQT, &content);
        let (h, v) = sampling(component);
        header.extend_from_slice(&[number + 1, (h as u8) << 4 | v as u8, number]);
        scan.extend_from_slice(&[number + 1, 0]);
    }
    scan.extend_from_slice(&[0, 63, 0]);
    segment(if is_baseline { marker::SOF0 } else { marker::SOF1 }, &header);
    let mut table = vec![0x00, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    table.extend(0..16);
    segment(marker::DHT, &table);
    let mut table = vec![0x10, 0, 0, 0, 0, 0, 0, 0, SHORT_CODES, SHORT_CODES, 0, 0, 0, 0, 0, 0, 0];
    table.extend(0..=255);
    segment(marker::DHT, &table);
    segment(marker::SOS, &scan);

    let (columns, rows) = if let [component] = &components[..] { component.blocks } else { frame.groups() };
    let mut writer = BitWriter { data, bits: 0, count: 0 };
    let mut last_dc = [0; 4];
    for row in 0..rows {
        for column in 0..columns {
            for (component, last_dc) in components.iter().zip(&mut last_dc) {
                let (h, v) = sampling(component);
                for y in 0..v {
                    for x in 0..h {
                        let index = (row * v + y) * component.stride + column * h + x;
                        writer.block(component.coefficients.get(index).unwrap_or(&EMPTY), last_dc);
                    }
                }
            }
        }
    }
    writer.finish();
    data.extend_from_slice(&[0xFF, marker::EOI]);
    Ok(())
}

struct BitWriter<'a> {
    data: &'a mut Vec<u8>,
    bits: u64,
    count: u32,
}

impl BitWriter<'_> {
    fn block(&mut self, block: &Block, last_dc: &mut i16) {
        // The decoder adds up in 16 bits too. The one difference that has no code is off by one.
        let difference = block[0].wrapping_sub(*last_dc).max(-i16::MAX);
        *last_dc = last_dc.wrapping_add(difference);
        self.put(size(difference).into(), DC_LENGTH);
        self.number(difference);
        let mut run = 0;
        for &coefficient in &block[1..] {
            if coefficient == 0 {
                run += 1;
                continue;
            }
            while run >= 16 {
                self.symbol(0xF0);
                run -= 16;
            }
            let coefficient = coefficient.max(-i16::MAX);
            self.symbol(run << 4 | size(coefficient));
            self.number(coefficient);
            run = 0;
        }
        if run > 0 {
            self.symbol(0);
        }
    }

    fn symbol(&mut self, symbol: u8) {
        match symbol {
            ..SHORT_CODES => self.put(symbol.into(), 8),
            _ => self.put(u64::from(symbol) + u64::from(SHORT_CODES), 9),
        }
    }

    /// The bits of a number after its size.
    fn number(&mut self, number: i16) {
        let size = u32::from(size(number));
        let bits = if number < 0 { number - 1 } else { number };
        self.put(bits as u64 & ((1 << size) - 1), size);
    }

    fn put(&mut self, bits: u64, count: u32) {
        self.bits = self.bits << count | bits;
        self.count += count;
        while self.count >= 8 {
            self.count -= 8;
            let byte = (self.bits >> self.count) as u8;
            self.data.push(byte);
            if byte == 0xFF {
                self.data.push(0);
            }
        }
    }

    /// Fills the last byte with ones.
    fn finish(&mut self) {
        self.put(0x7F, 7);
    }
}

/// Bits of a number without its sign.
fn size(number: i16) -> u8 {
    (16 - number.unsigned_abs().leading_zeros()) as u8
}
