//! A list is read without a large block of memory that is needed for a while only.
#![cfg(unix)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicUsize, Ordering};

use hardnet_data::Dataset;

/// The system's allocator, watching what is given back.
struct Watching;

/// The largest block given back, in bytes.
static LARGEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is passed on to `System`, whose promises are the same.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the promises of `System::alloc`, which are those of this function.
        unsafe { System.alloc(layout) }
    }

    // Blocks that grow are not given back: the system moves the pages of large ones.
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as in `alloc`; `memory` came from `System`.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: as in `alloc`; `memory` came from `System`.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

// The only test of this file: what other tests of the same process give back would be seen too.
#[test]
fn a_list_of_50_000_images_gives_back_no_block_as_large_as_a_tensor() {
    const FOLDERS: usize = 250;
    const FILES: usize = 200;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: String| folder.path().join(name);
    fs::create_dir(path("0".into())).expect("a folder is made");
    (0..FILES).for_each(|file| fs::write(path(format!("0/{file}.JPEG")), "").expect("a file is written"));
    (1..FOLDERS).for_each(|link| symlink("0", path(link.to_string())).expect("a link is made"));
    let mut list = String::new();
    for folder in 0..FOLDERS {
        for file in 0..FILES {
            writeln!(list, "{folder}/{file}.JPEG {}", file % 10).expect("a string takes all");
        }
    }
    fs::write(path("list".into()), &list).expect("the list is written");

    LARGEST.store(0, Ordering::Relaxed);
    let dataset = Dataset::from_list(&path("list".into()), folder.path(), 10).expect("a good list");
    let largest = LARGEST.load(Ordering::Relaxed);
    assert_eq!(dataset.samples.len(), FOLDERS * FILES);
    // A tensor has 3 * 224 * 224 * 4 bytes; a vector of the lines is needed for a while.
    assert!((100_000..400_000).contains(&largest), "{largest} bytes");
}
