//! State of one thread's decodings: buffers that one image leaves to the next, and whose conversions are followed.
//!
//! Buffers of some hundred kilobytes, taken and given back by several threads, leave a heap in pieces that grows with
//! the number of images for a long time. Each thread keeps its own instead.

use super::Decoding;
use crate::image::Image;

/// A longer buffer is given back to the system, in bytes: one huge image must not be paid for by all that follow.
const MAX_KEPT_BYTES: usize = 32 << 20;

/// State of one thread's decodings.
#[derive(Debug, Default)]
pub(crate) struct DecodeScratch {
    /// Whose conversions the decoding at work follows.
    pub(super) decoding: Decoding,
    /// The file.
    pub(crate) file: Vec<u8>,
    /// The part of the file that a decoder reads.
    pub(super) data: Vec<u8>,
    samples: Vec<u8>,
}

impl DecodeScratch {
    /// A buffer of `length` zeros.
    pub(super) fn samples(&mut self, length: usize) -> Vec<u8> {
        let mut samples = std::mem::take(&mut self.samples);
        samples.clear();
        samples.reserve_exact(length);
        samples.resize(length, 0);
        samples
    }

    /// Takes back what became of [`samples`](Self::samples), and drops what is too large to be kept.
    pub(crate) fn reclaim(&mut self, image: Image) {
        self.samples = image.into_samples();
        for buffer in [&mut self.file, &mut self.data, &mut self.samples] {
            if buffer.capacity() > MAX_KEPT_BYTES {
                *buffer = Vec::new();
            }
        }
    }
}
