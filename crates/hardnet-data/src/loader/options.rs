//! Options of a loader.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hardnet_simd::Isa;

use crate::{CoreBudget, DecodeLimits};

/// How a [`Loader`](super::Loader) works. The defaults suit networks that take an image in some milliseconds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoaderOptions {
    /// Threads that decode; 0 decodes in the thread that asks for a batch. By default one per processor.
    pub workers: usize,
    /// Consecutive samples of one batch; the last batch may have fewer. By default 32.
    pub batch_size: usize,
    /// The most images decoded ahead of the requested batch, at least 1; by default 64, two batches.
    pub prefetch: usize,
    /// Limits of the memory that a file may make the decoder allocate.
    pub limits: DecodeLimits,
    /// Instruction set of the resize, by default the best of this processor; the tensors do not depend on it.
    pub isa: Isa,
    /// Budget of cores shared with the network: an image is decoded only while it holds one of them. By default there
    /// is no budget, and an image is decoded whenever a worker is free. Reading the file takes no core.
    ///
    /// A consumer that acquires cores itself must release them before it asks for a batch or drops the loader.
    pub cores: Option<Arc<CoreBudget>>,
    /// How long a batch waits for one image, by default 60 seconds. One that is not ready then is a failure,
    /// [`SampleError::TimedOut`](super::SampleError::TimedOut); its thread is abandoned, and its core and its place go
    /// to others.
    ///
    /// Without workers every image is waited for.
    pub timeout: Duration,
}

impl LoaderOptions {
    /// Decodes on `count` threads; 0 decodes in the thread that asks for a batch.
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = count;
        self
    }

    /// Puts `count` consecutive samples in a batch.
    pub fn batch_size(mut self, count: usize) -> Self {
        self.batch_size = count;
        self
    }

    /// Decodes at most `count` images ahead.
    pub fn prefetch(mut self, count: usize) -> Self {
        self.prefetch = count;
        self
    }

    /// Limits what a file may make the decoder allocate.
    pub fn limits(mut self, limits: DecodeLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Resizes with an instruction set.
    pub fn isa(mut self, isa: Isa) -> Self {
        self.isa = isa;
        self
    }

    /// Shares a budget of cores with the network.
    pub fn cores(mut self, cores: Arc<CoreBudget>) -> Self {
        self.cores = Some(cores);
        self
    }

    /// Waits at most `timeout` for one image.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl Default for LoaderOptions {
    fn default() -> Self {
        let workers = thread::available_parallelism().map_or(1, usize::from);
        Self {
            workers,
            batch_size: 32,
            prefetch: 64,
            limits: DecodeLimits::default(),
            isa: Isa::best(),
            cores: None,
            timeout: Duration::from_secs(60),
        }
    }
}
