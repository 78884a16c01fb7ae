//! Packing: weights in the order in which the micro-kernel reads them.
//!
//! The packed form is a sequence of panels of output channels, each `[k, blocks, 8]` with zeros in the lanes past the
//! last channel, where `k` runs over the rows of a matrix, [`Rows`]. [`Rows::pack_panel`] is a pure function from a
//! list of parameters to one panel. Inference packs once, with scales multiplied in f64 and every value [rounded] once;
//! training packs as they are the weights that each pass is given, as a [step](Pack) of it.
#![allow(unsafe_code)]

use hardnet_simd::{Isa, LANES};

use crate::exec::buffer::{PackedSlice, PackedWeights};
use crate::exec::context::Context;
use crate::filter::{Filter, rounded};
use crate::gemm::panels;

/// A convolution's weights, `[outputs, inputs, taps]`, from position `parameter` of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    pub(crate) parameter: usize,
    pub(crate) outputs: usize,
    pub(crate) inputs: usize,
    pub(crate) taps: usize,
}

/// Weights of a convolution rotated by 180 degrees, for the gradient of a map that it reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RotatedFilter {
    pub(crate) source: Source,
    /// The first of the map's channels among the convolution's inputs.
    pub(crate) first: usize,
}

/// The matrix that is packed.
#[derive(Clone, Debug)]
pub(crate) enum Rows {
    /// Rows of (tap, input), lanes of outputs.
    Forward(Source),
    /// Rows of (convolution, tap, output), lanes of inputs.
    Rotated(Vec<RotatedFilter>),
}

impl Rows {
    /// Products of a sum.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Self::Forward(source) => source.inputs * source.taps,
            Self::Rotated(filters) => filters.iter().map(|filter| filter.source.outputs * filter.source.taps).sum(),
        }
    }

    /// Packs the `lanes` lanes from lane `first` on, of `channels`; each value is `value(channel, weight)`.
    fn pack_panel(
        &self,
        list: &[f32],
        (first, lanes, channels): (usize, usize, usize),
        value: impl Fn(usize, f32) -> f32,
        panel: &mut [f32],
    ) {
        let valid = lanes.min(channels - first);
        match self {
            Self::Forward(source) => {
                let depth = source.inputs * source.taps;
                for lane in 0..valid {
                    let channel = first + lane;
                    let weights = &list[source.parameter + channel * depth..][..depth];
                    for (input, weights) in weights.chunks_exact(source.taps).enumerate() {
                        for (tap, &weight) in weights.iter().enumerate() {
                            panel[(tap * source.inputs + input) * lanes + lane] = value(channel, weight);
                        }
                    }
                }
            }
            Self::Rotated(filters) => {
                let mut rest = panel;
                for RotatedFilter { source, first: from } in filters {
                    let (rows, others) = rest.split_at_mut(source.outputs * source.taps * lanes);
                    rest = others;
                    for output in 0..source.outputs {
                        let at = source.parameter + (output * source.inputs + from + first) * source.taps;
                        let weights = &list[at..][..valid * source.taps];
                        for (lane, weights) in weights.chunks_exact(source.taps).enumerate() {
                            for (tap, &weight) in weights.iter().rev().enumerate() {
                                rows[(tap * source.outputs + output) * lanes + lane] = value(first + lane, weight);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Packs the filter of a convolution of `inputs` channels by `taps` taps for inference, on up to `threads` threads.
pub(crate) fn pack_filter(
    filter: &Filter<'_>,
    (inputs, taps): (usize, usize),
    (isa, threads): (Isa, usize),
    weights: &mut PackedWeights,
) -> PackedSlice {
    let outputs = filter.bias.len();
    let rows = Rows::Forward(Source { parameter: 0, outputs, inputs, taps });
    weights.push(taps * inputs * outputs.next_multiple_of(LANES), |packed| {
        for_each_panel(packed, outputs, (taps * inputs, 1), (isa, threads), &|first, lanes, panel| {
            let scaled = |channel: usize, weight: f32| rounded(f64::from(weight) * filter.scale[channel]);
            rows.pack_panel(filter.weights, (first, lanes, outputs), scaled, panel);
        });
    })
}

/// Packs biases: a value for every lane of all blocks.
pub(crate) fn pack_bias(filter: &Filter<'_>, weights: &mut PackedWeights) -> PackedSlice {
    weights.push(filter.bias.len().next_multiple_of(LANES), |lanes| {
        for (lane, &bias) in lanes.iter_mut().zip(filter.bias) {
            *lane = rounded(bias);
        }
    })
}

/// Calls `fill(first channel, lanes, values)` for every panel of `outputs` channels that are sums of as many products,
/// at as many positions of the transform domain, on up to `threads` threads.
pub(crate) fn for_each_panel(
    packed: &mut [f32],
    outputs: usize,
    (products, positions): (usize, usize),
    (isa, threads): (Isa, usize),
    fill: &(dyn Fn(usize, usize, &mut [f32]) + Sync),
) {
    let depth = products * positions;
    let mut rest = packed;
    let mut first = 0;
    let mut all = Vec::new();
    for blocks in panels(isa, outputs.div_ceil(LANES), products) {
        let lanes = blocks * LANES;
        let (panel, others) = rest.split_at_mut(depth * lanes);
        all.push((first, lanes, panel));
        rest = others;
        first += lanes;
    }
    // Starting a thread takes longer than packing a small filter, and WebAssembly cannot start any.
    let small = cfg!(target_arch = "wasm32") || threads <= 1 || outputs * depth < 1 << 16;
    let share = if small { all.len() } else { all.len().div_ceil(threads) };
    let run = |panels: &mut [(usize, usize, &mut [f32])]| {
        for (first, lanes, panel) in panels {
            fill(*first, *lanes, panel);
        }
    };
    let mut shares = all.chunks_mut(share.max(1));
    let Some(ours) = shares.next() else { return };
    if shares.len() == 0 {
        return run(ours);
    }
    std::thread::scope(|scope| {
        for panels in shares {
            scope.spawn(move || run(panels));
        }
        run(ours);
    });
}

/// The packing of a layer's weights in training, ready to run; a task is a panel.
#[derive(Debug)]
pub(crate) struct Pack {
    rows: Rows,
    depth: usize,
    channels: usize,
    panels: Vec<usize>,
    to: PackedSlice,
    /// Biases, where the layer has some: where they are packed to, and the parameter.
    bias: Option<(PackedSlice, usize)>,
}

impl Pack {
    /// The packing of `rows` for `channels` output channels.
    pub(crate) fn new(
        isa: Isa,
        rows: Rows,
        channels: usize,
        to: PackedSlice,
        bias: Option<(PackedSlice, usize)>,
    ) -> Self {
        let depth = rows.depth();
        Self { panels: panels(isa, channels.div_ceil(LANES), depth), rows, depth, channels, to, bias }
    }

    pub(crate) fn tasks(&self) -> usize {
        self.panels.len()
    }

    /// Packs one panel.
    ///
    /// # Safety
    /// As [`Step::run`](crate::exec::program::Step::run); the slices have room for all panels.
    pub(crate) unsafe fn run(&self, task: usize, context: &Context<'_>) {
        let first = LANES * self.panels[..task].iter().sum::<usize>();
        let lanes = LANES * self.panels[task];
        let parameters = context.lists.parameters;
        // SAFETY: the slice has `depth` rows of all lanes, and the panel is this task's.
        let panel = unsafe {
            let panel = context.weights_mut(self.to).add(first * self.depth);
            std::slice::from_raw_parts_mut(panel, lanes * self.depth)
        };
        self.rows.pack_panel(parameters, (first, lanes, self.channels), |_, weight| weight, panel);
        if let Some((slice, parameter)) = self.bias {
            let valid = lanes.min(self.channels - first);
            // SAFETY: the slice has all lanes, and these are this task's.
            let bias = unsafe { std::slice::from_raw_parts_mut(context.weights_mut(slice).add(first), valid) };
            bias.copy_from_slice(&parameters[parameter + first..][..valid]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_filters_are_transposed() {
        // One output, two inputs, three taps.
        let source = Source { parameter: 1, outputs: 1, inputs: 2, taps: 3 };
        let list = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let mut panel = [0.0; 3 * LANES];
        let rows = Rows::Rotated(vec![RotatedFilter { source, first: 0 }]);
        rows.pack_panel(&list, (0, LANES, 2), |_, weight| weight, &mut panel);
        let rows: Vec<_> = panel.chunks(LANES).map(|row| (row[0], row[1])).collect();
        assert_eq!((rows, &panel[2..LANES]), (vec![(3.0, 6.0), (2.0, 5.0), (1.0, 4.0)], &[0.0; LANES - 2][..]));
    }
}
