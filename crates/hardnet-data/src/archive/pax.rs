//! Pax records, `length key=value\n` each, as POSIX.1 `pax` defines them: what other headers have no room for.

/// Names and sizes in the records of one header.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) path: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    /// The content is a map of holes and what lies between them.
    pub(super) sparse: bool,
}

impl Records {
    /// `None` if the records are malformed.
    pub(super) fn parse(mut bytes: &[u8]) -> Option<Self> {
        let mut records = Self::default();
        while !bytes.is_empty() {
            let blank = bytes.iter().take(20).position(|byte| *byte == b' ')?;
            let length = usize::try_from(decimal(&bytes[..blank])?).ok()?;
            let body = bytes.get(blank + 1..length)?.strip_suffix(b"\n")?;
            bytes = &bytes[length..];
            let equals = body.iter().position(|byte| *byte == b'=')?;
            let (key, value) = (&body[..equals], &body[equals + 1..]);
            match key {
                b"path" if records.sparse && records.path.is_some() => {}
                b"path" | b"GNU.sparse.name" if value.contains(&0) => return None,
                b"path" => records.path = Some(value.to_vec()),
                b"size" => records.size = Some(decimal(value)?),
                // The true name; that of `path` is a substitute for programs that do not know the form.
                b"GNU.sparse.name" => (records.path, records.sparse) = (Some(value.to_vec()), true),
                _ if key.starts_with(b"GNU.sparse.") => records.sparse = true,
                _ => {}
            }
        }
        Some(records)
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_taken_whole_or_not_at_all() {
        let records = |path: Option<&str>, size, sparse| {
            Some(Records { path: path.map(|path| path.as_bytes().to_vec()), size, sparse })
        };
        let table: [(&[u8], Option<Records>); 14] = [
            (b"", records(None, None, false)),
            (b"11 path=ab\n", records(Some("ab"), None, false)),
            (b"12 path=a=b\n9 size=7\n", records(Some("a=b"), None, false).map(|r| Records { size: Some(7), ..r })),
            (b"12 path=a\nb\n", records(Some("a\nb"), None, false)),
            (b"10 mtime=1\n", None),
            (b"11 mtime=1\n", records(None, None, false)),
            (b"22 GNU.sparse.major=1\n", records(None, None, true)),
            (b"10 path=ab\n", None),
            (b"12 path=ab\n", None),
            (b"11 path=ab", None),
            (b"path=ab\n", None),
            (b"0 path=ab\n", None),
            (b"10 size=-1\n", None),
            (b"99999999999999999999 size=1\n", None),
        ];
        for (bytes, expected) in table {
            assert_eq!(Records::parse(bytes), expected, "{:?}", bytes.escape_ascii().to_string());
        }
    }
}
