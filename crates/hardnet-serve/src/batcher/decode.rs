//! Decoding of files on their way to the queue.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use super::queue::{Entry, Queue, Undecoded};
use crate::failure::Failure;
use crate::network::ImageNetwork;
use crate::workers::Workers;

/// Decodes the files of a batcher on its workers.
pub(super) struct Decoder {
    pub(super) network: Arc<dyn ImageNetwork>,
    pub(super) workers: Arc<Workers>,
    pub(super) queue: Arc<Queue>,
    pub(super) max_pixels: u64,
}

impl Decoder {
    /// Decodes a file on a worker, after those before it, then queues it.
    pub(super) fn decode(&self, image: Undecoded) {
        self.queue.push_file(image);
        self.decode_next();
    }

    /// Decodes the file that has waited longest, on a worker.
    pub(super) fn decode_next(&self) {
        let (network, queue, max_pixels) = (Arc::clone(&self.network), Arc::clone(&self.queue), self.max_pixels);
        self.workers.run(move || {
            let Some(Undecoded { file, pending }) = queue.next_file() else { return };
            let start = Instant::now();
            let Some(pending) = pending.live(start) else { return };
            let prepared = catch_unwind(AssertUnwindSafe(|| network.prepare_file(&file, max_pixels)));
            let took = start.elapsed();
            queue.decoded(took);
            match prepared {
                Ok(Ok(prepared)) => queue.push(Entry::new(pending, prepared, took)),
                Ok(Err(reason)) => pending.answer(Err(Failure::Image(reason))),
                Err(_) => pending.answer(Err(Failure::Internal("a panic while the image was prepared".into()))),
            }
        });
    }
}
