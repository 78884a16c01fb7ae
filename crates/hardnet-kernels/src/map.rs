//! Memory layout of feature maps.
//!
//! A map of `C` channels is `ceil(C / 8)` blocks, each a plane of rows of pixels of eight consecutive channels, `[C /
//! 8, rows, pitch, 8]`. Around the pixels lies a [`Halo`], rows and columns of zeros, as many as the readers' windows
//! reach out, so that no reader asks where the map ends:
//!
//! ```text
//!      left      width
//!   +--------+-----------+--+
//!   | 0 0 0 0 0 0 0 0 0 0 0 |  top
//!   | 0      | pixel 0 ..|  |
//!   | 0      |           |  |  down: rows from the first of the map on
//!   | 0 0 0 0 0 0 0 0 0 0 0 |
//!   +--------+-----------+--+
//!             right: columns from the first of the map on
//! ```
//!
//! Lanes past the last channel are zero. The image is the exception: in inference its channels are interleaved,
//! `[rows, pitch, C]`, since a block would be mostly empty.
//!
//! Maps of bytes have blocks of sixteen channels, `[C / 16, rows, pitch, 16]`: a vector of AVX-512 has so many sums.
//! The halo holds the byte that stands for zero.

pub use hardnet_graph::Shape;
use hardnet_simd::{BYTE_LANES, LANES};

use crate::gemm::Stride;
use crate::quantization::Quantization;

/// A feature map of a program under construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FeatureMap(pub(crate) usize);

/// Blocks of eight channels of a map.
pub(crate) trait ChannelBlocks {
    /// The number of blocks; lanes past the last channel are zero.
    fn blocks(self) -> usize;
}

impl ChannelBlocks for Shape {
    fn blocks(self) -> usize {
        self.channels.div_ceil(LANES)
    }
}

/// Rows and columns that readers need of a map, with the zeros around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Halo {
    pub(crate) top: usize,
    pub(crate) left: usize,
    /// Rows from the first of the map on.
    pub(crate) down: usize,
    /// Columns from the first of the map on.
    pub(crate) right: usize,
}

impl Halo {
    /// The least halo that contains both.
    pub(crate) fn union(self, other: Self) -> Self {
        Self {
            top: self.top.max(other.top),
            left: self.left.max(other.left),
            down: self.down.max(other.down),
            right: self.right.max(other.right),
        }
    }

    /// Rows of a plane.
    pub(crate) fn rows(self) -> usize {
        self.top + self.down
    }

    /// Pixels of a row of a plane.
    pub(crate) fn pitch(self) -> usize {
        self.left + self.right
    }
}

/// The type of a map's values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Element {
    #[default]
    F32,
    U8(Quantization),
}

/// Bytes after a map of bytes that may be read with its last pixels.
const TAIL: usize = 64;

/// A map in the memory of one image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) size: Shape,
    pub(crate) halo: Halo,
    /// Values of f32 from the start of the image's memory, whatever the map's own values are.
    pub(crate) offset: usize,
    pub(crate) element: Element,
    /// Whether all channels of a pixel lie together, as in the image, rather than in blocks.
    pub(crate) interleaved: bool,
}

impl Layout {
    /// Values from pixel to pixel.
    pub(crate) fn pixel(&self) -> usize {
        if self.interleaved { self.size.channels } else { self.lanes() }
    }

    /// Values from row to row.
    pub(crate) fn row(&self) -> usize {
        self.halo.pitch() * self.pixel()
    }

    /// The steps from pixel to pixel.
    pub(crate) fn stride(&self) -> Stride {
        Stride { row: self.row(), column: self.pixel() }
    }

    /// Values from block to block.
    pub(crate) fn plane(&self) -> usize {
        self.halo.rows() * self.row()
    }

    /// Channels of a block.
    pub(crate) fn lanes(&self) -> usize {
        match self.element {
            Element::F32 => LANES,
            Element::U8(_) => BYTE_LANES,
        }
    }

    /// Values of f32 in the place of the whole map and its halo.
    pub(crate) fn len(&self) -> usize {
        let values = self.planes() * self.plane();
        match self.element {
            Element::F32 => values,
            Element::U8(_) => (values + TAIL).div_ceil(size_of::<f32>()),
        }
    }

    /// Planes: blocks, or one for the interleaved image.
    pub(crate) fn planes(&self) -> usize {
        if self.interleaved { 1 } else { self.size.channels.div_ceil(self.lanes()) }
    }

    /// Values of the map's own from the start of the image's memory to the halo's first.
    pub(crate) fn start(&self) -> usize {
        match self.element {
            Element::F32 => self.offset,
            Element::U8(_) => self.offset * size_of::<f32>(),
        }
    }

    /// The first value of the pixel in row 0 and column 0 of the first block.
    pub(crate) fn origin(&self) -> usize {
        self.start() + self.halo.top * self.row() + self.halo.left * self.pixel()
    }

    /// Writes zeros, or the bytes that stand for them, to the halo of plane `plane` of the image whose memory starts at
    /// `memory`.
    ///
    /// # Safety
    /// The whole map lies in memory valid for writing, and no other thread reads or writes this halo.
    #[allow(unsafe_code)]
    pub(crate) unsafe fn clear_halo(&self, memory: *mut f32, plane: usize) {
        let (row, halo) = (self.row(), self.halo);
        let clear = |start: usize, count: usize| {
            // SAFETY: rows and columns of one plane of the map, which the caller says is writable.
            unsafe {
                let at = self.start() + plane * self.plane() + start;
                match self.element {
                    Element::F32 => memory.add(at).write_bytes(0, count),
                    Element::U8(quantization) => {
                        memory.cast::<u8>().add(at).write_bytes(quantization.zero_point, count);
                    }
                }
            }
        };
        let (left, pixels) = (halo.left * self.pixel(), self.size.width * self.pixel());
        // The end of a row and the start of the next are one run.
        let mut from = 0;
        for y in 0..self.size.height {
            let pixel = (halo.top + y) * row + left;
            clear(from, pixel - from);
            from = pixel + pixels;
        }
        clear(from, self.plane() - from);
    }
}
