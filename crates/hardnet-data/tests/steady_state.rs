//! A resizer that has seen an image of some size prepares the next without allocating.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use common::noise;
use hardnet_data::{Pipeline, Resizer};
use hardnet_simd::Isa;

/// The system's allocator, counting.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is passed on to `System`, whose promises are the same.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the promises of `System::alloc`, which are those of this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`; `memory` came from `System`.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// The only test of this file: other tests of the same process would be counted too.
#[test]
fn the_second_image_of_a_size_allocates_nothing() {
    let pipeline = Pipeline::pil_bicubic();
    let mut out = vec![0.0; 3 * 224 * 224];
    // Enlarged, shrunk with the columns first and with the rows first.
    let images = [noise(100, 75, 3), noise(500, 375, 3), noise(400, 900, 1)];
    for isa in Isa::of_f32() {
        let mut resizer = Resizer::with_isa(isa);
        for round in 0..2 {
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            for image in &images {
                pipeline.tensor_with(&mut resizer, image, &mut out).unwrap();
            }
            let allocated = ALLOCATIONS.load(Ordering::Relaxed) - before;
            assert_eq!(allocated == 0, round == 1, "{isa}: {allocated} allocations in round {round}");
        }
    }
}
