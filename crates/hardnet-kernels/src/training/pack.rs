//! Weights as the micro-kernel reads them, packed anew in every pass.
#![allow(unsafe_code)]

use super::context::Context;
use crate::memory::Piece;
use hardnet_simd::LANES;

/// A convolution's weights, `[outputs, inputs, taps]`, in the list of parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) parameter: usize,
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    pub(super) taps: usize,
}

/// Weights of a convolution whose windows are read from a map and turned by 180 degrees, for the gradient of that map.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turned {
    pub(super) source: Source,
    /// The first of the map's channels among the convolution's inputs.
    pub(super) first: usize,
}

/// Which weights are packed.
#[derive(Clone, Debug)]
pub(super) enum Rows {
    /// Rows of (tap, input), lanes of outputs.
    Forward(Source),
    /// Rows of (convolution, tap, output), lanes of inputs.
    Backward(Vec<Turned>),
}

/// Packing ready to run, a panel a unit.
#[derive(Debug)]
pub(super) struct Pack {
    rows: Rows,
    depth: usize,
    channels: usize,
    panels: Vec<usize>,
    to: Piece,
    /// Biases, where the layer has some: where they are packed to and the parameter.
    bias: Option<(Piece, usize)>,
}

impl Rows {
    /// Products of a sum.
    pub(super) fn depth(&self) -> usize {
        match self {
            Self::Forward(source) => source.inputs * source.taps,
            Self::Backward(turned) => turned.iter().map(|turned| turned.source.outputs * turned.source.taps).sum(),
        }
    }
}

impl Pack {
    /// The packing of `rows` for `channels` output channels in panels of so many blocks.
    pub(super) fn new(
        rows: Rows,
        channels: usize,
        panels: Vec<usize>,
        to: Piece,
        bias: Option<(Piece, usize)>,
    ) -> Self {
        let depth = rows.depth();
        Self { rows, depth, channels, panels, to, bias }
    }

    pub(super) fn units(&self) -> usize {
        self.panels.len()
    }

    /// Packs one panel.
    ///
    /// # Safety
    /// The pieces have room for all panels, and no other thread has this unit of this step.
    pub(super) unsafe fn run(&self, unit: usize, context: &Context<'_>) {
        let first = LANES * self.panels[..unit].iter().sum::<usize>();
        let lanes = LANES * self.panels[unit];
        let valid = lanes.min(self.channels - first);
        let parameters = context.parameters;
        // SAFETY: the piece has `depth` rows of all lanes, of which this unit's panel has its own.
        let panel =
            unsafe { std::slice::from_raw_parts_mut(context.at(self.to).add(first * self.depth), lanes * self.depth) };
        match &self.rows {
            Rows::Forward(source) => {
                let depth = self.depth;
                for lane in 0..valid {
                    let weights = &parameters[source.parameter + (first + lane) * depth..][..depth];
                    for (input, weights) in weights.chunks_exact(source.taps).enumerate() {
                        for (tap, &weight) in weights.iter().enumerate() {
                            panel[(tap * source.inputs + input) * lanes + lane] = weight;
                        }
                    }
                }
            }
            Rows::Backward(turned) => {
                let mut rest = panel;
                for Turned { source, first: from } in turned {
                    let (rows, others) = rest.split_at_mut(source.outputs * source.taps * lanes);
                    rest = others;
                    for output in 0..source.outputs {
                        let at = source.parameter + (output * source.inputs + from + first) * source.taps;
                        let weights = &parameters[at..][..valid * source.taps];
                        for (lane, weights) in weights.chunks_exact(source.taps).enumerate() {
                            for (tap, &weight) in weights.iter().rev().enumerate() {
                                rows[(tap * source.outputs + output) * lanes + lane] = weight;
                            }
                        }
                    }
                }
            }
        }
        if let Some((piece, parameter)) = self.bias {
            // SAFETY: the piece has all lanes, of which this unit has its own.
            let bias = unsafe { std::slice::from_raw_parts_mut(context.at(piece).add(first), valid) };
            bias.copy_from_slice(&parameters[parameter + first..][..valid]);
        }
    }
}
