//! Memory for maps and packed weights: zeroed, aligned to cache lines, in huge pages where the system has them.

use std::ops::{Deref, DerefMut};

use hardnet_simd::LANES;

/// Bytes of a huge page of x86-64 and AArch64 Linux.
const HUGE_PAGE: usize = 2 << 20;

/// Bytes of a cache line.
const LINE: usize = 64;

/// A block of zeroed f32. Pages are taken from the system as they are first touched.
#[derive(Debug)]
pub(crate) struct Region {
    memory: imp::Memory,
    len: usize,
}

impl Region {
    /// `len` zeros, at the start of a huge page if they fill one, of a cache line otherwise.
    pub(crate) fn zeroed(len: usize) -> Self {
        let bytes = len * size_of::<f32>();
        Self { memory: imp::Memory::zeroed(bytes, if bytes < HUGE_PAGE { LINE } else { HUGE_PAGE }), len }
    }

    /// The first value, for readers and writers that share the region.
    pub(crate) fn as_ptr(&self) -> *mut f32 {
        self.memory.start()
    }
}

impl Deref for Region {
    type Target = [f32];

    #[allow(unsafe_code)]
    fn deref(&self) -> &[f32] {
        // SAFETY: the memory holds `len` initialised values until the region is dropped.
        unsafe { std::slice::from_raw_parts(self.as_ptr(), self.len) }
    }
}

impl DerefMut for Region {
    #[allow(unsafe_code)]
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: the memory holds `len` initialised values, and the region is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.as_ptr(), self.len) }
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
#[allow(unsafe_code)]
mod imp {
    use super::HUGE_PAGE;

    /// Anonymous pages, larger than asked by as much as alignment may cost.
    #[derive(Debug)]
    pub(super) struct Memory {
        mapping: *mut libc::c_void,
        mapped: usize,
        start: *mut f32,
    }

    // SAFETY: the pages belong to this value alone; access is governed by borrows of `Region`.
    unsafe impl Send for Memory {}
    // SAFETY: as above.
    unsafe impl Sync for Memory {}

    impl Memory {
        pub(super) fn zeroed(bytes: usize, align: usize) -> Self {
            // Whole huge pages: the system gives none for a part.
            let bytes = bytes.max(1).next_multiple_of(align);
            let mapped = bytes + align;
            // SAFETY: an anonymous private mapping at an address of the system's choice touches no memory in use.
            let mapping = unsafe {
                libc::mmap(
                    std::ptr::null_mut(),
                    mapped,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                    -1,
                    0,
                )
            };
            if mapping == libc::MAP_FAILED {
                let layout = std::alloc::Layout::from_size_align(bytes, align).expect("sizes of maps fit an address");
                std::alloc::handle_alloc_error(layout);
            }
            let padding = mapping.align_offset(align);
            let start = mapping.wrapping_byte_add(padding).cast();
            if align == HUGE_PAGE {
                // SAFETY: the range lies in the mapping; the advice changes no contents, and its failure does no harm.
                unsafe { libc::madvise(mapping.byte_add(padding), bytes, libc::MADV_HUGEPAGE) };
            }
            Self { mapping, mapped, start }
        }

        pub(super) fn start(&self) -> *mut f32 {
            self.start
        }
    }

    impl Drop for Memory {
        fn drop(&mut self) {
            // SAFETY: this is the mapping of `zeroed`, which nothing borrows any more.
            unsafe { libc::munmap(self.mapping, self.mapped) };
        }
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
#[allow(unsafe_code)]
mod imp {
    use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};

    /// Memory of the global allocator.
    #[derive(Debug)]
    pub(super) struct Memory {
        start: *mut f32,
        layout: Layout,
    }

    // SAFETY: the memory belongs to this value alone; access is governed by borrows of `Region`.
    unsafe impl Send for Memory {}
    // SAFETY: as above.
    unsafe impl Sync for Memory {}

    impl Memory {
        pub(super) fn zeroed(bytes: usize, align: usize) -> Self {
            let layout = Layout::from_size_align(bytes.max(1), align).expect("sizes of maps fit an address");
            // SAFETY: the layout is not empty.
            let start = unsafe { alloc_zeroed(layout) };
            if start.is_null() {
                handle_alloc_error(layout);
            }
            Self { start: start.cast(), layout }
        }

        pub(super) fn start(&self) -> *mut f32 {
            self.start
        }
    }

    impl Drop for Memory {
        fn drop(&mut self) {
            // SAFETY: this is the allocation of `zeroed` with its layout.
            unsafe { dealloc(self.start.cast(), self.layout) };
        }
    }
}

/// A stack of regions that packed weights are written into, each piece once.
#[derive(Debug, Default)]
pub(crate) struct Store {
    regions: Vec<Region>,
    /// Values of the last region that are taken.
    used: usize,
    total: usize,
}

/// Where a piece of a [`Store`] lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    region: usize,
    start: usize,
    len: usize,
}

impl Piece {
    /// Number of its values.
    pub(crate) fn len(self) -> usize {
        self.len
    }
}

/// Values that a vector may reach behind the last of a piece.
pub(crate) const BEHIND: usize = LANES;

/// Values of a region of a store, unless one piece is larger. What is not written to costs address space only.
const REGION: usize = 8 << 20;

impl Store {
    /// Makes room for `len` values, which `fill` writes over zeros. [`BEHIND`] values behind them may be read.
    pub(crate) fn push(&mut self, len: usize, fill: impl FnOnce(&mut [f32])) -> Piece {
        let room = self.regions.last().map_or(0, |region| region.len().saturating_sub(self.used));
        if room < len + BEHIND || self.regions.is_empty() {
            self.regions.push(Region::zeroed(REGION.max(len + BEHIND)));
            self.used = 0;
        }
        let last = self.regions.len() - 1;
        let piece = Piece { region: last, start: self.used, len };
        fill(&mut self.regions[last][piece.start..piece.start + len]);
        self.used += (len + BEHIND).next_multiple_of(LINE / size_of::<f32>());
        self.total += len;
        piece
    }

    /// The values of a piece of this store.
    pub(crate) fn get(&self, piece: Piece) -> &[f32] {
        &self.regions[piece.region][piece.start..piece.start + piece.len]
    }

    /// The first value of a piece of this store, for threads that write to parts of it while they hold the store.
    pub(crate) fn at(&self, piece: Piece) -> *mut f32 {
        self.regions[piece.region].as_ptr().wrapping_add(piece.start)
    }

    /// Values in all pieces.
    pub(crate) fn len(&self) -> usize {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_aligned_and_apart() {
        let mut store = Store::default();
        let lens = [3, 16, 1, REGION - 40, 100, REGION + 5, 7];
        let pieces: Vec<_> = lens.iter().map(|&len| store.push(len, |values| values.fill(len as f32))).collect();
        for (&piece, &len) in pieces.iter().zip(&lens) {
            let values = store.get(piece);
            assert_eq!(values.as_ptr().align_offset(LINE), 0, "{piece:?}");
            assert!(values.len() == len && values.iter().all(|&value| value == len as f32), "{piece:?}");
        }
        assert_eq!(store.len(), lens.iter().sum::<usize>());
    }

    #[test]
    fn regions_start_on_lines_and_are_zero() {
        for len in [0, 1, 1000, 600_000] {
            let region = Region::zeroed(len);
            assert_eq!(region.as_ptr().align_offset(LINE), 0, "{len}");
            assert!(region.iter().all(|&value| value == 0.0));
        }
    }
}
