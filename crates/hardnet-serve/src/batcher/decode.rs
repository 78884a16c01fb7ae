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
    pub(super) fn decode(self: &Arc<Self>, image: Undecoded) {
        self.queue.push_file(image);
        self.decode_next();
    }

    /// Decodes the file that has waited longest, on a worker.
    pub(super) fn decode_next(self: &Arc<Self>) {
        let decoder = Arc::clone(self);
        self.workers.run(move || {
            let Some(image) = decoder.queue.next_file() else { return };
            match decoder.prepare(image) {
                Some(entry) => decoder.queue.push(entry),
                // Another file may wait for the batch that this one would have been in.
                None => decoder.decode_next(),
            }
        });
    }

    /// The prepared image, unless it was dropped or cannot be had, which is answered.
    fn prepare(&self, Undecoded { file, pending }: Undecoded) -> Option<Entry> {
        let start = Instant::now();
        let pending = pending.live(start)?;
        let prepared = catch_unwind(AssertUnwindSafe(|| self.network.prepare_file(&file, self.max_pixels)));
        let took = start.elapsed();
        self.queue.decoded(took);
        let failure = match prepared {
            Ok(Ok(prepared)) => return Some(Entry::new(pending, prepared, took)),
            Ok(Err(reason)) => Failure::Image(reason),
            Err(_) => Failure::Internal("a panic while the image was prepared".into()),
        };
        pending.answer(Err(failure));
        None
    }
}
