//! Options of a plan.

use hardnet_kernels::{Algorithm, Isa};

/// Options of a [`Plan`](crate::Plan).
///
/// ```
/// use hardnet_engine::PlanOptions;
///
/// let options = PlanOptions::default().size(320, 320).batch(8).threads(2).batch_invariant(true);
/// assert_eq!((options.height, options.batch), (320, 8));
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PlanOptions {
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// Images computed at once; a run of more takes turns. More need more memory, and fewer read the weights more
    /// often.
    pub batch: usize,
    /// Threads, the caller's among them; by default one for each processor that the process may use
    /// ([`std::thread::available_parallelism`]). Where each core runs two of them (hyper-threading), as many threads as
    /// physical cores are often faster; the command line does so.
    pub threads: usize,
    /// Instruction set of the kernels.
    pub isa: Isa,
    /// Algorithm of the 3x3 convolutions of stride 1; by default each has the one that was the fastest for its shape.
    pub algorithm: Option<Algorithm>,
    /// Whether an image's logits are the same, to the last bit, whatever the batch: algorithms are chosen as for one
    /// image.
    ///
    /// Otherwise algorithms are chosen for the whole batch, and their rounding differs. Layers of few pixels are slower
    /// with this in large batches, and hold more transformed weights.
    pub batch_invariant: bool,
}

impl Default for PlanOptions {
    /// One image of 224x224 pixels at once, a thread for each processor that the process may use, the best instruction
    /// set.
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { height: 224, width: 224, batch: 1, threads, isa: Isa::best(), algorithm: None, batch_invariant: false }
    }
}

impl PlanOptions {
    /// Sets the rows and columns of an image.
    #[must_use]
    pub fn size(mut self, height: usize, width: usize) -> Self {
        (self.height, self.width) = (height, width);
        self
    }

    /// Sets the number of images computed at once.
    #[must_use]
    pub fn batch(mut self, images: usize) -> Self {
        self.batch = images;
        self
    }

    /// Sets the number of threads, the caller's among them.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Sets the instruction set of the kernels.
    #[must_use]
    pub fn isa(mut self, isa: Isa) -> Self {
        self.isa = isa;
        self
    }

    /// Sets the algorithm of all 3x3 convolutions of stride 1.
    #[must_use]
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = Some(algorithm);
        self
    }

    /// Sets whether logits are independent of the batch.
    #[must_use]
    pub fn batch_invariant(mut self, invariant: bool) -> Self {
        self.batch_invariant = invariant;
        self
    }

    /// Images that algorithms are chosen for.
    pub(crate) fn chosen_batch(&self) -> usize {
        if self.batch_invariant { 1 } else { self.batch }
    }
}
