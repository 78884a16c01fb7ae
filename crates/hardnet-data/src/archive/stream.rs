//! Files of a tar archive that is read once from front to back, as the content of a compressed file.

use std::io::{self, ErrorKind, Read};

use super::header::{BLOCK, EntryType, Header};

/// The most headers read.
const MAX_ENTRIES: usize = 1 << 16;

/// The contents of the first files in the archive `reader` whose names end in those of `wanted`, without regard to the
/// folders before; at most `limit` bytes each. Stops when all are found.
pub(crate) fn read_files<const N: usize>(
    mut reader: impl Read,
    wanted: [&str; N],
    limit: u64,
) -> io::Result<[Option<Vec<u8>>; N]> {
    let mut found = [const { None }; N];
    for _ in 0..MAX_ENTRIES {
        let mut block = [0; BLOCK];
        reader.read_exact(&mut block)?;
        if block == [0; BLOCK] {
            return Ok(found);
        }
        let header = Header::new(&block).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "not a tar archive"))?;
        let size = header.size().ok_or(ErrorKind::InvalidData)?;
        let padded = size.checked_next_multiple_of(BLOCK as u64).ok_or(ErrorKind::InvalidData)?;
        let name = header.name();
        let file = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let is_wanted = |(position, wanted): &(usize, &str)| file == wanted.as_bytes() && found[*position].is_none();
        let position =
            wanted.into_iter().enumerate().find(|wanted| header.kind() == EntryType::File && is_wanted(wanted));
        let skipped = match position {
            Some(_) if size > limit => return Err(ErrorKind::FileTooLarge.into()),
            Some((position, _)) => {
                let mut content = Vec::new();
                reader.by_ref().take(size).read_to_end(&mut content)?;
                if content.len() as u64 != size {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                found[position] = Some(content);
                padded - size
            }
            None => padded,
        };
        if found.iter().all(Option::is_some) {
            return Ok(found);
        }
        if io::copy(&mut reader.by_ref().take(skipped), &mut io::sink())? != skipped {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    Err(io::Error::new(ErrorKind::InvalidData, "too many entries"))
}
