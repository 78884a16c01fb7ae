//! A pickle without its large texts and bytes.

use std::collections::BTreeMap;

use hardnet_base::{Sparse, SparseReader};

use super::opcode as op;

/// Texts and bytes that are longer are left out: no name is as long, and no number that is read.
const LARGE: usize = if cfg!(fuzzing) { 64 } else { 1 << 14 };

/// The file of one pickle without its large texts and bytes, and the numbers of bytes that these texts stand for, by
/// where they begin.
///
/// None for a pickle that is damaged, with unknown opcodes, with more behind it, or with a large text that does not
/// stand for bytes.
pub(crate) fn outline(mut reader: SparseReader<'_>) -> Option<(Sparse, BTreeMap<usize, usize>)> {
    let mut latin1 = BTreeMap::new();
    loop {
        match reader.byte()? {
            op::STOP => break,
            op::PROTO | op::BININT1 | op::BINPUT | op::BINGET => reader.keep(1)?,
            op::BININT2 => reader.keep(2)?,
            op::BININT | op::LONG_BINPUT | op::LONG_BINGET => reader.keep(4)?,
            op::BINFLOAT | op::FRAME => reader.keep(8)?,
            op::SHORT_BINBYTES | op::SHORT_BINSTRING | op::SHORT_BINUNICODE | op::LONG1 => {
                let length = reader.byte()?;
                reader.keep(usize::from(length))?;
            }
            opcode @ (op::BINBYTES | op::BINSTRING | op::BINUNICODE | op::LONG4) => {
                let length = u32::from_le_bytes(reader.array()?);
                long(&mut reader, u64::from(length), opcode == op::BINUNICODE, &mut latin1)?;
            }
            opcode @ (op::BINBYTES8 | op::BINUNICODE8 | op::BYTEARRAY8) => {
                let length = u64::from_le_bytes(reader.array()?);
                long(&mut reader, length, opcode == op::BINUNICODE8, &mut latin1)?;
            }
            op::GLOBAL | op::INST => {
                line(&mut reader)?;
                line(&mut reader)?;
            }
            op::INT | op::LONG | op::FLOAT | op::STRING | op::UNICODE | op::GET | op::PUT => line(&mut reader)?,
            opcode if has_no_argument(opcode) => {}
            _ => return None,
        }
    }
    (reader.left() == 0).then(|| (reader.finish(), latin1))
}

fn has_no_argument(opcode: u8) -> bool {
    const ALONE: [u8; 31] = [
        op::MARK,
        op::POP,
        op::POP_MARK,
        op::DUP,
        op::NONE,
        op::NEWTRUE,
        op::NEWFALSE,
        op::EMPTY_SET,
        op::FROZENSET,
        op::ADDITEMS,
        op::EMPTY_DICT,
        op::EMPTY_LIST,
        op::EMPTY_TUPLE,
        op::TUPLE,
        op::TUPLE1,
        op::TUPLE2,
        op::TUPLE3,
        op::APPEND,
        op::APPENDS,
        op::SETITEM,
        op::SETITEMS,
        op::MEMOIZE,
        op::STACK_GLOBAL,
        op::REDUCE,
        op::NEWOBJ,
        op::NEWOBJ_EX,
        op::OBJ,
        op::BUILD,
        op::BINPERSID,
        op::LIST,
        op::DICT,
    ];
    ALONE.contains(&opcode)
}

fn line(reader: &mut SparseReader<'_>) -> Option<()> {
    while reader.byte()? != b'\n' {}
    Some(())
}

/// Reads a text or bytes.
fn long(reader: &mut SparseReader<'_>, length: u64, is_text: bool, latin1: &mut BTreeMap<usize, usize>) -> Option<()> {
    let length = usize::try_from(length).ok()?;
    if length < LARGE {
        return reader.keep(length);
    }
    if !is_text {
        return reader.skip(length);
    }
    let start = reader.position();
    // As `reduce::latin1` checks it: each lead is followed by one byte that follows, and no other is.
    let (mut valid, mut led, mut leads) = (true, false, 0);
    reader.look(length, &mut |bytes| {
        for &byte in bytes {
            let lead = matches!(byte, 0xc2 | 0xc3);
            valid &= (byte < 0xc0 || lead) & (led == (byte & 0xc0 == 0x80));
            led = lead;
            leads += usize::from(lead);
        }
    })?;
    (valid && !led).then(|| latin1.insert(start, length - leads))?;
    Some(())
}
