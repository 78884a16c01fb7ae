//! The tensors of single images, in buffers that are used again.
//!
//! A tensor of 600 kB from the system's allocator is fresh pages each time; here it goes back to where the next worker
//! finds it. There are never more buffers than images in work, ahead and in the batches that a consumer keeps, and all
//! but the latter are there from the start: how far ahead a loader ever gets is up to the system's scheduler, and what
//! it takes should not be found missing after hours.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};

use super::lock;

/// The tensor of one image, `[3, crop, crop]`, f32. Dropping it gives its buffer to the loader for another image.
pub struct ImageTensor {
    values: Vec<f32>,
    pool: Arc<TensorPool>,
}

/// Buffers of one length.
pub(super) struct TensorPool {
    length: usize,
    free: Mutex<Vec<Vec<f32>>>,
}

impl TensorPool {
    /// A pool with `count` buffers.
    pub(super) fn new(length: usize, count: usize) -> Arc<Self> {
        // A system gives pages to what is written, and takes zeros for nothing.
        let free = (0..count).map(|_| vec![f32::NAN; length]).collect();
        Arc::new(Self { length, free: Mutex::new(free) })
    }

    /// A buffer with any values.
    pub(super) fn take(self: &Arc<Self>) -> ImageTensor {
        let free = lock(&self.free).pop();
        let values = free.unwrap_or_else(|| vec![0.0; self.length]);
        ImageTensor { values, pool: Arc::clone(self) }
    }
}

impl Drop for ImageTensor {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        lock(&self.pool.free).push(values);
    }
}

impl Deref for ImageTensor {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values
    }
}

impl DerefMut for ImageTensor {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }
}

impl AsRef<[f32]> for ImageTensor {
    fn as_ref(&self) -> &[f32] {
        self
    }
}

impl fmt::Debug for ImageTensor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ImageTensor of {} values", self.values.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_used_again() {
        let pool = TensorPool::new(3, 1);
        assert_eq!(lock(&pool.free).len(), 1);
        let (first, mut second) = (pool.take(), pool.take());
        second[2] = 7.0;
        let address = second.as_ptr();
        drop(second);
        let again = pool.take();
        assert_eq!((again.as_ptr(), again.len(), first.len()), (address, 3, 3));
        drop((first, again));
        assert_eq!(lock(&pool.free).len(), 2);
    }
}
