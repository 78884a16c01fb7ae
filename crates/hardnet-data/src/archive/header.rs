//! One header block of a tar archive: v7, ustar and GNU, as POSIX.1 `pax` and the manual of GNU tar define them.

/// The unit of a tar archive in bytes.
pub(super) const BLOCK: usize = 512;

/// The type of an entry, by the header's type flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryType {
    File,
    Folder,
    Link,
    /// A device or a pipe, which has no content.
    Special,
    /// The old GNU form, with a map of the holes after the header.
    Sparse,
    /// GNU: the content is the next entry's name.
    LongName,
    /// GNU: the content is the target of the next entry, a link.
    LongLink,
    /// Pax records of the next entry.
    Pax,
    /// Pax records of all entries that follow.
    GlobalPax,
    /// Something with content that no rule here knows.
    Unknown,
}

/// A block whose checksum is right.
pub(super) struct Header<'a>(&'a [u8; BLOCK]);

impl<'a> Header<'a> {
    /// `None` if the checksum is wrong.
    pub(super) fn new(block: &'a [u8; BLOCK]) -> Option<Self> {
        let expected = octal(&block[148..156])?;
        let sum = |value: fn(u8) -> i64| -> i64 {
            let outside = block[..148].iter().chain(&block[156..]);
            // The checksum's own eight bytes count as blanks.
            outside.map(|byte| value(*byte)).sum::<i64>() + 8 * 32
        };
        // Some old programs added signed bytes.
        let sums = [sum(i64::from), sum(|byte| i64::from(byte.cast_signed()))];
        sums.contains(&i64::try_from(expected).ok()?).then_some(Self(block))
    }

    pub(super) fn kind(&self) -> EntryType {
        match self.0[156] {
            // Before ustar a folder was told by its name.
            0 | b'0' | b'7' if self.name_field().ends_with(b"/") => EntryType::Folder,
            0 | b'0' | b'7' => EntryType::File,
            b'1' | b'2' => EntryType::Link,
            b'3' | b'4' | b'6' => EntryType::Special,
            b'5' => EntryType::Folder,
            b'S' => EntryType::Sparse,
            b'L' => EntryType::LongName,
            b'K' => EntryType::LongLink,
            b'x' | b'X' => EntryType::Pax,
            b'g' => EntryType::GlobalPax,
            _ => EntryType::Unknown,
        }
    }

    fn name_field(&self) -> &[u8] {
        until_nul(&self.0[..100])
    }

    /// The name with ustar's prefix.
    pub(super) fn name(&self) -> Vec<u8> {
        // GNU writes `ustar ` and has times and maps in the place of the prefix.
        let prefix = if &self.0[257..263] == b"ustar\0" { until_nul(&self.0[345..500]) } else { &[] };
        match prefix {
            [] => self.name_field().to_vec(),
            prefix => [prefix, b"/", self.name_field()].concat(),
        }
    }

    /// The length of the content, or `None` if the field holds no number or a negative one.
    pub(super) fn size(&self) -> Option<u64> {
        let field = &self.0[124..136];
        match field[0] {
            // GNU and star: the other bytes in base 256. 0xff begins a negative number.
            0x80 if field[1..4] == [0; 3] => {
                let tail = field[4..].try_into().expect("eight of twelve bytes");
                Some(u64::from_be_bytes(tail))
            }
            0x80.. => None,
            _ => octal(field),
        }
    }

    /// Whether blocks with the rest of an old GNU sparse file's map follow.
    pub(super) fn map_continues(&self) -> bool {
        self.0[482] != 0
    }
}

/// Octal digits between optional blanks, ended by a blank or NUL; 0 without digits.
fn octal(field: &[u8]) -> Option<u64> {
    let digits = until_nul(field).trim_ascii();
    digits.iter().try_fold(0u64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

pub(super) fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_octal_or_base_256() {
        let table: [(&[u8; 12], Option<u64>); 9] = [
            (b"00000000017\0", Some(15)),
            (b"      17 \0\0\0", Some(15)),
            (b"\0\0\0\0\0\0\0\0\0\0\0\0", Some(0)),
            (b"777777777777", Some((1 << 36) - 1)),
            (b"0000000001x\0", None),
            (b"-0000000001\0", None),
            (b"\x80\0\0\0\0\0\0\x02\0\0\0\x01", Some((2 << 32) + 1)),
            (b"\x80\0\0\x01\0\0\0\0\0\0\0\0", None),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
        ];
        for (field, expected) in table {
            let mut block = [0; BLOCK];
            block[124..136].copy_from_slice(field);
            assert_eq!(Header(&block).size(), expected, "{field:?}");
        }
    }
}
