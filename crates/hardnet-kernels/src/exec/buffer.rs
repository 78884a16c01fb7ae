//! Memory for maps and packed weights: zeroed, aligned to cache lines, in huge pages where the system has them.
//!
//! Sizes are in values of f32.

use std::ops::{Deref, DerefMut};

use hardnet_simd::LANES;

/// Bytes of a huge page of x86-64 and AArch64 Linux.
const HUGE_PAGE: usize = 2 << 20;

/// Bytes of a cache line.
pub(crate) const CACHE_LINE: usize = 64;

/// Zeroed f32. The system provides pages as they are first touched.
#[derive(Debug)]
pub(crate) struct AlignedBuffer {
    memory: imp::Memory,
    len: usize,
}

impl AlignedBuffer {
    /// `len` zeros, at the start of a huge page if they fill one, of a cache line otherwise.
    pub(crate) fn zeroed(len: usize) -> Self {
        let bytes = len * size_of::<f32>();
        Self { memory: imp::Memory::zeroed(bytes, if bytes < HUGE_PAGE { CACHE_LINE } else { HUGE_PAGE }), len }
    }

    /// The first value, for readers and writers that share the buffer.
    pub(crate) fn as_ptr(&self) -> *mut f32 {
        self.memory.start()
    }
}

impl Deref for AlignedBuffer {
    type Target = [f32];

    #[allow(unsafe_code)]
    fn deref(&self) -> &[f32] {
        // SAFETY: the memory holds `len` initialized values until the buffer is dropped.
        unsafe { std::slice::from_raw_parts(self.as_ptr(), self.len) }
    }
}

impl DerefMut for AlignedBuffer {
    #[allow(unsafe_code)]
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: the memory holds `len` initialized values, and the buffer is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.as_ptr(), self.len) }
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
#[allow(unsafe_code)]
mod imp {
    use super::HUGE_PAGE;

    /// Anonymous pages, with room to align their start.
    #[derive(Debug)]
    pub(super) struct Memory {
        mapping: *mut libc::c_void,
        mapped: usize,
        start: *mut f32,
    }

    // SAFETY: the pages belong to this value alone; access is governed by borrows of `AlignedBuffer`.
    unsafe impl Send for Memory {}
    // SAFETY: as above.
    unsafe impl Sync for Memory {}

    impl Memory {
        pub(super) fn zeroed(bytes: usize, align: usize) -> Self {
            // Whole huge pages: the system gives none for a part.
            let bytes = bytes.max(1).next_multiple_of(align);
            let mapped = bytes + align;
            // SAFETY: an anonymous private mapping at an address that the system chooses touches no memory in use.
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
                // SAFETY: the clamp lies in the mapping; the advice changes no contents, and may fail.
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
            // SAFETY: this is the mapping of `zeroed`, which nothing borrows now.
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

    // SAFETY: the memory belongs to this value alone; access is governed by borrows of `AlignedBuffer`.
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

/// Packed weights: a stack of buffers from which slices are taken.
#[derive(Debug, Default)]
pub(crate) struct PackedWeights {
    buffers: Vec<AlignedBuffer>,
    /// Values of the last buffer that are taken.
    used: usize,
    total: usize,
}

/// Where a slice of [`PackedWeights`] lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackedSlice {
    buffer: usize,
    start: usize,
    len: usize,
}

impl PackedSlice {
    /// Number of its values.
    pub(crate) fn len(self) -> usize {
        self.len
    }
}

/// Values that a vector may reach past the last of a slice.
pub(crate) const READ_PADDING: usize = LANES;

/// Values of a buffer, unless one slice is larger. What is not written to costs address space only.
const BUFFER: usize = 8 << 20;

impl PackedWeights {
    /// Takes `len` values, which `fill` writes over zeros. [`READ_PADDING`] values after them may be read.
    pub(crate) fn push(&mut self, len: usize, fill: impl FnOnce(&mut [f32])) -> PackedSlice {
        let room = self.buffers.last().map_or(0, |buffer| buffer.len().saturating_sub(self.used));
        if room < len + READ_PADDING || self.buffers.is_empty() {
            self.buffers.push(AlignedBuffer::zeroed(BUFFER.max(len + READ_PADDING)));
            self.used = 0;
        }
        let last = self.buffers.len() - 1;
        let slice = PackedSlice { buffer: last, start: self.used, len };
        fill(&mut self.buffers[last][slice.start..slice.start + len]);
        self.used += (len + READ_PADDING).next_multiple_of(CACHE_LINE / size_of::<f32>());
        self.total += len;
        slice
    }

    /// The values of a slice of these weights.
    #[cfg(test)]
    fn get(&self, slice: PackedSlice) -> &[f32] {
        &self.buffers[slice.buffer][slice.start..slice.start + slice.len]
    }

    /// The first value of a slice of these weights. In training, tasks write to parts of slices while others read
    /// parts: no reference to values is made then.
    pub(crate) fn as_ptr(&self, slice: PackedSlice) -> *mut f32 {
        self.buffers[slice.buffer].as_ptr().wrapping_add(slice.start)
    }

    /// Values in all slices.
    pub(crate) fn len(&self) -> usize {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_aligned_and_apart() {
        let mut store = PackedWeights::default();
        let lens = [3, 16, 1, BUFFER - 40, 100, BUFFER + 5, 7];
        let slices: Vec<_> = lens.iter().map(|&len| store.push(len, |values| values.fill(len as f32))).collect();
        for (&slice, &len) in slices.iter().zip(&lens) {
            let values = store.get(slice);
            assert_eq!(values.as_ptr().align_offset(CACHE_LINE), 0, "{slice:?}");
            assert!(values.len() == len && values.iter().all(|&value| value == len as f32), "{slice:?}");
        }
        assert_eq!(store.len(), lens.iter().sum::<usize>());
    }

    #[test]
    fn buffers_start_on_lines_and_are_zero() {
        for len in [0, 1, 1000, 600_000] {
            let buffer = AlignedBuffer::zeroed(len);
            assert_eq!(buffer.as_ptr().align_offset(CACHE_LINE), 0, "{len}");
            assert!(buffer.iter().all(|&value| value == 0.0));
        }
    }
}
