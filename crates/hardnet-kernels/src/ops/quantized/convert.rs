//! From maps of f32 to maps of bytes, and back.
#![allow(unsafe_code)]

use hardnet_simd::{BYTE_LANES, Dot, DotKernel, Isa, LANES, dispatch_dot};

use super::bytes;
use crate::exec::context::Context;
use crate::map::{Element, Layout};
use crate::quantization::Quantization;

/// Pixels of a task at least, so that claiming it costs little.
const TASK_PIXELS: usize = 512;

/// A conversion of a map, ready to run.
#[derive(Debug)]
pub(crate) struct Convert {
    isa: Isa,
    input: Layout,
    output: Layout,
    quantization: Quantization,
    /// Rows of a task, and tasks of a block of bytes.
    rows: usize,
    row_tasks: usize,
}

impl Convert {
    /// The conversion of `input` to `output`, one of which is a map of bytes of this quantization.
    pub(crate) fn new(isa: Isa, input: Layout, output: Layout, quantization: Quantization) -> Self {
        let rows = TASK_PIXELS.div_ceil(output.size.width).min(output.size.height);
        Self { isa, input, output, quantization, rows, row_tasks: output.size.height.div_ceil(rows) }
    }

    /// Blocks of bytes.
    fn blocks(&self) -> usize {
        self.output.size.channels.div_ceil(BYTE_LANES)
    }

    /// Tasks of a run of `images` images: rows of blocks.
    pub(crate) fn tasks(&self, images: usize) -> usize {
        images * self.blocks() * self.row_tasks
    }

    /// Computes one task.
    ///
    /// # Safety
    /// As [`Step::run`](crate::exec::program::Step::run).
    #[inline(never)]
    pub(crate) unsafe fn run(&self, task: usize, context: &Context<'_>) {
        let (task, block) = (task / self.blocks(), task % self.blocks());
        let (image, row_task) = (task / self.row_tasks, task % self.row_tasks);
        let (memory, out) = (context.memory(image), &self.output);
        let planes = BYTE_LANES / out.lanes();
        if row_task == 0 {
            for plane in block * planes..((block + 1) * planes).min(out.planes()) {
                // SAFETY: the halo of a block, which is this task's with the first rows.
                unsafe { out.clear_halo(memory, plane) };
            }
        }
        let first = row_task * self.rows;
        for y in first..(first + self.rows).min(out.size.height) {
            let (float, byte) = match out.element {
                Element::F32 => (out, &self.input),
                Element::U8(_) => (&self.input, out),
            };
            let float_block = block * BYTE_LANES / LANES;
            let row = ConvertRow {
                floats: memory.wrapping_add(float.origin() + float_block * float.plane() + y * float.row()),
                plane: float.plane(),
                float_blocks: (float.planes() - float_block).min(BYTE_LANES / LANES),
                bytes: bytes(memory).wrapping_add(byte.origin() + block * byte.plane() + y * byte.row()),
                to_bytes: out.element != Element::F32,
                width: out.size.width,
                quantization: self.quantization,
            };
            // SAFETY: a row of a block of both maps; that of the output is this task's.
            dispatch_dot(self.isa, row);
        }
    }
}

/// A row of a block of sixteen channels. It is run where the row of the one map is valid for reading, and that of the
/// other for writing.
pub(crate) struct ConvertRow {
    pub(crate) floats: *mut f32,
    /// Values from one block of f32 to the next, and blocks.
    pub(crate) plane: usize,
    pub(crate) float_blocks: usize,
    pub(crate) bytes: *mut u8,
    pub(crate) to_bytes: bool,
    pub(crate) width: usize,
    pub(crate) quantization: Quantization,
}

impl DotKernel for ConvertRow {
    type Output = ();

    #[inline(always)]
    fn run<D: Dot>(self, d: D) {
        let Quantization { scale, zero_point } = self.quantization;
        let zero = f32::from(zero_point);
        for x in 0..self.width {
            for first in (0..BYTE_LANES).step_by(D::LANES) {
                let floats = self.floats.wrapping_add(first / LANES * self.plane + x * LANES);
                let bytes = self.bytes.wrapping_add(x * BYTE_LANES + first);
                let blocks = self.float_blocks.saturating_sub(first / LANES).min(D::LANES / LANES);
                // SAFETY: lanes of pixel `x`, of the blocks that the map of f32 has.
                unsafe {
                    if self.to_bytes {
                        let value = if blocks > 0 { d.gather(floats, self.plane, blocks) } else { d.splat(0.0) };
                        let value = d.mul_add(value, d.splat(1.0 / scale), d.splat(zero));
                        d.store_bytes(bytes, d.clamp(value, d.splat(0.0), d.splat(255.0)));
                    } else if blocks > 0 {
                        // Both operations round nothing: the difference is a small integer.
                        let value = d.mul_add(d.load_bytes(bytes), d.splat(1.0), d.splat(-zero));
                        let value = d.mul_add(value, d.splat(scale), d.splat(0.0));
                        d.scatter(floats, self.plane, blocks, value);
                    }
                }
            }
        }
    }
}
