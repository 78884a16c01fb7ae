//! The walk over the segments by which Pillow opens a JPEG, before libjpeg sees it.

use super::Stop;
use crate::decode::jpeg::segments::marker;

/// Checks that Pillow opens `bytes`, which begin with a start-of-image marker.
pub(super) fn check(bytes: &[u8]) -> Result<(), Stop> {
    let malformed = |reason: &str| Err(Stop::Malformed(reason.to_owned()));
    let (mut position, mut has_frame) = (2, false);
    let mut profiles: Vec<&[u8]> = Vec::new();
    let next = |position: &mut usize| {
        let byte = bytes.get(*position).copied();
        *position += 1;
        byte.ok_or(Stop::Ended)
    };
    loop {
        while next(&mut position)? != 0xFF {}
        let mut code = next(&mut position)?;
        while code == 0xFF {
            code = next(&mut position)?;
        }
        match code {
            // An escaped byte of data, and markers without a segment.
            0 | marker::JPG | marker::RST0..=marker::EOI | marker::JPG0..=marker::JPG13 => continue,
            0x01..marker::SOF0 => return malformed(&format!("marker `0xff{code:02x}` comes before the image data")),
            _ => {}
        }
        let length = u16::from_be_bytes([next(&mut position)?, next(&mut position)?]);
        let payload = usize::from(length).saturating_sub(2);
        let Some(payload) = bytes.get(position..position + payload) else { return Err(Stop::Ended) };
        position += payload.len();
        match code {
            marker::SOS if has_frame => return Ok(()),
            marker::SOS => return malformed("the image data comes before its frame header"),
            marker::DHT | marker::DAC | marker::DNL | marker::DRI | marker::EXP | marker::COM => {}
            marker::DQT => check_quantization(payload)?,
            marker::APP0 if payload.starts_with(b"JFIF") && payload.len() < 7 => {
                return malformed("the jfif segment is too short");
            }
            marker::APP14 if payload.starts_with(b"Adobe") && payload.len() < 7 => {
                return malformed("the segment of Adobe is too short");
            }
            marker::APP2 if payload.starts_with(b"ICC_PROFILE\0") => profiles.push(payload),
            marker::APP0..=marker::APP15 => {}
            // All others are frame headers, or hierarchical.
            _ => {
                check_frame(payload)?;
                if profiles.drain(..).min().is_some_and(|first| first.len() < 14) {
                    return malformed("a segment of the color profile is too short");
                }
                has_frame = true;
            }
        }
    }
}

fn check_quantization(mut payload: &[u8]) -> Result<(), Stop> {
    while let Some(&kind) = payload.first() {
        let length = if kind >> 4 == 0 { 65 } else { 129 };
        let rest = payload.get(length..);
        payload = rest.ok_or_else(|| Stop::Malformed("a quantization table is too short".to_owned()))?;
    }
    Ok(())
}

fn check_frame(payload: &[u8]) -> Result<(), Stop> {
    let Some((&[precision, _, _, _, _, count], components)) = payload.split_first_chunk() else {
        return Err(Stop::Malformed("the frame header is too short".to_owned()));
    };
    if precision != 8 {
        return Err(Stop::Unsupported(format!("{precision} bits a sample")));
    }
    if !matches!(count, 1 | 3 | 4) {
        return Err(Stop::Unsupported(format!("{count} components")));
    }
    if components.len() % 3 != 0 {
        return Err(Stop::Malformed(format!("the frame header is not as long as {count} components need")));
    }
    Ok(())
}
