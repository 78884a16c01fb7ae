//! `--webdataset`: images of tar files, which are computed as they are read.

use std::ops::Range;

use anyhow::Context;
use hardnet_data::{Shard, TarChunks, TarClasses, WebDataset};

use crate::failure::Result;
use crate::format::counted;
use crate::printer::Printer;
use crate::shards::{ShardRecord, ShardSettings};

/// Images that are read of a tar file before they are computed, at least.
const CHUNK: usize = 512;

/// Tar files, and which of them this process reads.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    dataset: WebDataset,
    own: Range<usize>,
}

/// The tar files of `pattern`. Those of `shard`, or all without one, are there: the last one may be read after hours.
pub(crate) fn find(pattern: &str, shard: Option<Shard>) -> Result<WebDataset> {
    let dataset = WebDataset::from_pattern(pattern)?;
    for tar in &dataset.tars()[own(&dataset, shard)] {
        std::fs::metadata(tar).with_context(|| format!("cannot read `{}`", tar.display()))?;
    }
    Ok(dataset)
}

/// The tar files of `shard`, or all of them without one.
fn own(dataset: &WebDataset, shard: Option<Shard>) -> Range<usize> {
    let tars = dataset.tars().len();
    shard.map_or(0..tars, |shard| shard.range(tars, 1))
}

impl Stream {
    /// The tar files of `shard` with its record, or all of them without one; `settings` are what its numbers depend on.
    pub(crate) fn of_shard(
        dataset: WebDataset,
        shard: Option<Shard>,
        settings: impl FnOnce() -> Result<ShardSettings>,
        printer: &Printer,
    ) -> Result<(Self, Option<ShardRecord>)> {
        let (tars, own) = (dataset.tars().len(), own(&dataset, shard));
        let Some(shard) = shard else { return Ok((Self { dataset, own }, None)) };
        printer.note(format_args!("shard {shard}: {} of {tars} tar files, from number {}", own.len(), own.start));
        let names = dataset.tars().iter().map(|tar| tar.display().to_string());
        let record = ShardRecord::of_tars(shard, names, &own, settings()?);
        Ok((Self { dataset, own }, Some(record)))
    }

    /// The number of tar files of all processes together.
    pub(crate) fn tars(&self) -> usize {
        self.dataset.tars().len()
    }

    /// Warns if the tar files of this process have had no `images`, readable or not.
    pub(crate) fn warn_if_empty(&self, images: usize, printer: &Printer) {
        if images == 0 && !self.own.is_empty() {
            let tars = counted(self.own.len(), "tar file");
            printer.warn(format_args!("no image in {tars}: names of images end in .jpg, .jpeg or .png"));
        }
    }

    /// The images of this process with their classes, some whole batches at a time.
    pub(crate) fn chunks(&self, classes: TarClasses, batch_size: usize) -> TarChunks {
        self.dataset.read(self.own.clone(), classes, CHUNK.next_multiple_of(batch_size.max(1)))
    }
}
