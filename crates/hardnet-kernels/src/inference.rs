//! Inference: a network with its packed weights, memory and threads.

pub(crate) mod step;

use std::time::Duration;

use hardnet_simd::Isa;

use crate::error::Result;
use crate::exec::context::Lists;
use crate::exec::program::{Executor, check_length};
use crate::map::{Layout, Shape};
use step::{Step, StepInfo};

/// A network ready to compute images.
#[derive(Debug)]
pub struct Program {
    executor: Executor<Step>,
    infos: Vec<StepInfo>,
    input: Shape,
    /// Outputs that no step copies, each behind so many values of its image.
    unpacked: Vec<(usize, Layout)>,
    output_len: usize,
}

/// Bytes that a program holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Memory {
    /// Packed weights.
    pub weights: usize,
    /// Maps of all images that are computed at once.
    pub maps: usize,
    /// Maps of one image if each had memory of its own.
    pub unshared_maps: usize,
    /// Values between the phases of a step.
    pub scratch: usize,
}

impl Program {
    pub(crate) fn new(
        executor: Executor<Step>,
        infos: Vec<StepInfo>,
        input: Shape,
        unpacked: Vec<(usize, Layout)>,
        output_len: usize,
    ) -> Self {
        Self { executor, infos, input, unpacked, output_len }
    }

    /// Computes every image, each `[C, H, W]`, and writes their outputs, each `[C, H, W]`, one after the other.
    ///
    /// # Errors
    ///
    /// [`Error::Length`](crate::Error::Length) for an image or an output of another size.
    pub fn run<I: AsRef<[f32]>>(&mut self, images: &[I], output: &mut [f32]) -> Result<()> {
        self.run_with(&slices(images), output, None)
    }

    /// As [`Program::run`], and adds the time of each step to `times`, which are as many as [`Program::steps`].
    ///
    /// # Errors
    ///
    /// As [`Program::run`]; [`Error::Length`](crate::Error::Length) for another number of times.
    pub fn profile<I: AsRef<[f32]>>(&mut self, images: &[I], output: &mut [f32], times: &mut [Duration]) -> Result<()> {
        check_length("the list of times", times.len(), self.infos.len())?;
        self.run_with(&slices(images), output, Some(times))
    }

    /// The steps, in the order in which the builder was given the layers; the first loads the image. Steps that copy
    /// outputs follow.
    pub fn steps(&self) -> &[StepInfo] {
        &self.infos
    }

    /// Bytes that the program holds.
    pub fn memory(&self) -> Memory {
        let bytes = |values: usize| values * size_of::<f32>();
        let unshared = self.infos.iter().map(|info| info.bytes).sum::<u64>();
        Memory {
            weights: bytes(self.executor.weights_len()),
            maps: bytes(self.executor.maps_len()),
            unshared_maps: unshared as usize,
            scratch: bytes(self.executor.scratch_len()),
        }
    }

    /// Values of one image.
    pub fn input_len(&self) -> usize {
        self.input.count()
    }

    /// Values of one image's output.
    pub fn output_len(&self) -> usize {
        self.output_len
    }

    /// Images that are computed at once; more are computed in turns.
    pub fn images(&self) -> usize {
        self.executor.max_images()
    }

    /// Threads of the program, the caller's among them.
    pub fn threads(&self) -> usize {
        self.executor.threads()
    }

    /// The instruction set of its kernels.
    pub fn isa(&self) -> Isa {
        self.executor.isa()
    }

    /// It is not generic: a generic function is compiled in the crate that calls it, which may not be optimized, and
    /// the kernels with it.
    fn run_with(&mut self, images: &[&[f32]], output: &mut [f32], mut times: Option<&mut [Duration]>) -> Result<()> {
        check_length("the output", output.len(), images.len() * self.output_len())?;
        for image in images {
            check_length("an image", image.len(), self.input_len())?;
        }
        let outputs = output.chunks_mut((self.images() * self.output_len()).max(1));
        for (images, output) in images.chunks(self.images()).zip(outputs) {
            let steps = 0..self.executor.steps().len();
            let lists = Lists { outputs: output.as_mut_ptr(), ..Lists::NONE };
            #[allow(unsafe_code)]
            // SAFETY: the images have the size of the input, there is room for their outputs, inference reads no other
            // lists, and all steps are run.
            unsafe {
                self.executor.run(steps, images, images.len(), lists, times.as_deref_mut());
            }
            self.executor.unpack(&self.unpacked, self.output_len, output);
        }
        Ok(())
    }
}

fn slices<I: AsRef<[f32]>>(images: &[I]) -> Vec<&[f32]> {
    images.iter().map(AsRef::as_ref).collect()
}
