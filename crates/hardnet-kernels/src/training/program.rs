//! Both passes of a network, ready to run.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::observer::GradientObserver;
use super::part::BatchPart;
use super::step::Step;
use crate::error::{Error, Result};
use crate::exec::context::{Lists, Whole};
use crate::exec::program::{Executor, check_length};
use crate::map::{Layout, Shape};

/// How often an observer is given gradients in a backward pass, at most.
const OBSERVATIONS: usize = 16;

/// A network with its memory and threads, for training.
#[derive(Debug)]
pub struct Program {
    executor: Executor<Step>,
    /// Steps of the forward pass.
    forward: usize,
    input: Shape,
    /// Outputs, each behind so many values of its image.
    outputs: Vec<(usize, Layout)>,
    parameters: usize,
    statistics: usize,
    /// Where a backward pass stops for an observer: the number of the next step, and the parameter from which on
    /// gradients are final. At least a sixteenth of the parameters lies between two, but for the last.
    stops: Vec<(usize, usize)>,
    /// Images and seed of the forward pass that the maps are of, until its backward pass.
    ready: Option<(usize, u64)>,
    /// The part of a batch that the images are, if there are others.
    part: Option<Arc<dyn BatchPart>>,
    /// Time of each step, where it is measured.
    times: Option<Vec<Duration>>,
}

impl Program {
    pub(crate) fn new(
        executor: Executor<Step>,
        forward: usize,
        input: Shape,
        outputs: Vec<Layout>,
        (parameters, statistics): (usize, usize),
        finals: &[(usize, usize)],
    ) -> Self {
        let mut first = 0;
        let outputs = outputs.into_iter().map(|layout| {
            first += layout.size.count();
            (first - layout.size.count(), layout)
        });
        let outputs = outputs.collect();
        let stops = stops(finals, parameters, executor.steps().len());
        // The sums of a step are exchanged when the step before it has run.
        assert!(stops.iter().all(|&(step, _)| executor.steps().get(step).is_none_or(|step| !step.uses_sums())));
        let (ready, part, times) = (None, None, None);
        Self { executor, forward, input, outputs, parameters, statistics, stops, ready, part, times }
    }

    /// Computes `part` of a batch from now on, or whole batches. A backward pass has the part of its forward pass.
    pub fn set_part(&mut self, part: Option<Arc<dyn BatchPart>>) {
        (self.part, self.ready) = (part, None);
    }

    /// Computes the outputs of images, `[N, C, H, W]`, by the batch's statistics, which are written too. The values
    /// that dropout drops follow from `seed` by [`dropout_keeps`](super::dropout_keeps).
    ///
    /// # Errors
    ///
    /// [`Error::Length`] for a list of another length than the network's, or for no images or more than there is memory
    /// for; [`Error::Stopped`] if another part of the batch failed.
    pub fn forward(
        &mut self,
        pixels: &[f32],
        parameters: &[f32],
        seed: u64,
        outputs: &mut [f32],
        statistics: &mut [f32],
    ) -> Result<()> {
        let image = self.input.count();
        let images = (pixels.len() / image).clamp(1, self.images());
        check_length("the list of images", pixels.len(), images * image)?;
        check_length("the list of parameters", parameters.len(), self.parameters)?;
        check_length("the list of outputs", outputs.len(), images * self.output_len())?;
        check_length("the list of statistics", statistics.len(), self.statistics)?;
        self.ready = None;
        let pixels: Vec<&[f32]> = pixels.chunks(image).collect();
        let lists = Lists { parameters, statistics: statistics.as_mut_ptr(), seed, ..Lists::NONE };
        self.run(0..self.forward, &pixels, images, lists)?;
        self.executor.unpack(&self.outputs, self.output_len(), outputs);
        self.ready = Some((images, seed));
        Ok(())
    }

    /// Computes the gradients of all parameters by that of the outputs of the last [forward pass](Self::forward), which
    /// had the same parameters. It can be done once for each forward pass.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] for a list of another length, [`Error::NotForwarded`] without a forward pass before it,
    /// [`Error::Stopped`] if another part of the batch failed.
    pub fn backward(&mut self, parameters: &[f32], output_gradient: &[f32], gradients: &mut [f32]) -> Result<()> {
        self.backward_observed(parameters, output_gradient, gradients, None)
    }

    /// The same, with an observer that takes gradients while others are computed.
    ///
    /// # Errors
    ///
    /// As [`backward`](Self::backward).
    pub fn backward_observed(
        &mut self,
        parameters: &[f32],
        output_gradient: &[f32],
        gradients: &mut [f32],
        observer: Option<&dyn GradientObserver>,
    ) -> Result<()> {
        let (images, seed) = self.ready.ok_or(Error::NotForwarded)?;
        check_length("the list of parameters", parameters.len(), self.parameters)?;
        check_length("the gradient of the outputs", output_gradient.len(), images * self.output_len())?;
        check_length("the list of gradients", gradients.len(), self.parameters)?;
        self.ready = None;
        let steps = self.executor.steps().len();
        let Some(observer) = observer else {
            let lists = Lists { parameters, output_gradient, gradients: gradients.as_mut_ptr(), seed, ..Lists::NONE };
            return self.run(self.forward..steps, &[], images, lists);
        };
        let (mut first, mut last) = (self.forward, self.parameters);
        for (end, parameter) in self.stops.clone() {
            let lists = Lists { parameters, output_gradient, gradients: gradients.as_mut_ptr(), seed, ..Lists::NONE };
            self.run(first..end, &[], images, lists)?;
            observer.take(parameter..last, &gradients[parameter..last]);
            (first, last) = (end, parameter);
        }
        Ok(())
    }

    /// Number of parameters.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// Number of statistics.
    pub fn statistics(&self) -> usize {
        self.statistics
    }

    /// Images of a batch at most.
    pub fn images(&self) -> usize {
        self.executor.max_images()
    }

    /// Values of one image's outputs.
    pub fn output_len(&self) -> usize {
        self.outputs.iter().map(|(_, layout)| layout.size.count()).sum()
    }

    /// Bytes of maps, scratch memory and packed weights.
    pub fn memory(&self) -> usize {
        let executor = &self.executor;
        size_of::<f32>() * (executor.maps_len() + executor.scratch_len() + executor.weights_len())
    }

    /// Measures the time of every step from now on.
    pub fn measure(&mut self) {
        self.times = Some(vec![Duration::ZERO; self.executor.steps().len()]);
    }

    /// The times of the steps of each kind together since [`Self::measure`]: name, whether in the backward pass, and
    /// time; longest first.
    pub fn times(&self) -> Vec<(&'static str, bool, Duration)> {
        let mut kinds: Vec<(&'static str, bool, Duration)> = Vec::new();
        for (at, (step, &time)) in self.executor.steps().iter().zip(self.times.iter().flatten()).enumerate() {
            let backward = at >= self.forward;
            match kinds.iter_mut().find(|kind| (kind.0, kind.1) == (step.name(), backward)) {
                Some(kind) => kind.2 += time,
                None => kinds.push((step.name(), backward, time)),
            }
        }
        kinds.sort_by_key(|kind| std::cmp::Reverse(kind.2));
        kinds
    }

    /// Runs some steps. Of a part of a batch, they are run from one exchange of sums to the next.
    fn run(&mut self, steps: Range<usize>, pixels: &[&[f32]], images: usize, lists: Lists<'_>) -> Result<()> {
        let part = self.part.clone();
        let mut first = steps.start;
        let mut sums: Vec<f64> = Vec::new();
        loop {
            // What was exchanged is for the first of the steps.
            let exchanges = |at: &usize| part.is_some() && self.executor.steps()[*at].uses_sums();
            let end = (first + 1..steps.end).find(exchanges).unwrap_or(steps.end);
            let whole = part.as_deref().filter(|_| first > steps.start);
            let whole = whole.map(|part| Whole { images: part.images(), sums: &sums });
            #[allow(unsafe_code)]
            // SAFETY: the lists were checked; a backward pass follows the forward pass of as many images.
            unsafe {
                let lists = Lists { whole, ..lists };
                self.executor.run(first..end, pixels, images, lists, self.times.as_deref_mut());
            }
            let Some(part) = part.as_deref().filter(|_| end < steps.end) else { return Ok(()) };
            let step = &self.executor.steps()[end];
            #[allow(unsafe_code)]
            // SAFETY: the step before it was run for as many images.
            let own = unsafe { step.sums(&self.executor.context(images)) };
            sums = own;
            part.all_reduce(&mut sums)?;
            first = end;
        }
    }
}

/// Those of `finals`, steps with the parameters from which on gradients are final then, between which there are enough
/// parameters that giving them to an observer pays: at most [`OBSERVATIONS`]. The last is after all `steps`.
fn stops(finals: &[(usize, usize)], parameters: usize, steps: usize) -> Vec<(usize, usize)> {
    let least = parameters.div_ceil(OBSERVATIONS).max(1);
    let mut last = parameters;
    let mut found: Vec<(usize, usize)> = Vec::new();
    for &(step, parameter) in finals {
        if last - parameter >= least && parameter > 0 {
            found.push((step, parameter));
            last = parameter;
        }
    }
    found.push((steps, 0));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_observed_after_about_as_many_parameters() {
        let finals = [(20, 90), (22, 89), (25, 40), (30, 36), (33, 4), (40, 0)];
        assert_eq!(stops(&finals, 100, 41), [(20, 90), (25, 40), (33, 4), (41, 0)]);
        assert_eq!(stops(&[], 0, 7), [(7, 0)]);
        let many: Vec<(usize, usize)> = (0..1000).map(|at| (at, 1000 - at)).collect();
        assert_eq!(stops(&many, 1000, 1000).len(), OBSERVATIONS);
    }
}
