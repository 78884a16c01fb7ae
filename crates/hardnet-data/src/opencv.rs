//! OpenCV's resize of 8-bit images (`cv2.resize`), bit for bit.
//!
//! OpenCV does not antialias: but for [`Area`](Interpolation::Area), an output pixel is made of the two or four input
//! pixels next to its center along each axis, however much the image shrinks. A photograph that is shrunk to half its
//! size so loses detail that Pillow averages, and gains noise and staircases, which a classifier notices.
//!
//! The arithmetic differs from method to method, and decides the bits:
//!
//! * **Positions** are computed in f64 and rounded to f32; what is left of a position's fraction are the weights.
//! * **Linear and cubic** weights are rounded to multiples of 1/2048. Rows are interpolated horizontally in integers.
//!   Vertically, linear drops the low bits of both factors (`linear.rs`), and cubic is computed in f32, but for the
//!   last few samples of a row, which are computed in integers (`cubic.rs`).
//! * **Exact linear** weights are rounded to multiples of 1/256, and nothing else is rounded before the result.
//! * **Area** averages in integers or in f32, in the order of a table (`area.rs`).
//! * Halving both sides by either linear method is done by `Area`, and enlarging by `Area` is a linear
//!   interpolation with other positions.
//!
//! [`CubicIpp`](Interpolation::CubicIpp) is the cubic interpolation of OpenCV's packages for x86-64, which call Intel's
//! IPP. Its results depend on the processor, so it cannot be reproduced to the bit: see there.
//!
//! A [`Resizer`](crate::Resizer) resizes by these methods as by Pillow's filters. `Memory` chooses, `positions.rs` has
//! pixels and weights, the other files have the loops. Oracle: opencv-python-headless 4.14.0 and 5.0.0 on x86-64, held
//! by `tests/opencv.rs` over stored results.

mod area;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod cubic;
mod linear;
mod nearest;
mod positions;
mod rows;

use std::ops::Range;

use hardnet_simd::Isa;
use serde::{Deserialize, Serialize};

use crate::image::{Image, ImageError};
use crate::interpolation::named;
use crate::window;
use positions::Scale;

/// A method of `cv2.resize`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Interpolation {
    /// `cv2.INTER_NEAREST`: the input pixel at the output pixel's upper left corner.
    Nearest,
    /// `cv2.INTER_LINEAR`: of two pixels along each axis.
    Linear,
    /// `cv2.INTER_LINEAR_EXACT`: the same in other arithmetic, which rounds once.
    LinearExact,
    /// `cv2.INTER_CUBIC` in OpenCV's own arithmetic: of four pixels along each axis, with a = -3/4. It is computed
    /// where OpenCV was built without IPP, as on ARM, or after `cv2.ipp.setUseIPP(False)`.
    Cubic,
    /// `cv2.INTER_CUBIC` as Intel's IPP computes it in OpenCV's packages for x86-64: the same interpolation without
    /// rounded weights. IPP has a version for each instruction set, and they differ from each other: at most three in
    /// 100,000 samples differ from these, by one level. Where an image grows by a whole factor, many results are halves
    /// but for rounding, and up to two in 1,000 differ.
    CubicIpp,
    /// `cv2.INTER_AREA`: the average of the area that an output pixel covers; where an axis grows, a linear
    /// interpolation.
    Area,
}

named!(Interpolation {
    Nearest = "nearest",
    Linear = "linear",
    LinearExact = "linear-exact",
    Cubic = "cubic",
    CubicIpp = "cubic-ipp",
    Area = "area",
});

/// Memory of one thread's resizes.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    linear: linear::Memory,
    cubic: cubic::Memory,
    area: area::Memory,
    nearest: nearest::Memory,
}

impl Memory {
    /// Calls `each` with the number and the samples of every row of the part `window` (columns, rows) of `image`
    /// resampled to `size` (width, height) pixels, in order. Only the window is computed.
    pub(crate) fn each_row(
        &mut self,
        isa: Isa,
        image: &Image,
        size: (u64, u64),
        window: (Range<u64>, Range<u64>),
        interpolation: Interpolation,
        mut each: impl FnMut(usize, &[u8]),
    ) -> Result<(), ImageError> {
        window::sides(size, &window)?;
        let columns = Scale::new(image.width(), size.0);
        let rows = Scale::new(image.height(), size.1);
        let job = Job { isa, image, columns, rows, window };
        let halved = |scale: &Scale| scale.integral() == Some(2);
        if (image.width() as u64, image.height() as u64) == size {
            job.copy(&mut each);
            return Ok(());
        }
        match interpolation {
            Interpolation::Nearest => self.nearest.run(&job, &mut each),
            Interpolation::Linear | Interpolation::LinearExact if halved(&columns) && halved(&rows) => {
                self.area.run(&job, &mut each)
            }
            Interpolation::Linear => self.linear.run(&job, Scale::position, &mut each),
            Interpolation::LinearExact => self.linear.run_exact(&job, &mut each),
            Interpolation::Cubic => self.cubic.run(&job, cubic::Arithmetic::Own, &mut each),
            Interpolation::CubicIpp => self.cubic.run(&job, cubic::Arithmetic::Ipp, &mut each),
            Interpolation::Area if columns.shrinks() && rows.shrinks() => self.area.run(&job, &mut each),
            Interpolation::Area => self.linear.run(&job, Scale::area_position, &mut each),
        }
        Ok(())
    }
}

/// One resize: the image, the scales of its axes and the part that is computed.
struct Job<'a> {
    isa: Isa,
    image: &'a Image,
    columns: Scale,
    rows: Scale,
    /// Columns and rows of the resized image.
    window: (Range<u64>, Range<u64>),
}

impl<'a> Job<'a> {
    fn channels(&self) -> usize {
        self.image.channels().count()
    }

    /// The samples of input row `row`, and all that follow.
    fn rows_from(&self, row: usize) -> &'a [u8] {
        &self.image.samples()[row * self.image.width() * self.channels()..]
    }

    /// The samples of input row `row`.
    fn row(&self, row: usize) -> &'a [u8] {
        &self.rows_from(row)[..self.image.width() * self.channels()]
    }

    /// Samples of a row of the window.
    fn length(&self) -> usize {
        (self.window.0.end - self.window.0.start) as usize * self.channels()
    }

    /// Rows of the window, and the first of them.
    fn window_rows(&self) -> impl Iterator<Item = (usize, u64)> + use<> {
        (0..).zip(self.window.1.clone())
    }

    /// Calls `each` with the window of an image that keeps its size.
    fn copy(&self, each: &mut dyn FnMut(usize, &[u8])) {
        let first = self.window.0.start as usize * self.channels();
        for (index, row) in self.window_rows() {
            each(index, &self.row(row as usize)[first..][..self.length()]);
        }
    }
}
