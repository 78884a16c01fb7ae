//! Digests as text.

use std::fmt::Write;

/// `bytes` in lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes any text");
        text
    })
}

/// SHA-256 of `bytes` in lower-case hexadecimal digits, as `sha256sum` prints it.
#[cfg(feature = "digest")]
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex(&sha2::Sha256::digest(bytes))
}

/// SHA-256 of bytes that are there part by part.
#[cfg(feature = "digest")]
#[derive(Clone, Debug, Default)]
pub struct Sha256(sha2::Sha256);

#[cfg(feature = "digest")]
impl Sha256 {
    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        sha2::Digest::update(&mut self.0, bytes);
    }

    /// The sum of all bytes, as [`sha256`].
    pub fn finish(self) -> String {
        hex(&sha2::Digest::finalize(self.0))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_have_two_digits() {
        assert_eq!(super::hex(&[0, 0x0f, 0xa0, 0xff]), "000fa0ff");
    }

    #[cfg(feature = "digest")]
    #[test]
    fn digests_are_sha256sums() {
        // FIPS 180-2, B.1, and the empty message.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!((super::sha256(b"abc"), super::sha256(b"")), (abc.into(), empty.into()));
        let mut parts = super::Sha256::default();
        parts.update(b"a");
        parts.update(b"bc");
        assert_eq!(parts.finish(), abc);
    }
}
