//! The cores that images hold, so that an image that is given up releases its core too.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use super::lock;
use crate::CoreBudget;

/// The permits of the images in work: one core for each.
///
/// They are kept by position and not by [`Permit`](crate::Permit), which would stay with a thread that does not come
/// back.
pub(super) struct ImagePermits {
    cores: Option<Arc<CoreBudget>>,
    /// The positions of the images that hold a core.
    holders: Mutex<HashSet<usize>>,
}

/// The core of one image, until dropped.
pub(super) struct ImagePermit<'a> {
    permits: &'a ImagePermits,
    position: usize,
}

impl ImagePermits {
    pub(super) fn new(cores: Option<Arc<CoreBudget>>) -> Self {
        Self { cores, holders: Mutex::default() }
    }

    /// Waits for a core for the image at `position`.
    pub(super) fn acquire(&self, position: usize) -> ImagePermit<'_> {
        if let Some(cores) = &self.cores {
            std::mem::forget(cores.acquire(1));
            lock(&self.holders).insert(position);
        }
        ImagePermit { permits: self, position }
    }

    /// Releases the core of the image at `position`, if it holds one.
    pub(super) fn release(&self, position: usize) {
        if let Some(cores) = &self.cores
            && lock(&self.holders).remove(&position)
        {
            cores.release(1);
        }
    }
}

impl Drop for ImagePermit<'_> {
    fn drop(&mut self) {
        self.permits.release(self.position);
    }
}
