//! Memory of a program: frames and places of maps, and pieces for what is kept between steps.

use hardnet_graph::Padding;
use hardnet_simd::Isa;

use super::builder::Op;
use super::emit::{Emitter, emit};
use super::norm::KEPT;
use super::step::Step;
use crate::arena::{Extent, place};
use crate::builder::reach;
use crate::depthwise::SIDE;
use crate::error::Result;
use crate::gemm::MAX_BLOCKS;
use crate::map::{Frame, Layout, Size};
use crate::memory::{Piece, Store};
use hardnet_simd::LANES;

/// What a program runs.
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// Steps of the forward pass.
    pub(super) forward: usize,
    pub(super) store: Store,
    /// Values of the maps of one image.
    pub(super) image: usize,
    /// Values of scratch memory.
    pub(super) scratch: usize,
    pub(super) input: Size,
    pub(super) outputs: Vec<Layout>,
}

/// Memory that a node keeps apart from maps.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pieces {
    /// What its normalisation keeps.
    pub(super) kept: Option<Piece>,
    /// Its packed weights or biases, where they are small.
    pub(super) own: Option<Piece>,
}

/// The kinds of map that a node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Its output.
    Output,
    /// The convolution's output before normalisation, then its gradient.
    Raw,
    /// The gradient of its output.
    Gradient,
}

/// The plan of `nodes` for at most `images` images on `isa`.
pub(super) fn compile(nodes: &[(Size, Op)], outputs: &[usize], images: usize, isa: Isa) -> Result<Plan> {
    let mut store = Store::default();
    let pieces: Vec<Pieces> = nodes.iter().map(|(size, op)| pieces(*size, op, &mut store)).collect();
    let lanes = nodes.iter().map(|(size, _)| size.blocks() * LANES).max().unwrap_or(0);
    let zeros = store.push(lanes + MAX_BLOCKS * LANES, |_| {});
    let frames = frames(nodes);
    // Emitted twice: first to see at which steps maps live, then with their places.
    let at = |slot: usize, offset: usize| {
        let (size, frame) = (nodes[slot / 3].0, frames[slot]);
        Layout { size, frame, offset, interleaved: false }
    };
    let slots = 3 * nodes.len();
    let packed = store.push(0, |_| {});
    let layouts = (0..slots).map(|slot| at(slot, 0)).collect();
    let mut draft = Emitter::new(isa, nodes, outputs, images, 0, layouts, &pieces, zeros, packed);
    emit(&mut draft)?;
    let extents: Vec<Extent> = draft
        .lives
        .iter()
        .zip(&draft.layouts)
        .map(|(life, layout)| match life {
            Some(steps) => Extent { len: layout.len(), steps: *steps },
            None => Extent { len: 0, steps: (0, 0) },
        })
        .collect();
    let packed = store.push(draft.packed_values, |_| {});
    let (offsets, image) = place(&extents);
    let layouts = offsets.iter().enumerate().map(|(slot, &offset)| at(slot, offset)).collect();
    let mut emitter = Emitter::new(isa, nodes, outputs, images, image, layouts, &pieces, zeros, packed);
    emit(&mut emitter)?;
    let outputs = outputs.iter().map(|&node| emitter.layouts[Emitter::slot(node, Kind::Output)]).collect();
    let (forward, scratch) = (emitter.forward, emitter.scratch);
    Ok(Plan { steps: emitter.steps, forward, store, image, scratch, input: nodes[0].0, outputs })
}

fn pieces(size: Size, op: &Op, store: &mut Store) -> Pieces {
    let lanes = size.blocks() * LANES;
    let mut zeros = |len: usize| Some(store.push(len, |_| {}));
    match op {
        Op::Conv { .. } => Pieces { kept: zeros(KEPT * lanes), own: None },
        Op::Depthwise { .. } => Pieces { kept: zeros(KEPT * lanes), own: zeros(SIDE * SIDE * lanes) },
        Op::Linear { .. } => Pieces { kept: None, own: zeros(lanes + MAX_BLOCKS * LANES) },
        Op::Image | Op::Pool { .. } | Op::Mean { .. } | Op::Dropout { .. } => Pieces::default(),
    }
}

/// The frame of every map by [`Emitter::slot`]: large enough for all its readers, and one for all maps that a product takes
/// together, forward or backward.
fn frames(nodes: &[(Size, Op)]) -> Vec<Frame> {
    let mut frames: Vec<Frame> = nodes
        .iter()
        .flat_map(|(size, _)| [Frame { down: size.height, right: size.width, ..Frame::default() }; 3])
        .collect();
    let widen = |frames: &mut [Frame], slots: &[usize], frame: Frame| {
        let union = slots.iter().map(|&slot| frames[slot]).fold(frame, Frame::union);
        slots.iter().for_each(|&slot| frames[slot] = union);
    };
    loop {
        let before = frames.clone();
        for (node, (size, op)) in nodes.iter().enumerate() {
            let outputs = |nodes: &[usize]| -> Vec<usize> {
                nodes.iter().map(|&node| Emitter::slot(node, Kind::Output)).collect()
            };
            match op {
                Op::Conv { inputs, conv, .. } => {
                    widen(&mut frames, &outputs(inputs), reach(*size, conv.kernel, conv.stride, conv.padding));
                }
                Op::Depthwise { input, conv, .. } => {
                    widen(&mut frames, &outputs(&[*input]), reach(*size, SIDE, conv.stride, conv.padding));
                    if conv.stride == 1 {
                        let reach = reach(nodes[*input].0, SIDE, 1, turned(conv.padding, SIDE));
                        widen(&mut frames, &[Emitter::slot(node, Kind::Raw)], reach);
                    }
                }
                Op::Image | Op::Pool { .. } | Op::Mean { .. } | Op::Dropout { .. } | Op::Linear { .. } => {}
            }
            let mut slots = Vec::new();
            let mut frame = Frame::default();
            for (reader, (_, op)) in nodes.iter().enumerate().skip(node + 1) {
                if let Op::Conv { inputs, conv, .. } = op
                    && node > 0
                    && inputs.contains(&node)
                {
                    slots.push(Emitter::slot(reader, Kind::Raw));
                    frame = frame.union(reach(*size, conv.kernel, 1, turned(conv.padding, conv.kernel)));
                }
            }
            widen(&mut frames, &slots, frame);
        }
        if frames == before {
            return frames;
        }
    }
}

/// The padding of the turned convolution that gives the gradient of the input.
pub(super) fn turned(padding: Padding, kernel: usize) -> Padding {
    Padding {
        top: kernel - 1 - padding.top,
        bottom: kernel - 1 - padding.bottom,
        left: kernel - 1 - padding.left,
        right: kernel - 1 - padding.right,
    }
}
