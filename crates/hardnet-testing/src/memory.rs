//! Memory of a test program, counted by its allocator.
//!
//! ```
//! use hardnet_testing::memory::{CountingAllocator, peak};
//!
//! #[global_allocator]
//! static ALLOCATOR: CountingAllocator = CountingAllocator;
//!
//! let taken = peak(|| drop(vec![0_u8; 1000]));
//! assert!(taken >= 1000);
//! ```
//!
//! A program that counts has one test, so that nothing else is counted.
#![allow(unsafe_code, reason = "an allocator that counts cannot be written without it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, with a count of the bytes that are taken.
#[derive(Debug)]
pub struct CountingAllocator;

// SAFETY: every call is handed to the system's allocator as it is.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`, and `alloc` above took the block from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The most bytes that are taken while `run` runs, beyond those that are taken before. The program's allocator must be
/// a [`CountingAllocator`].
pub fn peak(run: impl FnOnce()) -> usize {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    run();
    PEAK.load(Ordering::Relaxed) - before
}
