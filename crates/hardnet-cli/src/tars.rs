//! `--webdataset`: images of tar files, which are computed as they are read.

use std::ops::Range;

use hardnet_data::{Shard, TarChunks, TarClasses, WebDataset};

use crate::failure::Result;
use crate::printer::Printer;
use crate::shards::{ShardRecord, ShardSettings};

/// Images of a tar file that are computed together, at least.
const CHUNK: usize = 512;

/// Tar files, and which of them this process reads.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    dataset: WebDataset,
    own: Range<usize>,
}

impl Stream {
    /// The tar files of `shard` with its record, or all of them without one; `settings` are what its numbers depend on.
    pub(crate) fn of_shard(
        dataset: WebDataset,
        shard: Option<Shard>,
        settings: impl FnOnce() -> Result<ShardSettings>,
        printer: &Printer,
    ) -> Result<(Self, Option<ShardRecord>)> {
        let tars = dataset.tars().len();
        let Some(shard) = shard else { return Ok((Self { dataset, own: 0..tars }, None)) };
        let own = shard.range(tars, 1);
        printer.note(format_args!("shard {shard}: {} of {tars} tar files, from number {}", own.len(), own.start));
        let names = dataset.tars().iter().map(|tar| tar.display().to_string());
        let record = ShardRecord::of_tars(shard, names, &own, settings()?);
        Ok((Self { dataset, own }, Some(record)))
    }

    /// The number of tar files of all processes together.
    pub(crate) fn tars(&self) -> usize {
        self.dataset.tars().len()
    }

    /// The images of this process with their classes, some whole batches at a time.
    pub(crate) fn chunks(&self, classes: TarClasses, batch_size: usize) -> TarChunks {
        self.dataset.read(self.own.clone(), classes, CHUNK.next_multiple_of(batch_size.max(1)))
    }
}
