//! Hashes of a file on disk.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use hardnet_base::hex;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Size of a read.
const CHUNK: usize = 1 << 20;

/// Length and hashes of a file, in lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Digests {
    /// Length in bytes.
    pub(crate) length: u64,
    /// SHA-256, as `sha256sum` prints it.
    pub(crate) sha256: String,
    /// Git blob ID, as `git hash-object` prints it.
    pub(crate) git_blob: String,
}

impl Digests {
    /// Hashes the file at `path` in one pass.
    pub(crate) fn from_file(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let (mut sha256, mut git_blob) = (Sha256::new(), Sha1::new());
        git_blob.update(format!("blob {length}\0"));
        let mut chunk = vec![0; CHUNK];
        loop {
            let count = match file.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            sha256.update(&chunk[..count]);
            git_blob.update(&chunk[..count]);
        }
        Ok(Self { length, sha256: hex(&sha256.finalize()), git_blob: hex(&git_blob.finalize()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_sha256sum_and_git() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hello\n").unwrap();
        let digests = Digests::from_file(file.path()).unwrap();
        // `printf 'hello\n' | sha256sum` and `| git hash-object --stdin`.
        assert_eq!(digests.length, 6);
        assert_eq!(digests.sha256, "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
        assert_eq!(digests.git_blob, "ce013625030ba8dba906f756967f9e9ca394464a");
    }
}
