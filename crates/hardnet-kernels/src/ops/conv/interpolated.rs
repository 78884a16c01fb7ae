//! A 1x1 convolution of interpolated maps and others: the product of the small maps is interpolated, and the sums over
//! the others begin with it. Why that is the same is said in `lower/commute.rs`.
#![allow(unsafe_code)]

use hardnet_graph::{Alignment, Padding};
use hardnet_simd::{Isa, Simd};

use super::direct::{ConvGemm, ConvInput, Direct, Division, PackedFilter, RowOrder};
use super::winograd::Part;
use crate::exec::context::Context;
use crate::gemm::{Clamp, Panel, TileCursor, multiply};
use crate::map::{ChannelBlocks, Layout};
use crate::ops::upsample::Upsampling;

/// Values of the rows of a task: most of a level 2 cache.
const TASK_VALUES: usize = 96 << 10;

/// Tasks of an image at least.
const IMAGE_TASKS: usize = 16;

/// A convolution ready to run, in two phases.
#[derive(Debug)]
pub(crate) struct InterpolatedConv {
    /// The product of the small maps.
    small: Direct,
    upsampling: Upsampling,
    gemm: ConvGemm,
    output: Layout,
    /// Rows of a task.
    rows: usize,
}

impl InterpolatedConv {
    /// The convolution of `sources`, which are interpolated, and `others` to `output` by a filter packed for all of
    /// them; `small` is the place of the sources' product.
    pub(crate) fn new(
        isa: Isa,
        (sources, others): (Vec<Layout>, Vec<Layout>),
        small: Layout,
        alignment: Alignment,
        output: Layout,
        filter: PackedFilter,
    ) -> Self {
        let windows = |layouts: Vec<Layout>| -> Vec<ConvInput> {
            layouts.into_iter().map(|layout| ConvInput { layout, kernel: 1, padding: Padding::default() }).collect()
        };
        let (sources, others) = (windows(sources), windows(others));
        let channels = |inputs: &[ConvInput]| inputs.iter().map(|input| input.layout.size.channels).sum::<usize>();
        let (first, rest) = (channels(&sources), channels(&others));
        let blocks = output.size.blocks();
        let product = |inputs: &[ConvInput], row: usize, filter: PackedFilter| {
            ConvGemm::new(isa, inputs, RowOrder::Taps, 1, blocks, filter).of_rows(isa, blocks, row, first + rest)
        };
        let of_sources = product(&sources, 0, PackedFilter { clamp: Clamp::NONE, ..filter });
        let rows = (TASK_VALUES / (output.size.width * (output.size.channels + rest))).max(1);
        Self {
            small: Direct::new(isa, &sources, of_sources, small, Division::Image).leave_halo(),
            upsampling: Upsampling::new(small, output, alignment),
            gemm: product(&others, first, filter),
            output,
            rows: rows.min(output.size.height.div_ceil(IMAGE_TASKS)),
        }
    }

    /// The phases of a run of `images` images with their tasks.
    pub(crate) fn phases(&self, images: usize, push: &mut dyn FnMut(Part, usize)) {
        push(Part::Inputs(0, images), self.small.tasks(images));
        push(Part::Outputs(0, images), images * self.row_tasks());
    }

    fn row_tasks(&self) -> usize {
        self.output.size.height.div_ceil(self.rows)
    }

    /// Computes one task of `part`.
    ///
    /// # Safety
    /// As [`Step::run`](crate::exec::program::Step::run).
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(&self, s: S, part: Part, task: usize, context: &Context<'_>) {
        if let Part::Inputs(..) = part {
            // SAFETY: the caller's promises.
            return unsafe { self.small.run(s, task, context) };
        }
        let out = &self.output;
        let (image, task) = (task / self.row_tasks(), task % self.row_tasks());
        let memory = context.memory(image);
        let rows = task * self.rows..((task + 1) * self.rows).min(out.size.height);
        for block in 0..out.size.blocks() {
            // SAFETY: the halo is that of the task with the first rows; rows of the output are this task's, and the
            // small product is done.
            unsafe {
                if task == 0 {
                    out.clear_halo(memory, block);
                }
                self.upsampling.rows(s, memory, block, rows.clone());
            }
        }
        let cursor = TileCursor::new(out.size.width, rows.start * out.size.width, self.gemm.stride, out.stride());
        let mut block = 0;
        for &blocks in &self.gemm.panels {
            let output = memory.wrapping_add(out.origin() + block * out.plane());
            let panel = self.gemm.panel(context, (block, blocks), output, out.plane(), true);
            // The sums continue from the interpolated product.
            let panel = Panel { bias: std::ptr::null(), ..panel };
            // SAFETY: pixels of the inputs; outputs of this task's rows, which were interpolated; weights were packed
            // for these panels.
            unsafe { multiply(s, &self.gemm.segments, memory, cursor, rows.len() * out.size.width, &panel) };
            block += blocks;
        }
    }
}
