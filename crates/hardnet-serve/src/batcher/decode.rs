//! Decoding of files on their way to the queue.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use super::queue::{Entry, Queue, Undecoded};
use crate::failure::Failure;
use crate::network::ImageNetwork;
use crate::workers::Workers;

/// What decodes the files of a batcher.
pub(super) struct Decoder {
    pub(super) network: Arc<dyn ImageNetwork>,
    pub(super) workers: Arc<Workers>,
    pub(super) queue: Arc<Queue>,
    pub(super) max_pixels: u64,
}

impl Decoder {
    /// Decodes a file on a worker, then queues it.
    pub(super) fn decode(&self, image: Undecoded) {
        let (network, queue, max_pixels) = (Arc::clone(&self.network), Arc::clone(&self.queue), self.max_pixels);
        self.workers.run(move || {
            let start = Instant::now();
            let Some(pending) = image.pending.live(start) else { return };
            let Some(image) = queue.or_defer(Undecoded { pending, ..image }) else { return };
            let prepared = catch_unwind(AssertUnwindSafe(|| network.prepare_file(&image.file, max_pixels)));
            let took = start.elapsed();
            queue.decoded(took);
            match prepared {
                Ok(Ok(prepared)) => queue.push(Entry::new(image.pending, prepared, took)),
                Ok(Err(reason)) => image.pending.answer(Err(Failure::Image(reason))),
                Err(_) => image.pending.answer(Err(Failure::Internal("a panic while the image was prepared".into()))),
            }
        });
    }
}
